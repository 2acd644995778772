package interop

import (
	"fmt"
	"time"

	stomp "github.com/go-stomp/stomp/v3"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
)

// shovel is the sender of XRootD's monitoring: go-stomp, a receipt for each packet, and another connection
// whenever something is wrong, as well as once an hour.
type shovel struct {
	p     *play
	topic string
	turn  int // of the nodes that the alias gives it
	conn  *stomp.Conn
}

// reconnect takes the next node that answers.
func (s *shovel) reconnect() {
	if s.conn != nil {
		_ = s.conn.Disconnect() // it logs that and goes on
	}
	for until := time.Now().Add(s.p.soon); ; {
		s.turn++
		addr := s.p.cluster.Nodes[s.turn%len(s.p.cluster.Nodes)].Where("stomp")
		conn, err := stomp.Dial("tcp", addr, stomp.ConnOpt.Login("guest", "guest"))
		if err == nil {
			s.conn = conn
			return
		}
		require.True(s.p, time.Now().Before(until), "no node takes it: %v", err)
	}
}

// publish sends a packet until a receipt has come for it.
func (s *shovel) publish(packet string) {
	for until := time.Now().Add(s.p.soon); ; {
		err := s.conn.Send(s.topic, "text/plain", []byte(packet), stomp.SendOpt.Receipt)
		if err == nil {
			return
		}
		require.True(s.p, time.Now().Before(until), "no receipt comes: %v", err)
		s.reconnect()
	}
}

// reader is somebody who listens on a node.
func (s *shovel) reader(node int, destination string) *stomp.Subscription {
	c, err := stomp.Dial("tcp", s.p.at(node), stomp.ConnOpt.Login("guest", "guest"))
	require.NoError(s.p, err)
	s.p.Cleanup(func() { _ = c.MustDisconnect() })
	sub, err := c.Subscribe(destination, stomp.AckAuto)
	require.NoError(s.p, err)
	return sub
}

// packet awaits one, and returns "" if none comes within a time.
func packet(p *play, sub *stomp.Subscription, within time.Duration) string {
	select {
	case m := <-sub.C:
		require.NotNil(p, m, "the subscription ended")
		require.NoError(p, m.Err)
		return string(m.Body)
	case <-time.After(within):
		return ""
	}
}

// shoveler changes nodes in the middle of its work.
func shoveler(p *play) {
	s := &shovel{p: p, topic: "/topic/xrootd.shoveler"}
	sub := s.reader(2, s.topic)
	for range p.cluster.Nodes { // they tell one another who listens
		s.reconnect()
		for heard := ""; heard != "first"; {
			s.publish("first")
			heard = packet(p, sub, p.soon/100)
		}
	}
	for i := range 150 {
		if i%25 == 24 {
			s.reconnect()
		}
		s.publish(fmt.Sprint(i))
	}
	require.NoError(p, s.conn.Disconnect())
	seen := map[string]int{}
	for len(seen) < 150 {
		got := packet(p, sub, p.soon)
		require.NotEmpty(p, got, "only %d packets came", len(seen))
		if got != "first" {
			seen[got]++
		}
	}
	for got, n := range seen {
		require.Equal(p, 1, n, got)
	}
}

// shovelerLosesANode has a node die under it. What it got a receipt for is in the queue of the virtual topic.
func shovelerLosesANode(p *play) {
	const queue = "/queue/Consumer.gracc.xrootd.packets"
	s := &shovel{p: p, topic: "/topic/xrootd.packets"}
	sub := s.reader(2, queue)
	known := raw.Login(p, p.at(2), "1.1") // its receipt says that all nodes know of the queue, for which go-stomp does not wait
	ask(p, known, "SUBSCRIBE", "", "id:known", "destination:"+queue)
	known.Ask("UNSUBSCRIBE", "", "id:known")
	s.turn = 2 // so that the next one is the first
	s.reconnect()
	s.publish("first")
	require.Equal(p, "first", packet(p, sub, p.soon), "no packet came")
	seen := map[string]bool{}
	come := func(number int) {
		for len(seen) < number {
			got := packet(p, sub, p.soon)
			require.NotEmpty(p, got, "only %d packets came", len(seen))
			seen[got] = true // one whose receipt was lost is there twice
		}
	}
	for i := range 100 {
		if i == 50 {
			come(50) // its packets are not persistent: the node that has them may be the one that dies
			p.cluster.Nodes[0].Kill()
		}
		s.publish(fmt.Sprint(i))
	}
	come(100)
	p.cluster.Nodes[0].Launch()
	p.cluster.Nodes[0].AwaitReady()
}
