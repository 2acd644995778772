package app

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// listen subscribes over STOMP and returns what came until the end of the connection.
func (p *program) listen(id, destination string) (net.Conn, func() string) {
	p.t.Helper()
	c, err := net.DialTimeout("tcp", p.addr["stomp"], soon)
	require.NoError(p.t, err)
	p.t.Cleanup(func() { _ = c.Close() })
	require.NoError(p.t, c.SetDeadline(time.Now().Add(soon)))
	_, err = fmt.Fprintf(c, "CONNECT\naccept-version:1.2\nhost:x\n\n\x00SUBSCRIBE\nid:%s\ndestination:%s\nreceipt:there\n\n\x00", id, destination)
	require.NoError(p.t, err)
	var got strings.Builder
	for b := make([]byte, 4096); !strings.Contains(got.String(), "receipt-id:there"); {
		n, err := c.Read(b)
		require.NoError(p.t, err)
		got.Write(b[:n])
	}
	return c, func() string {
		p.t.Helper()
		_, err := io.WriteString(c, "DISCONNECT\nreceipt:end\n\n\x00")
		require.NoError(p.t, err)
		rest, err := io.ReadAll(c)
		require.NoError(p.t, err)
		return got.String() + string(rest)
	}
}

// A topic is one for STOMP and native clients of all nodes: everybody hears each message once, wherever and however it was sent.
func TestTopicsReachEveryClientOfACluster(t *testing.T) {
	t.Parallel()
	nodes := launchAll(t, threeConfigs(t))
	for _, p := range nodes {
		p.await("ready")
	}
	var ends []func() string
	var native []*nats.Subscription
	var publishers []*nats.Conn
	for i, p := range nodes {
		_, end := p.listen(fmt.Sprintf("s%d", i), "/topic/site.>")
		ends = append(ends, end)
		nc, err := nats.Connect("nats://" + p.addr["nats"])
		require.NoError(t, err)
		t.Cleanup(nc.Close)
		sub, err := nc.SubscribeSync("topic.site.>")
		require.NoError(t, err)
		require.NoError(t, nc.Flush())
		native, publishers = append(native, sub), append(publishers, nc)
	}
	// Interest takes a moment to be known everywhere: until every client has heard a first message of each node.
	heard := map[string]int{}
	require.Eventually(t, func() bool {
		for i, p := range nodes {
			p.ask("receipt-id:r", fmt.Sprintf("SEND\ndestination:/topic/site.warm\nreceipt:r\n\nwarm from %d\x00", i))
		}
		for _, sub := range native {
			for {
				m, err := sub.NextMsg(50 * time.Millisecond)
				if err != nil {
					break
				}
				heard[fmt.Sprintf("%p %s", sub, m.Data)]++
			}
		}
		return len(heard) == 9
	}, soon, poll)
	for i, p := range nodes {
		p.ask("receipt-id:r", fmt.Sprintf("SEND\ndestination:/topic/site.a\nreceipt:r\n\nstomp from %d\x00", i))
		require.NoError(t, publishers[i].Publish("topic.site.b", fmt.Appendf(nil, "native from %d", i)))
		require.NoError(t, publishers[i].Flush())
	}
	for k, sub := range native {
		got := map[string]int{}
		for m, err := sub.NextMsg(soon); ; m, err = sub.NextMsg(500 * time.Millisecond) {
			if err != nil {
				break
			}
			if !strings.HasPrefix(string(m.Data), "warm") {
				got[string(m.Data)]++
			}
		}
		require.Equal(t, map[string]int{
			"stomp from 0": 1, "stomp from 1": 1, "stomp from 2": 1, "native from 0": 1, "native from 1": 1, "native from 2": 1,
		}, got, "native client of node %d", k)
	}
	for k, end := range ends {
		got := end()
		for i := range nodes {
			require.Equal(t, 1, strings.Count(got, fmt.Sprintf("stomp from %d\x00", i)), "STOMP client of node %d", k)
			require.Equal(t, 1, strings.Count(got, fmt.Sprintf("native from %d\x00", i)), "STOMP client of node %d", k)
		}
	}
}
