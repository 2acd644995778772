package stomp

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"
)

// Whatever a client says, the connection ends once the client has hung up, and
// everything it was told before is well-formed frames.
func FuzzConnection(f *testing.F) {
	for _, s := range []string{
		"CONNECT\n\n\x00SEND\ndestination:/queue/a\nreceipt:1\n\nx\x00DISCONNECT\nreceipt:2\n\n\x00",
		"STOMP\naccept-version:1.2\nheart-beat:1,1\n\n\x00SUBSCRIBE\nid:0\ndestination:/queue/a\nack:client\n\n\x00" +
			"SEND\ndestination:/queue/a\n\nx\x00ACK\nid:1-0\n\n\x00NACK\nid:1-0\n\n\x00UNSUBSCRIBE\nid:0\n\n\x00",
		"CONNECT\naccept-version:1.1\n\n\x00BEGIN\ntransaction:t\n\n\x00SEND\ndestination:/topic/a\ntransaction:t\n\nx\x00COMMIT\ntransaction:t\n\n\x00",
		"CONNECT\naccept-version:1.1\n\n\x00BEGIN\ntransaction:t\n\n\x00ABORT\ntransaction:t\nreceipt:1\n\n\x00SED\n\n\x00",
		"CONNECT\n\n\x00SEND\ndestination:/queue/a\ncontent-length:99999999999\n\n",
		"\n\n\x00GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		s, err := newServer(Config{Broker: newFakeBroker(), Limits: Limits{Body: 1 << 16, OutstandingFrames: 4}})
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := net.Pipe()
		over := make(chan struct{})
		go func() {
			defer close(over)
			defer theirs.Close()
			s.ServeConn(context.Background(), theirs)
		}()
		said := make(chan []byte, 1)
		go func() {
			all, _ := io.ReadAll(ours)
			said <- all
		}()
		_ = ours.SetWriteDeadline(time.Now().Add(wait))
		_, _ = ours.Write(input)
		_ = ours.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		out := <-said
		ours.Close()
		select {
		case <-over:
		case <-time.After(wait):
			t.Fatal("the connection hangs")
		}
		for _, command := range [][]byte{[]byte("CONNECTED\n"), []byte("ERROR\n")} {
			if bytes.HasPrefix(out, command) || len(bytes.TrimLeft(out, "\n")) == 0 {
				return
			}
		}
		t.Fatalf("the first word was %.40q", out)
	})
}
