// Package relay bounds what goes to another node ahead of its saying that it has handed it out: a node that does not keep up slows senders down for a while, and then loses
// messages, so that the others do not.
package relay

import (
	"log/slog"
	"sync"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/completion"
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
	// parkMillis is how long it may wait. A subscriber there that does not keep up is let go in half of that, so that
	// the others there lose nothing for it.
	parkMillis = 2000
)

// Node is the other end. Safe for concurrent use; it is called with the link's lock held, and does not block.
type Node interface {
	// Send sends it a frame.
	Send(f *gateway.Frame)
	// Relayed is told of each message that goes there, and Dropped of those that do not.
	Relayed()
	Dropped(n int)
}

// Link is a link to another node, as far as topics go. Safe for concurrent use. It implements gateway.Completion for messages that came from there: the token is how many
// bytes of one were handed out here.
type Link struct {
	to     Node
	name   string
	logger *slog.Logger

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
	skip  []uint64
	known uint64
	c     gateway.Completion
	token uint64
	since int64
}

// New is a new link to a node of that name.
func New(to Node, name string, l *slog.Logger) *Link { return &Link{to: to, name: name, logger: l} }

// Relay sends a message to the node, as FramePublish says with what is to be skipped and what is known. If that is far behind, it keeps the sender's completion until the
// message is on its way or the node's grace is over, and reports true. now is in Unix milliseconds.
func (p *Link) Relay(m *gateway.Message, skip []uint64, known uint64, c gateway.Completion, token uint64, now int64) (held bool) {
	size := m.Size()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.gone:
	case len(p.parked) == 0 && p.ahead.isBelow(1, 1):
		p.send(m, skip, known, size)
	case p.slow || !p.behind.isBelow(parkShare, 1):
		p.drop(1)
	default:
		p.parked = append(p.parked, parked{m, skip, known, c, token, now})
		p.behind.add(size)
		return c != nil
	}
	return false
}

// send puts a message on its way. The lock is held, so that the order stays.
func (p *Link) send(m *gateway.Message, skip []uint64, known uint64, size int) {
	p.ahead.add(size)
	p.to.Relayed()
	p.to.Send(&gateway.Frame{Kind: gateway.FramePublish, Message: m, Tags: skip, Seq: known})
}

// drop counts messages that the node does not get. The lock is held.
func (p *Link) drop(n int) {
	p.dropped += uint64(n)
	p.to.Dropped(n)
}

// HeardOf makes room for what waits: so much was handed out over there.
func (p *Link) HeardOf(messages, bytes uint64) {
	p.mu.Lock()
	p.ahead.take(messages, bytes)
	n := 0
	for n < len(p.parked) && !p.gone && p.ahead.isBelow(1, 1) {
		x := &p.parked[n]
		p.send(x.m, x.skip, x.known, x.m.Size())
		n++
	}
	done := p.unpark(n)
	if p.slow && len(p.parked) == 0 && p.ahead.isBelow(1, 2) {
		p.logger.Info("a slow node has caught up", "peer", p.name, "dropped", p.dropped)
		p.slow, p.dropped = false, 0
	}
	p.mu.Unlock()
	release(done)
}

// unpark takes the first n parked messages away. The lock is held; who waited is to be released without it.
func (p *Link) unpark(n int) (done []parked) {
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
		completion.Complete(done[i].c, done[i].token, nil)
	}
}

// LetGo drops what has waited for long enough, and nothing more waits until the node has caught up.
func (p *Link) LetGo(now int64) {
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
		p.logger.Warn("another node does not keep up with the messages of topics: it loses some", "peer", p.name,
			"ahead", p.ahead.messages, "bytes", p.ahead.bytes, "waiting", len(p.parked))
	}
	p.slow = true
	p.drop(n)
	done := p.unpark(n)
	p.mu.Unlock()
	release(done)
}

// Leave is the end of the link. Nothing is said about it on the next one.
func (p *Link) Leave() {
	p.mu.Lock()
	p.gone = true
	p.drop(len(p.parked))
	done := p.unpark(len(p.parked))
	p.mu.Unlock()
	release(done)
}

// Complete implements gateway.Completion: a message of so many bytes from the node was handed out here.
func (p *Link) Complete(bytes uint64, _ error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handed.add(int(bytes))
	if p.gone || p.handed.isBelow(1, heardShare) {
		return
	}
	f := &gateway.Frame{Kind: gateway.FrameHeard, Count: int64(p.handed.messages), Seq: uint64(p.handed.bytes)}
	p.handed = amount{}
	p.to.Send(f)
}
