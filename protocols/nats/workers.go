package nats

import (
	"fmt"
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
	cfg  *Config
	conn *natsgo.Conn
	// leaf hands out messages and statuses.
	leaf    *leaf.Conn
	session gateway.Session
	inboxes *inboxes
	handed  *atomic.Uint64
	book    book
	started time.Time
	// base is added to the broker's tags, so that no message has the number of one
	// before the last start.
	base uint64
	// traces is the subject below which the server answers whose connection an inbox is.
	traces string
	subs   []*intake

	mu          sync.Mutex
	consumers   map[string]*consumer
	connections map[uint64]*connection
	// asking are pull requests whose connections are being asked for.
	asking  map[string]*pull
	asked   uint64
	alarms  alarms
	sweeper alarm
	leaving bool
	forgot  bool // consumers that are in the book still
	flush   bool // something was written to leaf
	batch   []gateway.Delivery

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
		cfg: cfg, conn: cfg.Workers, session: session, inboxes: i, handed: handed, book: book{path: cfg.Book},
		started: now, base: uint64(now.UnixMicro()), traces: natsgo.NewInbox() + ".",
		consumers: make(map[string]*consumer), connections: make(map[uint64]*connection), asking: make(map[string]*pull),
		batch: make([]gateway.Delivery, takeMost),
		rouse: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	ws.sweeper.ring = ws.sweep
	ws.acks.init(ws.rouse)
	return ws
}

// open reads the book and begins to serve. Whatever comes of it, close must be called. lost
// is told when the server lets the door hand out nothing any more.
func (ws *workers) open(lost func(error)) error {
	entries, err := ws.book.read()
	if err != nil {
		close(ws.done)
		return err
	}
	for _, e := range entries {
		if c, err := newConsumer(ws, e.Config, e.Created); err == nil {
			ws.consumers[c.name] = c
		}
	}
	if ws.leaf, err = leaf.Dial(ws.cfg.Leaf, lost); err != nil {
		close(ws.done)
		return err
	}
	go ws.run()
	for _, s := range []struct {
		conn    *natsgo.Conn
		subject string
		handler natsgo.MsgHandler
	}{
		{ws.conn, "$JS.>", ws.receive},
		{ws.conn, ws.traces + "*", ws.traced},
		{ws.cfg.Inbound, disconnects, ws.disconnected},
	} {
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
	return ws.conn.FlushTimeout(flushWithin)
}

// receive is the callback for all that clients say, one after another: who settles
// something and then asks for more is heard in this order.
func (ws *workers) receive(m *natsgo.Msg) {
	if strings.HasPrefix(m.Subject, jsapi.AckPrefix) {
		ws.settle(m)
	} else if id, ok := strings.CutPrefix(m.Subject, partings); ok {
		ws.parted(id)
	} else {
		ws.request(m)
	}
}

// set has an alarm ring after a time. What clients ask for is bounded here, so that no
// time comes before now. The lock is held.
func (ws *workers) set(a *alarm, after time.Duration) {
	after = min(max(after, 0), jsapi.LongestDelay)
	if ws.alarms.put(a, ws.cfg.Clock().UnixNano()+int64(after)) {
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
		ws.keepBook()
	}
}

// sendOut has the server get what was written for clients.
func (ws *workers) sendOut() {
	ws.mu.Lock()
	flush := ws.flush
	ws.flush = false
	ws.mu.Unlock()
	if !flush {
		return
	}
	if err := ws.leaf.Flush(); err != nil {
		ws.cfg.Logger.Debug("nothing can be handed to native clients", "error", err)
	}
}

// turn does what is to be done now and returns when to look again at the latest.
func (ws *workers) turn() time.Duration {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	now := ws.cfg.Clock().UnixNano()
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
		}
	}
	for _, c := range ws.consumers {
		if t := c.cfg.InactiveThreshold; t > 0 && c.idle() && now.Sub(c.used) > t {
			delete(ws.consumers, c.name)
			ws.forgot = true
		}
	}
	ws.set(&ws.sweeper, sweepEvery)
}

// leave ends all pull requests and takes no more, and settles what was said of
// deliveries until now.
func (ws *workers) leave(await func(<-chan struct{}) error) error {
	ws.mu.Lock()
	ws.leaving = true
	for _, conn := range ws.connections {
		for _, w := range conn.workers {
			for len(w.pulls) > 0 {
				w.finish(w.pulls[0], "409 Server Shutdown")
			}
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
	ws.leaf.Close()
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.leaving = true
	for _, conn := range ws.connections {
		ws.lose(conn)
	}
}
