package jetstream

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

const (
	// greetEvery is the rhythm in which nodes greet one another.
	greetEvery = 100 * time.Millisecond
	// contactFor is how long after a greeting that a majority answered an owner may go on.
	contactFor = embed.Patience
	// sheetSize is from where on frames wait for the next sheet.
	sheetSize = 256 << 10
)

// What nodes say to one another goes to linkSubject + the listener + "." + the speaker; who does
// not know who is there says it to helloSubject + the speaker.
const (
	linkSubject  = "n.link."
	helloSubject = "n.hello."
)

// links are a node's links to all others. It implements gateway.Peers, and knows whether this node
// has been in touch with a majority lately. Time counts from when a greeting was sent, not from when its answer was
// read: a process that was stopped finds old answers.
type links struct {
	nc     *nats.Conn
	node   string
	nodes  int // in the whole cluster
	logger *slog.Logger
	start  time.Time
	until  atomic.Int64 // nanoseconds after start

	// telling is held from an event to the end of telling of it, so that what is told keeps its order. It is taken before mu.
	telling sync.Mutex

	mu    sync.Mutex
	peer  gateway.Peer // nil until serve
	owns  []tenure
	all   map[string]*linkEnd
	lease *lease
	// soles are to be called when what this node owns since then is its alone.
	soles map[tenure]func()
	// leaving: this node wants no shards, because it was asked to leave or because its disk is full. changed is when a link came or went, or what somebody owns.
	leaving, asked, crammed bool

	changed time.Time

	done   chan struct{}
	closed sync.WaitGroup
}

// linkEnd is a link and what waits to be sent over it. Guarded by links.mu.
type linkEnd struct {
	*link
	out     []byte        // frames
	some    chan struct{} // out is not empty
	owns    []tenure      // as it said last
	leaving bool
	speaks  uint64
}

func newLinks(nc *nats.Conn, node string, nodes int, logger *slog.Logger) *links {
	return &links{
		nc: nc, node: node, nodes: nodes, logger: logger, start: time.Now(), all: make(map[string]*linkEnd), lease: newLease(node, nodes), soles: make(map[tenure]func()),
		done: make(chan struct{}),
	}
}

// open begins to greet the other nodes. Links come up when there is somebody to tell.
func (l *links) open() error {
	for _, subject := range []string{linkSubject + l.node + ".*", helloSubject + "*"} {
		sub, err := l.nc.Subscribe(subject, l.heard)
		if err == nil {
			err = sub.SetPendingLimits(-1, -1)
		}
		if err != nil {
			return fmt.Errorf("listening to the other nodes: %w", err)
		}
	}
	l.closed.Go(l.greet)
	return nil
}

// serve names who hears of links.
func (l *links) serve(p gateway.Peer) {
	l.mu.Lock()
	l.peer = p
	l.mu.Unlock()
}

func (l *links) now() int64 { return int64(time.Since(l.start)) }

// greet says hello, and greets every node that is known, until the end.
func (l *links) greet() {
	tick := time.NewTicker(greetEvery)
	defer tick.Stop()
	for {
		_ = l.nc.Publish(helloSubject+l.node, nil) // a lost connection shows in the answers
		l.look()
		select {
		case <-l.done:
			return
		case <-tick.C:
		}
	}
}

// look greets all nodes, and ends the links to those that are silent.
func (l *links) look() {
	l.telling.Lock()
	defer l.telling.Unlock()
	l.mu.Lock()
	var down []string
	for _, e := range l.all {
		if e.look(l.now()) {
			e.out = nil
			l.changed = time.Now()
			down = append(down, e.node)
		}
		l.greetLocked(e)
	}
	peer := l.peer
	l.mu.Unlock()
	for _, node := range down {
		l.tellDown(peer, node)
	}
	l.tellSole()
}

func (l *links) tellDown(peer gateway.Peer, node string) {
	l.logger.Warn("the link to another node broke", "peer", node)
	if peer != nil {
		peer.Down(node)
	}
}

// greetLocked sends what waits, or a greeting.
func (l *links) greetLocked(e *linkEnd) {
	if len(e.out) > 0 && e.up {
		l.flushLocked(e)
		return
	}
	l.sayLocked(e, nil)
}

func (l *links) sayLocked(e *linkEnd, frames []byte) {
	s := e.say(l.now(), frames)
	s.owns, s.leaving, s.speaks, s.words = l.owns, l.leaving, language, l.lease.words(l.now())
	_ = l.nc.Publish(linkSubject+e.node+"."+l.node, appendSheet(nil, &s))
}

// heard takes what another node says. It is the callback of subscriptions, so that it is called
// by one goroutine for each.
func (l *links) heard(m *nats.Msg) {
	if node, ok := strings.CutPrefix(m.Subject, helloSubject); ok {
		l.meet(node)
		return
	}
	node := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	s, err := readSheet(m.Data)
	var frames []*gateway.Frame
	if err == nil {
		frames, err = framesIn(s.frames)
	}
	if err != nil {
		l.logger.Warn("another node cannot be understood: is it of another version?", "peer", node)
		return
	}
	l.telling.Lock()
	defer l.telling.Unlock()
	l.mu.Lock()
	e := l.endLocked(node)
	if l.peer == nil || e == nil {
		l.mu.Unlock()
		return
	}
	c := e.hear(s, l.now())
	if c.down {
		e.out = nil
	}
	if c.down || c.up || !slices.Equal(e.owns, s.owns) {
		l.changed = time.Now()
	}
	e.owns, e.leaving, e.speaks = s.owns, s.leaving, s.speaks
	if c.answer {
		l.sayLocked(e, nil)
	}
	claims, peer := s.claims(node), l.peer
	later := l.lease.unknown(claims)
	l.mu.Unlock()
	l.tell(peer, node, s, c, later, frames)
	l.learn(e, s, c.echo, claims)
	l.tellSole()
}

func (l *links) tell(peer gateway.Peer, node string, s *sheet, c change, later []claim, frames []*gateway.Frame) {
	if c.down {
		l.tellDown(peer, node)
	}
	if c.up {
		l.logger.Info("linked to another node", "peer", node)
		peer.Up(node)
	}
	for _, o := range s.owns {
		peer.Owner(o.shard, node, o.epoch)
	}
	for _, o := range later {
		peer.Owner(o.shard, o.node, o.epoch)
	}
	if c.take {
		for _, f := range frames {
			peer.Receive(node, f)
		}
	}
}

// meet makes a link to a node that says hello, and greets it.
func (l *links) meet(node string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.endLocked(node); e != nil && l.peer != nil && !e.up {
		l.sayLocked(e, nil)
	}
}

// mostNodes bounds the nodes that are remembered.
const mostNodes = 64

func (l *links) endLocked(node string) *linkEnd {
	if node == l.node || node == "" {
		return nil
	}
	e := l.all[node]
	if e == nil && len(l.all) < mostNodes {
		e = &linkEnd{link: newLink(node, newSession), some: make(chan struct{}, 1)}
		l.all[node] = e
		l.closed.Go(func() { l.carry(e) })
	}
	return e
}

// newSession is a number that was not used before.
func newSession() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:]) | 1
}

// Current implements gateway.Peers.
func (l *links) Current() bool { return l.now() < l.until.Load() }

// Send implements gateway.Peers.
func (l *links) Send(node string, f *gateway.Frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.all[node]
	if e == nil || !e.up || languageOf(f.Kind) > max(e.speaks, 1) { // it would not know what to do with it
		return
	}
	e.out = appendFrame(e.out, f)
	if len(e.out) >= sheetSize {
		l.flushLocked(e)
		return
	}
	select {
	case e.some <- struct{}{}:
	default:
	}
}

func (l *links) flushLocked(e *linkEnd) {
	if len(e.out) > 0 && e.up {
		l.sayLocked(e, e.out)
		e.out = e.out[:0]
	}
}

// carry sends a link's frames as soon as somebody has time for it: what comes meanwhile goes along.
func (l *links) carry(e *linkEnd) {
	for {
		select {
		case <-l.done:
			return
		case <-e.some:
		}
		l.mu.Lock()
		l.flushLocked(e)
		l.mu.Unlock()
	}
}

func (l *links) close() {
	close(l.done)
	l.closed.Wait()
}

var _ gateway.Peers = (*links)(nil)
