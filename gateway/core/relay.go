package core

import (
	"sync"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	// linkMessages and linkBytes bound what goes to another node ahead of its saying that it has handed it out. The last
	// message may reach beyond linkBytes.
	linkMessages = 16384
	linkBytes    = 16 << 20
	// heardShare of them is said at once.
	heardShare = 16
	// parkShare times as much may wait for them, with its senders.
	parkShare = 4
	// parkMillis is how long it may wait. A subscriber there that does not keep up is let go before that, so that
	// the others there lose nothing for it.
	parkMillis = 2 * graceMillis
)

// peer is another node while there is a link to it, as far as topics go.
type peer struct {
	broker *Broker
	node   string

	// What it wants. Guarded by the hub's lock.
	interests map[uint64]*interest
	exact     map[string][]*interest
	patterns  []*interest
	known     uint64 // the last one's name
	told      uint64 // the last one of ours that it knows

	mu     sync.Mutex
	gone   bool
	ahead  amount // on its way there
	parked []parked
	behind amount // of parked
	handed amount // of its messages, handed out here and not said yet
	// slow: something was dropped, because it did not keep up.
	slow    bool
	dropped uint64
}

// amount is of messages.
type amount struct{ messages, bytes int }

func (a *amount) add(bytes int) {
	a.messages++
	a.bytes += bytes
}

// take takes no more than there is: what another node says of it may be anything.
func (a *amount) take(messages, bytes uint64) {
	a.messages -= int(min(messages, uint64(a.messages)))
	a.bytes -= int(min(bytes, uint64(a.bytes)))
}

// isBelow reports whether there is less of it than a link may carry, times n over m.
func (a *amount) isBelow(n, m int) bool {
	return a.messages < linkMessages*n/m && a.bytes < linkBytes*n/m
}

// parked is a message that waits for its turn, with its sender.
type parked struct {
	m     *gateway.Message
	leg   leg
	w     waiter
	since int64
}

// relay sends a message to the node. If that is far behind, it keeps the sender's completion until the message is on its
// way or the node's grace is over, and reports true.
func (l *leg) relay(m *gateway.Message, w waiter) (held bool) {
	p, size := l.to, m.Size()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.gone:
	case len(p.parked) == 0 && p.ahead.isBelow(1, 1):
		p.send(m, l, size)
	case p.slow || !p.behind.isBelow(parkShare, 1):
		p.drop(1)
	default:
		p.parked = append(p.parked, parked{m, *l, w, p.broker.nowMillis()})
		p.behind.add(size)
		return w.c != nil
	}
	return false
}

// send puts a message on its way. The lock is held, so that the order stays.
func (p *peer) send(m *gateway.Message, l *leg, size int) {
	p.ahead.add(size)
	p.broker.counts.topicRelayed.Add(1)
	p.broker.cfg.Cluster.Send(p.node, &gateway.Frame{Kind: gateway.FramePublish, Message: m, Tags: l.skip, Seq: l.known})
}

// drop counts messages that the node does not get. The lock is held.
func (p *peer) drop(n int) {
	p.dropped += uint64(n)
	p.broker.counts.topicDroppedLinks.Add(uint64(n))
}

// heardOf makes room for what waits: so much was handed out over there.
func (p *peer) heardOf(messages, bytes uint64) {
	p.mu.Lock()
	p.ahead.take(messages, bytes)
	n := 0
	for n < len(p.parked) && !p.gone && p.ahead.isBelow(1, 1) {
		x := &p.parked[n]
		p.send(x.m, &x.leg, x.m.Size())
		n++
	}
	done := p.unpark(n)
	if p.slow && len(p.parked) == 0 && p.ahead.isBelow(1, 2) {
		p.broker.cfg.Logger.Info("a slow node has caught up", "peer", p.node, "dropped", p.dropped)
		p.slow, p.dropped = false, 0
	}
	p.mu.Unlock()
	release(done)
}

// unpark takes the first n parked messages away. The lock is held; who waited is to be released without it.
func (p *peer) unpark(n int) (done []parked) {
	done = p.parked[:n:n]
	p.parked = p.parked[n:]
	if len(p.parked) == 0 {
		p.parked = nil
	}
	for i := range done {
		p.behind.take(1, uint64(done[i].m.Size()))
	}
	return done
}

func release(done []parked) {
	for i := range done {
		complete(done[i].w.c, done[i].w.token, nil)
	}
}

// letGo drops what has waited for long enough, and nothing more waits until the node has caught up.
func (p *peer) letGo(now int64) {
	p.mu.Lock()
	n := 0
	for n < len(p.parked) && max(now-p.parked[n].since, p.parked[n].since-now) > parkMillis { // the clock may be set back
		n++
	}
	if n == 0 {
		p.mu.Unlock()
		return
	}
	if !p.slow {
		p.broker.cfg.Logger.Warn("another node does not keep up with the messages of topics: it loses some", "peer", p.node,
			"ahead", p.ahead.messages, "bytes", p.ahead.bytes, "waiting", len(p.parked))
	}
	p.slow = true
	p.drop(n)
	done := p.unpark(n)
	p.mu.Unlock()
	release(done)
}

// leave is the end of the link. Nothing is said about it on the next one.
func (p *peer) leave() {
	p.mu.Lock()
	p.gone = true
	p.drop(len(p.parked))
	done := p.unpark(len(p.parked))
	p.mu.Unlock()
	release(done)
}

// Complete implements gateway.Completion: a message of so many bytes from the node was handed out here.
func (p *peer) Complete(bytes uint64, _ error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handed.add(int(bytes))
	if p.gone || p.handed.isBelow(1, heardShare) {
		return
	}
	f := &gateway.Frame{Kind: gateway.FrameHeard, Count: int64(p.handed.messages), Seq: uint64(p.handed.bytes)}
	p.handed = amount{}
	p.broker.cfg.Cluster.Send(p.node, f)
}
