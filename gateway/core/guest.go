package core

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/attach"
	"github.com/sluice-mq/sluice/gateway/dispatch"
	"github.com/sluice-mq/sluice/gateway/ring"
)

// guests are the other nodes as they use shards of this one: like doors, with a session each.
type guests struct {
	broker *Broker
	mu     sync.Mutex
	all    map[string]*guest
	closed bool
}

// guest is a node to which there is a link. Frames of it come one after another.
type guest struct {
	broker  *Broker
	node    string
	session *session

	mu   sync.Mutex
	subs map[uint64]*guestSubscription
	// openings are subscriptions that FrameAdopt announced.
	openings map[uint64]*opening
	ready    []*guestSubscription // may have deliveries
	some     chan struct{}
	gone     chan struct{}
}

// guestSubscription is one of a client of that node.
type guestSubscription struct {
	*queueSubscription
	wire   uint64
	listed bool
	ahead  int // bytes that were sent and not passed on to the client yet
	// sending is held from when deliveries are taken until they are on the link.
	sending sync.Mutex
}

// guestBytes is how far a guest's subscription is sent ahead.
const guestBytes = ring.MostBytes

func newGuests(b *Broker) *guests { return &guests{broker: b, all: make(map[string]*guest)} }

func (gs *guests) session() *session { return gs.broker.nobody() }

func (gs *guests) of(node string) *guest {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return gs.all[node]
}

// served is of a node that is served.
func (gs *guests) served(node string) *guest {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if gs.closed {
		return nil
	}
	return gs.all[node]
}

// nodes are those to which there are links.
func (gs *guests) nodes() []string {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return slices.Collect(maps.Keys(gs.all))
}

// linked reports whether there is a link to a node.
func (gs *guests) linked(node string) bool { return gs.of(node) != nil }

func (gs *guests) welcome(node string) {
	g := &guest{broker: gs.broker, node: node, session: gs.session(), subs: make(map[uint64]*guestSubscription), openings: make(map[uint64]*opening), some: make(chan struct{}, 1), gone: make(chan struct{})}
	gs.mu.Lock()
	defer gs.mu.Unlock()
	gs.all[node] = g
	if !gs.closed {
		gs.broker.spawn(g.pump)
	}
}

// close serves guests no more: what their clients have comes back to the queues, as what clients of this node have
// does, and is marked. The links are still there, for what this node wants of others. The pumps have ended.
func (gs *guests) close() {
	gs.mu.Lock()
	gs.closed = true
	all := slices.Collect(maps.Values(gs.all))
	gs.mu.Unlock()
	for _, g := range all {
		g.leave()
	}
}

// goodbye ends all subscriptions of a node: what they have comes back to the queues.
func (gs *guests) goodbye(node string) {
	gs.mu.Lock()
	g := gs.all[node]
	delete(gs.all, node)
	gs.mu.Unlock()
	if g == nil {
		return
	}
	close(g.gone)
	gs.broker.seekers.forget(func(k seekKey, _ sought) bool { return k.node == node })
	g.leave()
	for _, t := range gs.broker.seats {
		if s := t.here.Load(); s != nil {
			s.offered(node)
		}
	}
}

// leave ends all subscriptions.
func (g *guest) leave() {
	g.mu.Lock()
	subs := g.subs
	g.subs = make(map[uint64]*guestSubscription)
	clear(g.openings)
	g.mu.Unlock()
	for _, sub := range subs {
		sub.Close()
	}
}

// receive does what a frame asks for, if this node owns the shard in the frame's epoch.
func (gs *guests) receive(node string, f *gateway.Frame) {
	g := gs.served(node)
	if g == nil {
		return
	}
	s := gs.broker.seats[f.Shard].here.Load()
	if s == nil || s.epoch != f.Epoch {
		gs.broker.cfg.Cluster.Send(node, &gateway.Frame{Kind: gateway.FrameStale, Shard: f.Shard, Epoch: f.Epoch})
		return
	}
	switch f.Kind {
	case gateway.FrameOffered:
		s.offered(node)
	case gateway.FrameSend, gateway.FrameSettle, gateway.FrameCommit, gateway.FrameDrop, gateway.FrameRoom:
		s.serve(f, g.done(f))
	case gateway.FrameAdopt:
		g.announced(s, f)
	case gateway.FrameSubscribe:
		if !g.hold(f) {
			g.subscribe(s, f, 0, nil)
		}
	case gateway.FrameRelease:
		s.letGo(f.Transaction)
	case gateway.FrameBrowse:
		g.browse(s, f)
	case gateway.FrameSeek:
		g.seek(s, f)
	case gateway.FrameOperate:
		g.operate(s, f)
	default:
		if o := g.opened(f); o != nil {
			g.subscribe(s, o.frame, int(f.Count), o.had)
			return
		}
		g.use(f)
	}
}

// done answers a call.
func (g *guest) done(f *gateway.Frame) func(error) {
	shard, epoch, number := f.Shard, f.Epoch, f.Number
	return func(err error) {
		if number == 0 {
			return
		}
		if hasMoved(err) {
			g.broker.cfg.Cluster.Send(g.node, &gateway.Frame{Kind: gateway.FrameStale, Shard: shard, Epoch: epoch})
			return
		}
		answer := &gateway.Frame{Kind: gateway.FrameDone, Shard: shard, Epoch: epoch, Number: number}
		if err != nil {
			answer.Err = publicError(err)
		}
		g.broker.cfg.Cluster.Send(g.node, answer)
	}
}

// publicError is an error as another node may see it; its cause is in this one's log.
func publicError(err error) *gateway.Error {
	return &gateway.Error{Kind: gateway.KindOf(err), Text: gateway.TextOf(err)}
}

// subscribe opens a subscription with so much more credit than its prefetch, and with what its client has already.
func (g *guest) subscribe(s *shard, f *gateway.Frame, credit int, had []dispatch.Had) {
	gsub := &guestSubscription{wire: f.Subscription}
	o := gateway.SubscribeOptions{
		Destination: gateway.Destination{Kind: gateway.KindQueue, Name: f.Queue}, Prefetch: int(f.Count), Wake: func() { g.list(gsub) },
	}
	wish(&o, f.Consumer)
	gsub.queueSubscription = newQueueSubscription(g.session, s, o)
	gsub.wild = f.Tag == attach.Wild
	g.mu.Lock()
	g.subs[f.Subscription] = gsub
	g.mu.Unlock()
	seqs, tags := gsub.Resume(credit, had)
	g.tellAdopted(gsub, seqs, tags)
	g.list(gsub)
}

// use is what concerns a subscription that is open.
func (g *guest) use(f *gateway.Frame) {
	g.mu.Lock()
	sub := g.subs[f.Subscription]
	if sub != nil && f.Kind == gateway.FrameTaken {
		sub.ahead = max(sub.ahead-int(f.Count), 0)
	}
	if f.Kind == gateway.FrameUnsubscribe {
		delete(g.subs, f.Subscription)
	}
	g.mu.Unlock()
	done := g.done(f)
	if sub == nil {
		done(gateway.Errorf(gateway.NotFound, "no such subscription"))
		return
	}
	switch f.Kind {
	case gateway.FrameTaken:
		g.list(sub)
	case gateway.FrameAck:
		switch {
		case f.Number == 0:
			sub.Ack(f.Tags, nil, 0)
		case len(f.Tags) == 0:
			sub.standstill(func() { done(nil) })
		default:
			sub.SettleNow(f.Tags, false, doneFunc(done), 0)
		}
	case gateway.FrameNack:
		sub.Nack(f.Tags, doneFunc(done), 0)
	case gateway.FrameExtend:
		sub.Extend(int(f.Count))
	case gateway.FrameGiveBack:
		_ = sub.Release(f.Tags, gateway.Return{Redelivered: f.Count == 1, Delay: time.Duration(f.Delay) * time.Millisecond}) // those that it does not have it has given back before
	case gateway.FrameUnsubscribe:
		sub.closeWith(f.Tags)
		done(nil)
	}
}

// list has the pump look at a subscription.
func (g *guest) list(sub *guestSubscription) {
	g.mu.Lock()
	if !sub.listed {
		sub.listed = true
		g.ready = append(g.ready, sub)
	}
	g.mu.Unlock()
	select {
	case g.some <- struct{}{}:
	default:
	}
}

// pump sends deliveries as long as the node is there and this one is in touch with the cluster.
func (g *guest) pump() {
	buf := make([]gateway.Delivery, 64)
	for {
		select {
		case <-g.broker.life.Done():
			return
		case <-g.gone:
			return
		case <-g.some:
		}
		g.mu.Lock()
		ready := g.ready
		g.ready = nil
		for _, sub := range ready {
			sub.listed = false
		}
		g.mu.Unlock()
		for _, sub := range ready {
			g.deliver(sub, buf)
		}
	}
}

func (g *guest) deliver(sub *guestSubscription, buf []gateway.Delivery) {
	for {
		g.mu.Lock()
		room := guestBytes - sub.ahead
		g.mu.Unlock()
		if room <= 0 || !g.broker.inTouch() || sub.shard.replaced.Load() || g.pass(sub, buf, room) == 0 {
			return // a frame, or the sweep, lists it again, unless it ends
		}
	}
}

// pass sends what a subscription has for its node, as far as there is room.
func (g *guest) pass(sub *guestSubscription, buf []gateway.Delivery, room int) (n int) {
	sub.sending.Lock()
	defer sub.sending.Unlock()
	n = sub.Next(buf, room)
	for _, d := range buf[:n] {
		g.mu.Lock()
		sub.ahead += d.Message.Size()
		g.mu.Unlock()
		g.broker.cfg.Cluster.Send(g.node, &gateway.Frame{
			Kind: gateway.FrameDeliver, Shard: sub.shard.index, Epoch: sub.shard.epoch, Subscription: sub.wire,
			Tag: d.Tag, Seq: d.Seq, Redeliveries: d.Redeliveries, Message: d.Message,
		})
	}
	clear(buf[:n])
	return n
}

// standstill takes back what waits for its node, and answers behind all that it has been sent. Who asks for it has taken its credit back before.
func (sub *guestSubscription) standstill(answer func()) {
	sub.sending.Lock()
	defer sub.sending.Unlock()
	sub.shard.on(sub.queue, func(q *queue, fx *dispatch.Effects) {
		_ = sub.takeBack(q, nil, fx) // what is in the ring is in flight here, unless the subscription is closed
	})
	answer()
}

// again has all subscriptions looked at: something that held them up may be over.
func (gs *guests) again() {
	gs.mu.Lock()
	all := slices.Collect(maps.Values(gs.all))
	gs.mu.Unlock()
	for _, g := range all {
		g.mu.Lock()
		subs := slices.Collect(maps.Values(g.subs))
		g.mu.Unlock()
		for _, sub := range subs {
			g.list(sub)
		}
	}
}

// commit carries out another node's transaction, of which the shard has the first message.
func (gs *guests) commit(s *shard, f *gateway.Frame, done func(error)) {
	t := &commitment{session: gs.session(), coordinator: s, id: f.Transaction, stored: f.Messages, c: doneFunc(done)}
	t.session.committing++
	t.begin()
}
