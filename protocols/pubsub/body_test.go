package pubsub_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/protocols/pubsub"
)

// begun opens a connection and writes the head of a request for a topic to it.
func (w *world) begun(topic, key, more string, length int64) net.Conn {
	w.t.Helper()
	c, err := net.Dial("tcp", w.door.Addr().String())
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = c.Close() })
	require.NoError(w.t, c.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = fmt.Fprintf(c, "POST /v1/projects/P/topics/%s HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\n%sContent-Length: %d\r\n\r\n", topic, key, more, length)
	require.NoError(w.t, err)
	return c
}

// Clients that write all of a request before they read hear why it was refused, and do not see a broken connection, which they would try again.
func TestARefusalIsHeardBehindALongBody(t *testing.T) {
	w := stocked(t, 0, func(cfg *pubsub.Config) { cfg.MaxRequest = 12 << 20 })
	writer := w.member("writer", "publisher")
	for _, c := range []struct {
		code       int
		topic, key string
		length     int
	}{
		{200, "t:publish", serviceToken, 11 << 20},
		{401, "t:publish", "bad", 11 << 20},
		{401, "t:publish", "bad", 40 << 20},
		{403, "t:publish", writer, 11 << 20},
		{403, "t:modifyAcl", writer, 11 << 20},
		{404, "t:nothing/at/all", serviceToken, 11 << 20},
		{413, "t:publish", serviceToken, 13 << 20},
		{413, "t:publish", serviceToken, 40 << 20},
		{413, "t:modifyAcl", serviceToken, 40 << 20},
	} {
		conn := w.begun(c.topic, c.key, "", int64(c.length))
		body := append([]byte(`{"messages":[]}`), bytes.Repeat([]byte{' '}, c.length-15)...)
		_, err := conn.Write(body)
		require.NoError(t, err, "%+v", c)
		a, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err, "%+v", c)
		require.Equal(t, c.code, a.StatusCode, "%+v", c)
	}
}

// Who asks before he sends, and who says that he will send far too much, has the answer at once.
func TestARefusalDoesNotWaitForWhatNeedNotCome(t *testing.T) {
	w := stocked(t, 0, nil)
	for _, c := range []net.Conn{w.begun("t:publish", "bad", "Expect: 100-continue\r\n", 11<<20), w.begun("t:publish", "bad", "", 1<<40)} {
		a, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.Equal(t, 401, a.StatusCode)
		require.True(t, a.Close, "the connection cannot be used any more")
	}
}
