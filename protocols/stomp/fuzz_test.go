package stomp

import (
	"bufio"
	"bytes"
	"context"
	"testing"
	"time"
)

// recorded is a script whose writes are kept.
type recorded struct {
	script
	out bytes.Buffer
}

func (r *recorded) Write(p []byte) (int, error) { return r.out.Write(p) }

// Whatever a client says, the connection ends once the client has hung up, and
// all that it was told is whole frames of a server, beginning with CONNECTED or ERROR.
func FuzzConnection(f *testing.F) {
	for _, s := range []string{
		"CONNECT\n\n\x00SEND\ndestination:/queue/a\nreceipt:1\n\nx\x00DISCONNECT\nreceipt:2\n\n\x00",
		"STOMP\naccept-version:1.2\nheart-beat:1,1\n\n\x00SUBSCRIBE\nid:0\ndestination:/queue/a\nack:client\n\n\x00" +
			"SEND\ndestination:/queue/a\n\nx\x00ACK\nid:1-0\n\n\x00NACK\nid:1-0\n\n\x00UNSUBSCRIBE\nid:0\n\n\x00",
		"CONNECT\naccept-version:1.1\n\n\x00BEGIN\ntransaction:t\n\n\x00SEND\ndestination:/topic/a\ntransaction:t\n\nx\x00COMMIT\ntransaction:t\n\n\x00",
		"CONNECT\naccept-version:1.1\n\n\x00BEGIN\ntransaction:t\n\n\x00ABORT\ntransaction:t\nreceipt:1\n\n\x00SED\n\n\x00",
		"CONNECT\n\n\x00SUBSCRIBE\ndestination:/topic/a\n\n\x00UNSUBSCRIBE\ndestination:/topic/a\n\n\x00SEND\ndestination:/topic/a\nid:\x0d\n\n\x00",
		"CONNECT\n\n\x00SEND\ndestination:/queue/a\ncontent-length:99999999999\n\n",
		"\n\n\x00GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, input []byte, isStrict bool) {
		cfg := Config{Broker: newFakeBroker(), Limits: Limits{Body: 1 << 16, OutstandingFrames: 4}}
		if isStrict {
			cfg.Personality = Strict
		}
		s, err := newServer(cfg)
		if err != nil {
			t.Fatal(err)
		}
		nc := &recorded{script: script{r: bytes.NewReader(input)}}
		over := make(chan struct{})
		go func() {
			defer close(over)
			s.ServeConn(context.Background(), nc)
		}()
		select {
		case <-over:
		case <-time.After(wait):
			t.Fatal("the connection hangs")
		}
		c := &client{t: t, nc: nc, r: bufio.NewReader(&nc.out)}
		for first := true; ; first = false {
			if rest, _ := c.r.Peek(2); len(bytes.TrimLeft(rest, "\n")) == 0 {
				return
			}
			r, err := c.next()
			if err != nil {
				t.Fatalf("the client was told a part of a frame: %v, %v", r, err)
			}
			switch {
			case r.command == "CONNECTED" && first, r.command == "ERROR":
			case !first && (r.command == "MESSAGE" || r.command == "RECEIPT"):
			default:
				t.Fatalf("a server does not say %q here", r.command)
			}
		}
	})
}
