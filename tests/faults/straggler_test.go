package faults

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/jetstream"
	"github.com/sluice-mq/sluice/tests/conformance/raw"
	"github.com/sluice-mq/sluice/tests/node"
)

const (
	mib = 1 << 20
	// pinned is what stragglers may pin before they are moved, and some for the late.
	pinned = 64*mib + 24*mib
	front  = "straggler.front"
)

// beside is a queue of the same shard as front.
func beside() string {
	for i := 0; ; i++ {
		name := fmt.Sprintf("straggler.%d", i)
		if gateway.ShardOf(name, jetstream.DefaultShards) == gateway.ShardOf(front, jetstream.DefaultShards) {
			return name
		}
	}
}

// stragglers are numbered messages that nobody reads.
type stragglers struct {
	sent      int
	receipted []int
}

// ask sends one and reports whether it was receipted.
func (g *stragglers) ask(c *raw.Client) bool {
	c.Send("SEND", fmt.Sprintf("%d %s", g.sent, strings.Repeat("y", 1000)), "destination:/queue/"+front, "persistent:true", "receipt:r")
	f, err := c.Next()
	if err != nil || f.Command != "RECEIPT" {
		return false
	}
	g.receipted = append(g.receipted, g.sent)
	g.sent++
	return true
}

// pass sends so many MiB through a queue, a few messages at a time, and calls look in
// between. It ends early when the node does or look says so.
func pass(p, s *raw.Client, queue string, size int, look func() bool) {
	const at = 4
	body := strings.Repeat("x", mib)
	for range size / at {
		for range at {
			p.Send("SEND", body, "destination:/queue/"+queue, "persistent:true")
		}
		for range at {
			m, err := s.Next()
			if err != nil {
				return
			}
			s.Send("ACK", "", "id:"+m.Get("ack"))
		}
		if !look() {
			return
		}
	}
}

// read takes what is in front and holds it against what was receipted.
func (g *stragglers) read(t *testing.T, n *node.Node) {
	t.Helper()
	c := raw.Login(t, n.Addr("stomp"), "1.2")
	c.Ask("SEND", "end", "destination:/queue/"+front, "persistent:true")
	c.Send(subscribe, "", "destination:/queue/"+front, "id:1")
	var got []int
	for m := c.Expect("MESSAGE"); m.Body != "end"; m = c.Expect("MESSAGE") {
		text, _, _ := strings.Cut(m.Body, " ")
		number, err := strconv.Atoi(text)
		require.NoError(t, err)
		got = append(got, number)
	}
	require.True(t, slices.IsSorted(got), "%v", got)
	require.Equal(t, slices.Compact(slices.Clone(got)), got, "some came twice")
	for _, number := range g.receipted {
		_, found := slices.BinarySearch(got, number)
		require.True(t, found, "%d was receipted and is lost; there are %v", number, got)
	}
}

// Messages that nobody reads, at the front of a shard through which much goes, do not keep
// its disk space; they keep their places, also over kills.
func TestStragglers(t *testing.T) {
	alongside(t)
	n, through, g := node.Start(t), beside(), &stragglers{}
	dir, top := dataDir(t, n), int64(0)
	for range rounds(t, 2) {
		p, s := raw.Login(t, n.Addr("stomp"), "1.2"), raw.Login(t, n.Addr("stomp"), "1.2")
		s.Send(subscribe, "", "destination:/queue/"+through, "id:1", "ack:client-individual", "activemq.prefetchSize:10")
		pass(p, s, through, 108, func() bool { top = max(top, used(t, dir)); return g.ask(p) })
		n.Kill()
		n.Restart()
	}
	await(t, "that the space is given back", func() bool { return used(t, dir) < pinned })
	t.Logf("at most %d MiB on disk; at the end %d MiB", top/mib, used(t, dir)/mib)
	g.read(t, n)
}

// The node is killed as soon as the first messages were moved.
func TestKillWhileStragglersMove(t *testing.T) {
	alongside(t)
	n, through, g := node.Start(t), beside(), &stragglers{}
	for range rounds(t, 1) {
		p, s := raw.Login(t, n.Addr("stomp"), "1.2"), raw.Login(t, n.Addr("stomp"), "1.2")
		for range 500 {
			require.True(t, g.ask(p))
		}
		s.Send(subscribe, "", "destination:/queue/"+through, "id:1", "ack:client-individual", "activemq.prefetchSize:10")
		pid, done, killed := n.PID(), make(chan struct{}), make(chan bool, 1)
		before := figure(t, n, "sluice_messages_moved_total")
		go func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-done:
					killed <- false
					return
				case <-tick.C:
				}
				if now := figure(t, n, "sluice_messages_moved_total"); now > before {
					_ = syscall.Kill(pid, syscall.SIGKILL)
					killed <- true
					return
				}
			}
		}()
		pass(p, s, through, 400, n.Running)
		close(done)
		require.True(t, <-killed, "nothing was moved")
		n.Exit()
		n.Restart()
	}
	g.read(t, n)
}
