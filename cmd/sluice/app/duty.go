package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// duty takes a running node out of service and back.
type duty struct {
	life *life
	// there: the node has all its parts.
	there atomic.Bool

	reloading sync.Mutex    // held by Reload
	reloads   atomic.Uint64 // how often identities and rules may have changed
	busy      sync.Mutex    // held by the operation that changes something
	away      bool          // the clients were sent away
	// repel ends that native clients' connections are closed; repelled waits for it.
	repel    context.CancelFunc
	repelled sync.WaitGroup
	// interrupt ends the operation under way.
	mu        sync.Mutex
	interrupt context.CancelFunc
}

var errBusy = errors.New("another operation is under way")

// begin makes an operation the only one, and lets stop interrupt it.
func (d *duty) begin(ctx context.Context) (context.Context, func(), error) {
	if !d.busy.TryLock() {
		return nil, nil, errBusy
	}
	ctx, cancel := context.WithCancel(ctx)
	d.mu.Lock()
	d.interrupt = cancel
	d.mu.Unlock()
	return ctx, func() { cancel(); d.busy.Unlock() }, nil
}

// Drain takes the node out of service, and returns when its clients have gone and its shards are with other nodes. The process goes on. After an error the node stays out of service.
func (d *duty) Drain(ctx context.Context, w io.Writer) error {
	ctx, end, err := d.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	l, t := d.life, teller{w, d.life.log}
	l.health.enter(draining)
	l.notify.say("STATUS=draining")
	if !d.away {
		if grace := time.Duration(l.cfg.drainGrace()); grace > 0 {
			t.tell("not ready any more; load balancers have time to see it", "grace", grace.String())
			if err := pause(ctx, grace); err != nil {
				return err
			}
		}
		d.dismiss(ctx, t, time.Duration(l.cfg.ShutdownTimeout)*3/5, drainable(l.node.listening()))
	}
	if err := d.handOver(ctx, t, time.Duration(l.cfg.ShutdownTimeout)); err != nil {
		return err
	}
	l.health.enter(drained)
	l.notify.say("STATUS=drained")
	t.tell("drained")
	return nil
}

// pause waits, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// drainable are the doors that can be opened again.
func drainable(doors []listener) (some []listener) {
	for _, d := range doors {
		if d.again != nil {
			some = append(some, d)
		}
	}
	return some
}

// dismiss closes doors and sends the clients away, each when its frames are answered, or when the time is over.
func (d *duty) dismiss(ctx context.Context, t teller, within time.Duration, doors []listener) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	d.away = true
	if err := drain(ctx, doors); err != nil {
		t.tell("clients were cut off", "error", err)
	}
	for _, o := range d.life.node.listening() {
		if o.protocol == Nats && d.repel == nil {
			d.repelNative(t)
		}
	}
	t.tell("no clients any more")
}

// repelEvery is how often native clients' connections are closed while the node is out of service.
const repelEvery = 100 * time.Millisecond

// repelNative closes native clients' connections and those of all that come, until readmit. Their listener stays open,
// since the server cannot open it a second time.
func (d *duty) repelNative(t teller) {
	ctx, cancel := context.WithCancel(context.Background())
	d.repel = cancel
	server := d.life.node.server
	if err := server.Warn(); err != nil {
		t.tell("native clients could not be warned", "error", err)
	}
	d.repelled.Go(func() {
		for pause(ctx, repelEvery) == nil {
			_, _ = server.Dismiss() // again soon
		}
	})
}

// readmit ends repelNative.
func (d *duty) readmit() {
	if d.repel != nil {
		d.repel()
		d.repelled.Wait()
		d.repel = nil
	}
}

// handOver gives the node's shards to others, and waits until all that was received is stored.
func (d *duty) handOver(ctx context.Context, t teller, within time.Duration) error {
	n := d.life.node
	if n.broker == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if d.life.cfg.Cluster != nil {
		// What is settled here need not be told to the next owners. It is not waited for longer: clients of other nodes send all
		// the time, and what is under way when a shard goes is taken along.
		soon, cancel := context.WithTimeout(ctx, settleFirst)
		_ = n.broker.Settle(soon)
		cancel()
		n.store.Leave()
		if err := d.shardsGone(ctx); err != nil {
			return err
		}
		t.tell("no shards any more")
	}
	if err := n.broker.Settle(ctx); err != nil {
		return err
	}
	t.tell("all that was received is stored")
	return nil
}

// settleFirst is for how long a node waits for a moment in which nothing is under way before it gives its shards away.
const settleFirst = 200 * time.Millisecond

// lookEvery is the rhythm of waiting for other nodes.
const lookEvery = 20 * time.Millisecond

func (d *duty) shardsGone(ctx context.Context) error {
	for {
		owned, others := 0, 0
		for _, n := range d.life.node.store.Nodes() {
			switch {
			case n.Name == d.life.cfg.Node:
				owned = len(n.Owns)
			case n.Linked && !n.Leaving:
				others++
			}
		}
		if owned == 0 {
			return nil
		}
		if others == 0 || pause(ctx, lookEvery) != nil {
			return fmt.Errorf("%d shards are still here: no other node takes them", owned)
		}
	}
}

// Undrain takes it back into service.
func (d *duty) Undrain(ctx context.Context, w io.Writer) error {
	_, end, err := d.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	l, t := d.life, teller{w, d.life.log}
	if d.away {
		if err := l.reopen(); err != nil {
			return err
		}
		d.readmit()
		d.away = false
	}
	if l.cfg.Cluster != nil {
		l.node.store.Return()
	}
	l.health.undrain()
	l.notify.say("STATUS=serving")
	t.tell("in service")
	return nil
}

// interruptWithin bounds how long an operation that was interrupted is waited for.
const interruptWithin = 3 * time.Second

// warn gives load balancers time to see that the node stops.
func (d *duty) warn(grace time.Duration) {
	d.mu.Lock()
	if d.interrupt != nil {
		d.interrupt()
	}
	d.mu.Unlock()
	if d.life.socket != nil {
		_ = d.life.socket.Close() // whoever sends a backup is not waited for
	}
	for end := time.Now().Add(interruptWithin); !d.busy.TryLock(); { // and never unlocks it: nothing else may begin
		if time.Now().After(end) {
			d.life.log.Warn("an operation under way does not end")
			break
		}
		time.Sleep(lookEvery)
	}
	if !d.away && grace > 0 {
		d.life.log.Info("not ready any more; load balancers have time to see it", "grace", grace.String())
		time.Sleep(grace)
	}
}

// stop is the way out of service of a node that ends. Most of the time is for the clients; the last fifth is not touched.
func (d *duty) stop(within time.Duration) {
	ctx := context.Background()
	clients, shards := within*4/5, time.Duration(0)
	if d.life.cfg.Cluster != nil {
		clients, shards = within*3/5, within/5
	}
	t := teller{io.Discard, d.life.log}
	d.dismiss(ctx, t, clients, d.life.node.listening())
	if shards > 0 {
		if err := d.handOver(ctx, t, shards); err != nil {
			d.life.log.Warn("shards could not be handed over", "error", err)
		}
	}
	d.readmit()
}

// teller tells the operator and the log.
type teller struct {
	w   io.Writer
	log *slog.Logger
}

func (t teller) tell(text string, args ...any) {
	t.log.Info(text, args...)
	for i := 0; i+1 < len(args); i += 2 {
		text += fmt.Sprintf(" (%v: %v)", args[i], args[i+1])
	}
	fmt.Fprintln(t.w, text) // who does not listen any more misses it
}
