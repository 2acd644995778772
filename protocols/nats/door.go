package nats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
)

// Door serves native NATS clients. Its methods may be called concurrently; Serve once.
type Door struct {
	cfg     Config
	session gateway.Session
	inboxes *inboxes
	window  window
	repeats repeats
	relay   relay
	workers *workers
	addr    net.Addr
	counts  counts
	intakes []*intake
	// faults is for refused.
	faults struct {
		next   time.Time
		silent int
	}

	// context ends when everything must end at once.
	context context.Context
	cut     context.CancelFunc
	leaving atomic.Bool
	lost    chan struct{} // gets something when a connection is
	// deaf: the broker gives it no more topic messages.
	deaf atomic.Bool
	// answered is closed when no PubAck comes any more, over when nothing runs any more.
	answered, over chan struct{}
}

// intake is a subscription to what native clients publish.
type intake struct {
	*natsgo.Subscription
	done    chan struct{} // closed after the last callback
	dropped atomic.Uint64 // as of its end
}

// New opens the door: what native clients publish from here on is taken. It takes
// cfg's connections and session over, also when it fails. Whatever becomes of the door, Drain it.
func New(cfg Config) (*Door, error) {
	cfg, err := cfg.complete()
	if err != nil {
		for _, nc := range cfg.connections() {
			nc.Close() // which a nil one allows
		}
		if cfg.Session != nil {
			cfg.Session.Close()
		}
		return nil, err
	}
	d := &Door{cfg: cfg, lost: make(chan struct{}, 1), answered: make(chan struct{}), over: make(chan struct{})}
	d.context, d.cut = context.WithCancel(context.Background())
	d.window.init(cfg.Limits)
	d.relay.init()
	d.repeats.init(cfg.Limits.MessageIDs)
	if err := d.open(); err != nil {
		d.cut()
		d.window.close()
		d.disconnect()
		if d.workers != nil {
			d.workers.close()
		}
		if d.session != nil {
			d.session.Close()
		}
		return nil, fmt.Errorf("nats: %w", err)
	}
	return d, nil
}

func (d *Door) open() (err error) {
	if d.session = d.cfg.Session; d.session == nil {
		login := gateway.Login{Protocol: "nats", Remote: doorRemote}
		if d.session, err = d.cfg.Broker.Open(d.context, login); err != nil {
			return fmt.Errorf("opening a session: %w", err)
		}
	}
	if d.inboxes, err = newInboxes(d.cfg.User); err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	sub, err := d.subscribe()
	if err != nil {
		return fmt.Errorf("subscribing to all topics: %w", err)
	}
	for _, nc := range d.cfg.connections() {
		nc.SetErrorHandler(d.complain)
		nc.SetClosedHandler(func(*natsgo.Conn) { tell(d.lost) })
		if nc.IsClosed() {
			return natsgo.ErrConnectionClosed
		}
	}
	for _, root := range []string{queueRoot, topicRoot} {
		in, err := d.listen(root)
		if err != nil {
			return fmt.Errorf("subscribing to %s>: %w", root, err)
		}
		d.intakes = append(d.intakes, in)
	}
	d.workers = newWorkers(&d.cfg, d.session, d.inboxes, &d.counts.handed)
	if err := d.workers.open(); err != nil {
		return err
	}
	if err := d.cfg.Inbound.FlushTimeout(flushWithin); err != nil {
		return fmt.Errorf("waiting for the server: %w", err)
	}
	if d.addr, err = d.cfg.Listen(); err != nil {
		return err
	}
	go d.answer()
	go d.carry(sub)
	return nil
}

// flushWithin bounds waiting for the server, which is in this process.
const flushWithin = 10 * time.Second

func (d *Door) listen(root string) (*intake, error) {
	sub, err := d.cfg.Inbound.Subscribe(d.cfg.Prefix+root+">", d.receive)
	if err != nil {
		return nil, err
	}
	in := &intake{Subscription: sub, done: make(chan struct{})}
	sub.SetClosedHandler(func(string) { close(in.done) })
	if err := sub.SetPendingLimits(d.cfg.Limits.PendingMessages, d.cfg.Limits.PendingBytes); err != nil {
		return nil, err
	}
	return in, nil
}

// complain logs what the connection reports: above all that messages were dropped.
func (d *Door) complain(_ *natsgo.Conn, sub *natsgo.Subscription, err error) {
	switch {
	case sub != nil && errors.Is(err, natsgo.ErrSlowConsumer):
		dropped, _ := sub.Dropped()
		d.cfg.Logger.Warn("native messages are dropped: they come faster than the broker takes them", "subject", sub.Subject, "dropped", dropped)
	case errors.Is(err, natsgo.ErrBadHeaderMsg): // refused by itself
	default:
		d.cfg.Logger.Warn("a connection for native clients reports an error", "error", err)
	}
}

// Addr is where native clients connect.
func (d *Door) Addr() net.Addr { return d.addr }

// Serve returns nil after Drain. When ctx is done or the embedded server is gone, it
// ends everything at once and says so. Nothing of the door runs when it returns.
func (d *Door) Serve(ctx context.Context) error {
	var err error
	select {
	case <-d.over:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-d.lost:
		if !d.leaving.Load() {
			err = errors.New("nats: the connection to the embedded server is lost")
		}
	}
	if err != nil {
		d.cut()
	}
	_ = d.Drain(context.Background()) // cut off, or under way in another goroutine
	return err
}

// Drain takes no more messages from native clients, waits until the broker has
// answered for those it got, sends their PubAcks and what still waits for native
// subscribers, and ends. With ctx's error it ends at once.
func (d *Door) Drain(ctx context.Context) error {
	if d.leaving.Swap(true) {
		select {
		case <-d.over:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("nats: drain: %w", ctx.Err())
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.context, cancel)()
	err := d.finish(ctx)
	d.close()
	close(d.over)
	if err != nil {
		return fmt.Errorf("nats: drain: %w", err)
	}
	return nil
}

// finish brings everything to its end in order.
func (d *Door) finish(ctx context.Context) error {
	await := func(done <-chan struct{}) error {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, in := range d.workers.subs {
		d.keepDropped(in)
	}
	for _, in := range d.intakes {
		d.keepDropped(in)
		if err := in.Drain(); err != nil {
			return err
		}
	}
	for _, in := range d.intakes {
		if err := await(in.done); err != nil {
			return err
		}
	}
	d.window.leave()
	if err := await(d.window.empty); err != nil {
		return err
	}
	if err := d.workers.leave(await); err != nil {
		return err
	}
	close(d.relay.stop)
	if err := await(d.relay.done); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, flushWithin)
	defer cancel()
	return errors.Join(d.cfg.Answers.FlushWithContext(ctx), d.cfg.Inbound.FlushWithContext(ctx), d.cfg.Outbound.FlushWithContext(ctx), d.cfg.Workers.FlushWithContext(ctx), d.cfg.System.FlushWithContext(ctx))
}

// disconnect closes the connections and waits for the last callback.
func (d *Door) disconnect() {
	for _, nc := range d.cfg.connections() {
		nc.Close()
	}
	for _, in := range d.intakes {
		<-in.done
	}
}

// close ends what finish has not and waits for every goroutine.
func (d *Door) close() {
	d.cut()
	d.window.close()
	d.disconnect()
	select {
	case <-d.relay.stop:
	default:
		close(d.relay.stop)
	}
	<-d.relay.done
	<-d.answered
	d.workers.close()
	d.session.Close()
}

// keepDropped remembers what a subscription forgets when it ends.
func (d *Door) keepDropped(in *intake) {
	if n, err := in.Dropped(); err == nil {
		in.dropped.Store(uint64(n))
	}
}

var _ interface {
	Addr() net.Addr
	Serve(context.Context) error
	Drain(context.Context) error
} = (*Door)(nil)
