package faults

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/jetstream"
	"github.com/sluice-mq/sluice/tests/conformance/raw"
	"github.com/sluice-mq/sluice/tests/node"
)

const (
	mib = 1 << 20
	// pinned is what stragglers may pin before they are moved, and what one
	// look at it may be late.
	pinned = 64*mib + 24*mib
)

// pass sends so many MiB through a queue, a few messages at a time.
func pass(p, s *raw.Client, queue string, size int, look func()) {
	const at = 4
	body := strings.Repeat("x", mib)
	for range size / at {
		for range at {
			p.Send("SEND", body, "destination:/queue/"+queue, "persistent:true")
		}
		for range at {
			s.Send("ACK", "", "id:"+s.Expect("MESSAGE").Get("ack"))
		}
		look()
	}
}

// Messages that nobody reads, at the front of a shard through which much goes, do not keep
// its disk space; they keep their places, also over kills in the midst of it.
func TestStragglers(t *testing.T) {
	front, through := "straggler.front", ""
	for i := 0; through == ""; i++ {
		name := fmt.Sprintf("straggler.%d", i)
		if gateway.ShardOf(name, jetstream.DefaultShards) == gateway.ShardOf(front, jetstream.DefaultShards) {
			through = name
		}
	}
	n := node.Start(t)
	dir, top, sent := dataDir(t, n), int64(0), 0
	for range rounds(t, 2) {
		p, s := raw.Login(t, n.Addr("stomp"), "1.2"), raw.Login(t, n.Addr("stomp"), "1.2")
		s.Send(subscribe, "", "destination:/queue/"+through, "id:1", "ack:client-individual", "activemq.prefetchSize:10")
		pass(p, s, through, 120, func() {
			top = max(top, used(t, dir))
			if sent%7 < 5 { // some early, some late
				p.Ask("SEND", fmt.Sprintf("%d %s", sent, strings.Repeat("y", 1000)), "destination:/queue/"+front, "persistent:true")
			}
			sent++
		})
		n.Kill()
		n.Restart()
	}
	await(t, "that the space is given back", func() bool { return used(t, dir) < pinned })
	require.Less(t, top, int64(pinned+120*mib))
	s := raw.Login(t, n.Addr("stomp"), "1.2")
	s.Send(subscribe, "", "destination:/queue/"+front, "id:1")
	var want, got []string
	for i := range sent {
		if i%7 < 5 {
			want = append(want, fmt.Sprint(i))
		}
	}
	p := raw.Login(t, n.Addr("stomp"), "1.2")
	p.Ask("SEND", "end", "destination:/queue/"+front, "persistent:true")
	for m := s.Expect("MESSAGE"); m.Body != "end"; m = s.Expect("MESSAGE") {
		number, _, _ := strings.Cut(m.Body, " ")
		got = append(got, number)
	}
	require.Equal(t, want, got)
	t.Logf("at most %d MiB on disk; at the end %d MiB", top/mib, used(t, dir)/mib)
}
