package nats

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/nats/jsapi"
	"github.com/sluice-mq/sluice/protocols/nats/leaf"
)

// workers serves native clients that consume queues: it answers their JetStream
// requests, and is one subscriber of the broker for each connection and consumer. Everything below is guarded by mu,
// but for what says otherwise; broker and server are called under it, and neither calls back into it.
type workers struct {
	cfg      *Config
	conn     *natsgo.Conn
	session  gateway.Session
	inboxes  *inboxes
	handed   *atomic.Uint64
	book     book
	requests requests // these have
	streams  streams  // locks of their own
	started  time.Time
	server   string // which the clients are connected to
	// base is added to the broker's tags, so that no message has the number of one
	// before the last start.
	base uint64
	// traces is the subject below which the server answers whose connection an inbox is.
	traces string
	subs   []*intake
	// lost gets the error of a leaf that is lost; kept is closed when nobody makes another.
	lost  chan error
	kept  chan struct{}
	flush atomic.Bool // something was written to leaf

	mu sync.Mutex
	// leaf hands out messages and statuses; nil while it is lost.
	leaf      *leaf.Conn
	consumers map[string]*consumer
	// gone are consumers that were deleted, in a cluster, and nearby is what was told to other nodes.
	gone        map[string]bookEntry
	nearby      nearby
	connections map[uint64]*connection
	// asking are pull requests whose connections are being asked for.
	asking  map[string]*pull
	asked   uint64
	alarms  alarms
	sweeper alarm
	leaving bool
	batch   []gateway.Delivery
	round   uint64 // counts hand-outs
	// refusals are the requests that are refused later.
	refusals int

	wakes wakes
	acks  confirmations

	rouse      chan struct{}
	stop, done chan struct{}
}

// wakes are the workers for which something waits at the broker.
type wakes struct {
	sync.Mutex
	list []*worker
}

const (
	// takeMost and takeBytes bound what is taken from the broker in one go.
	takeMost  = 64
	takeBytes = 1 << 20
	// sweepEvery is how often it is looked for what nobody told of.
	sweepEvery = time.Second
	// askWithin is how long the server may take to say whose an inbox is.
	askWithin = 5 * time.Second
	// idleWorker is for how long a subscription without requests and deliveries is kept.
	idleWorker = time.Minute
)

func newWorkers(cfg *Config, session gateway.Session, i *inboxes, handed *atomic.Uint64) *workers {
	now := cfg.Clock()
	ws := &workers{
		cfg: cfg, conn: cfg.Workers, session: session, inboxes: i, handed: handed,
		started: now, base: baseOf(cfg.Node, now), server: cfg.Inbound.ConnectedServerId(), traces: natsgo.NewInbox() + ".",
		consumers: make(map[string]*consumer), gone: make(map[string]bookEntry), connections: make(map[uint64]*connection), asking: make(map[string]*pull),
		batch: make([]gateway.Delivery, takeMost),
		lost:  make(chan error, 1), kept: make(chan struct{}),
		rouse: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	ws.book.init(cfg.Book)
	ws.requests.open = make(map[string]*natsgo.Msg)
	ws.streams.init(cfg)
	ws.sweeper.ring = ws.sweep
	ws.acks.init(ws.rouse)
	return ws
}

// baseOf is where the numbers of a node's messages begin. Those of the nodes of a cluster are far apart, so that
// what a worker says of a delivery to another node than it had it from means nothing there. They stay below 2^53.
func baseOf(node string, now time.Time) uint64 {
	base := uint64(now.UnixMicro())
	if node == "" {
		return base
	}
	name := fnv.New32a()
	_, _ = name.Write([]byte(node))
	return base + uint64(name.Sum32()%(1<<12))<<40
}

// idle says that nothing runs.
func (ws *workers) idle() {
	close(ws.done)
	close(ws.kept)
	close(ws.book.done)
}

// open reads the book and begins to serve. Whatever comes of it, close must be called.
func (ws *workers) open() error {
	entries, err := ws.book.read()
	if err != nil {
		ws.idle()
		return err
	}
	for _, e := range entries {
		if e.Gone {
			ws.gone[e.Config.Name] = e
			continue
		}
		c, err := newConsumer(ws, e.Config, e.Created)
		if err != nil {
			ws.cfg.Logger.Warn("a consumer of native clients is left out", "consumer", e.Config.Name, "error", err)
			continue
		}
		if c.stamp = e.stamp; c.stamp == (stamp{}) && ws.cfg.Node != "" { // from before there was a cluster
			c.stamp = stamp{e.Created.UnixMicro(), ws.cfg.Node}
		}
		c.note()
		ws.put(c)
	}
	if err = ws.dial(); err != nil {
		ws.idle()
		return err
	}
	go ws.run()
	go ws.keepLeaf()
	go ws.keepBook()
	for _, s := range ws.sources() {
		in := &intake{done: make(chan struct{})}
		if in.Subscription, err = s.conn.Subscribe(s.subject, s.handler); err != nil {
			return fmt.Errorf("subscribing to %s: %w", s.subject, err)
		}
		in.SetClosedHandler(func(string) { close(in.done) })
		ws.subs = append(ws.subs, in)
		if err := in.SetPendingLimits(ws.cfg.Limits.PendingMessages, ws.cfg.Limits.PendingBytes); err != nil {
			return err
		}
	}
	ws.mu.Lock()
	ws.set(&ws.sweeper, sweepEvery)
	ws.mu.Unlock()
	return errors.Join(ws.conn.FlushTimeout(flushWithin), ws.cfg.System.FlushTimeout(flushWithin))
}

// source is what is listened to.
type source struct {
	conn    *natsgo.Conn
	subject string
	handler natsgo.MsgHandler
}

func (ws *workers) sources() []source {
	all := []source{
		{ws.cfg.Inbound, ws.cfg.Prefix + "$JS.>", ws.receive},
		{ws.conn, ws.traces + "*", ws.traced},
		{ws.cfg.Inbound, ws.cfg.disconnects(), ws.disconnected},
	}
	if ws.cfg.Node != "" {
		all = append(all, source{ws.cfg.Inbound, ws.cfg.doors() + ">", ws.hear})
	}
	for _, verb := range requestVerbs() {
		all = append(all, source{ws.cfg.System, ws.cfg.Own + api + verb, ws.queued})
	}
	if ws.cfg.Account != "" {
		all = append(all, source{ws.cfg.System, ws.streams.inbox + "*", ws.streams.answered})
	}
	return all
}

// receive is the callback for all that clients say, one after another: who settles
// something and then asks for more is heard in this order.
func (ws *workers) receive(m *natsgo.Msg) {
	m.Subject = strings.TrimPrefix(m.Subject, ws.cfg.Prefix)
	if strings.HasPrefix(m.Subject, jsapi.AckPrefix) {
		ws.settle(m)
	} else if consumer, ok := strings.CutPrefix(m.Subject, pullPrefix); ok {
		ws.next(consumer, m)
	} else if token, ok := strings.CutPrefix(m.Subject, askings); ok {
		ws.request(ws.requests.take(token))
	} else if id, ok := strings.CutPrefix(m.Subject, partings); ok {
		ws.parted(id)
	}
}

// set has an alarm ring after a time. What clients ask for is bounded here, so that no
// time comes before now. The lock is held.
func (ws *workers) set(a *alarm, after time.Duration) {
	after = min(max(after, 0), jsapi.LongestDelay)
	if ws.alarms.put(a, int64(ws.cfg.elapsed()+after)) {
		tell(ws.rouse)
	}
}

// run hands out what the broker delivers, rings alarms and confirms acknowledgements,
// until stop is closed.
func (ws *workers) run() {
	defer close(ws.done)
	timer := time.NewTimer(sweepEvery)
	defer timer.Stop()
	for {
		select {
		case <-ws.stop:
			return
		case <-ws.rouse:
		case <-timer.C:
		}
		timer.Reset(ws.turn())
		ws.confirm()
		ws.sendOut()
	}
}

// turn does what is to be done now and returns when to look again at the latest.
func (ws *workers) turn() time.Duration {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	now := int64(ws.cfg.elapsed())
	for a := ws.alarms.due(now); a != nil; a = ws.alarms.due(now) {
		a.ring()
	}
	ws.wakes.Lock()
	woken := ws.wakes.list
	ws.wakes.list = nil
	ws.wakes.Unlock()
	for _, w := range woken {
		w.woken.Store(false)
		w.take()
	}
	if len(ws.alarms) == 0 {
		return sweepEvery
	}
	return min(max(time.Duration(ws.alarms[0].at-now), 0), sweepEvery)
}

// sweep finds what nobody told of: connections and inboxes that have gone, consumers
// and subscriptions that nobody uses. The lock is held.
func (ws *workers) sweep() {
	now := ws.cfg.Clock()
	for id, conn := range ws.connections {
		if !ws.cfg.Connected(id) {
			if conn.parting { // since the last time: what the door told itself was lost
				ws.lose(conn)
			} else {
				ws.part(conn)
			}
			continue
		}
		if conn.load.overdue > 0 {
			conn.look(ws)
			conn.relax()
		}
		for _, w := range conn.workers {
			w.prune()
			if w.fund(); w.idle() && now.Sub(w.used) > idleWorker {
				w.close()
			}
		}
		if len(conn.workers) == 0 {
			delete(ws.connections, id)
		}
	}
	for token, p := range ws.asking {
		if now.Sub(p.since) > askWithin {
			delete(ws.asking, token)
			ws.over(p, "408 Request Timeout")
		}
	}
	for _, c := range ws.consumers {
		if t := c.cfg.InactiveThreshold; t > 0 && c.idle() && now.Sub(c.used) > t+ws.slack() {
			ws.strike(c)
			ws.spread(ws.bury(c))
			ws.writeBook(nil)
		}
	}
	ws.streams.forget(now)
	ws.greet()
	ws.set(&ws.sweeper, sweepEvery)
}

// leave ends all pull requests and takes no more, and settles what was said of
// deliveries and consumers until now.
func (ws *workers) leave(await func(<-chan struct{}) error) error {
	ws.mu.Lock()
	ws.leaving = true
	for _, conn := range ws.connections {
		for _, w := range conn.workers {
			w.finishAll("409 Server Shutdown")
			w.fund()
		}
	}
	ws.mu.Unlock()
	for _, in := range ws.subs {
		if err := in.Drain(); err != nil {
			return err
		}
	}
	for _, in := range ws.subs {
		if err := await(in.done); err != nil {
			return err
		}
	}
	close(ws.book.stop)
	if err := await(ws.book.done); err != nil {
		return err
	}
	ws.acks.leave()
	return await(ws.acks.empty)
}

// close ends what still runs. The connections must be closed already.
func (ws *workers) close() {
	for _, in := range ws.subs {
		<-in.done
	}
	close(ws.stop)
	<-ws.done
	<-ws.kept
	select {
	case <-ws.book.stop:
	default:
		close(ws.book.stop)
	}
	<-ws.book.done
	ws.leaf.Close() // which nobody changes any more
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.leaving = true
	for _, conn := range ws.connections {
		ws.lose(conn)
	}
}
