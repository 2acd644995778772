package nats_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// However many consumers are made at once, and with whatever descriptions: each is on disk when it is answered, workers
// are served meanwhile, and the book stays within bounds.
func TestTheBookIsBoundedAndHoldsUpNobody(t *testing.T) {
	const n, room = 1100, 8 << 20
	path := filepath.Join(t.TempDir(), "consumers.json")
	h := newHouse(t, options{book: path})
	h.fill("a", 20)
	c := h.consumer(h.jetStream(), "w", "a")
	nc := h.connect()
	in := listen(t, nc, "_INBOX.made.*")
	text := strings.Repeat("x", 4000)
	began := time.Now()
	for i := range n {
		request, err := json.Marshal(map[string]any{"stream_name": "QUEUES", "config": map[string]any{
			"durable_name": fmt.Sprintf("c%d", i), "filter_subject": "queue.e", "description": text, "metadata": map[string]string{"a": text[:3900]},
		}})
		require.NoError(t, err)
		require.NoError(t, nc.PublishRequest(fmt.Sprintf("$JS.API.CONSUMER.DURABLE.CREATE.QUEUES.c%d", i), fmt.Sprintf("_INBOX.made.%d", i), request))
	}
	for range 20 {
		var m jetstream.Msg
		gatewaytest.Eventually(t, func() (ok bool) { // a machine with other work may miss a heartbeat
			var err error
			m, err = c.Next(jetstream.FetchMaxWait(patience))
			require.True(t, err == nil || errors.Is(err, jetstream.ErrNoHeartbeat), err)
			return err == nil
		}, "a message")
		require.NoError(t, m.DoubleAck(ctx(t)))
	}
	made, refused := 0, 0
	for i := range n {
		m := hear(t, in)
		if strings.Contains(string(m.Data), "too much room") {
			refused++
			continue
		}
		require.NotContains(t, string(m.Data), `"error"`)
		if made++; i%100 == 0 {
			written, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Contains(t, string(written), fmt.Sprintf(`"c%s"`, m.Subject[len("_INBOX.made."):]))
		}
	}
	require.NotZero(t, refused)
	require.InDelta(t, room/8100, made, 100)
	require.Less(t, time.Since(began), 30*time.Second, "each change does not write everything")
	file, err := os.Stat(path)
	require.NoError(t, err)
	require.LessOrEqual(t, file.Size(), int64(room+4*n))
}

// What cannot be written down is not there.
func TestAConsumerThatCannotBeWrittenDownIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gone", "consumers.json")
	require.NoError(t, os.Mkdir(filepath.Dir(path), 0o755))
	h := newHouse(t, options{book: path})
	js := h.jetStream()
	h.consumer(js, "w", "a")
	require.NoError(t, os.RemoveAll(filepath.Dir(path)))
	for _, cfg := range []jetstream.ConsumerConfig{{Durable: "v", FilterSubject: "queue.a"}, {Durable: "w", FilterSubject: "queue.a", MaxDeliver: 7}} {
		_, err := js.CreateOrUpdateConsumer(ctx(t), "QUEUES", cfg)
		var refusal *jetstream.APIError
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, 500, refusal.Code)
	}
	_, err := js.Consumer(ctx(t), "QUEUES", "v")
	require.ErrorIs(t, err, jetstream.ErrConsumerNotFound)
	c, err := js.Consumer(ctx(t), "QUEUES", "w")
	require.NoError(t, err)
	require.Equal(t, -1, c.CachedInfo().Config.MaxDeliver)
	require.NoError(t, os.Mkdir(filepath.Dir(path), 0o755))
	h.consumer(js, "v", "a")
	written, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(written), `"v"`)
}
