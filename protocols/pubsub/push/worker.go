package push

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// worker pushes one subscription, one batch after another.
type worker struct {
	p    *Pusher
	sub  *resource.Subscription
	of   *resource.Topic
	job  job
	gate *gate

	// ctx ends with what is under way; left is closed when nothing more is to be begun, ended when nothing is under way.
	ctx     context.Context
	abandon context.CancelFunc
	once    sync.Once
	left    chan struct{}
	ended   chan struct{}
	woken   chan struct{}
}

func newWorker(p *Pusher, s resource.PushedSubscription) *worker {
	w := &worker{
		p: p, sub: s.Subscription, of: s.Of, job: jobOf(s),
		left: make(chan struct{}), ended: make(chan struct{}), woken: make(chan struct{}, 1),
	}
	w.ctx, w.abandon = context.WithCancel(context.Background())
	return w
}

// leave has the worker begin nothing more.
func (w *worker) leave() { w.once.Do(func() { close(w.left) }) }

// over reports whether the worker has ended.
func (w *worker) over() bool {
	select {
	case <-w.ended:
		return true
	default:
		return false
	}
}

// wake says that there may be something to push.
func (w *worker) wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// hostOf is where a subscription's pushes go, as far as they share it with others.
func hostOf(p *resource.Push) string {
	u, err := url.Parse(target(p))
	if err != nil {
		return ""
	}
	return u.Host
}

// run pushes until it is told not to. After each push it waits as the policy says; while there is nothing to push it waits for that.
func (w *worker) run() {
	defer w.abandon()
	if w.p.cfg.Arrivals != nil {
		stop := w.p.cfg.Arrivals(w.of.Name.String(), w.wake)
		defer stop()
	}
	pace := paceOf(&w.sub.Push)
	var due time.Time // the next push is not before
	for {
		if !w.sleep(time.Until(due), nil) {
			return
		}
		pushed, err := w.push()
		switch {
		case w.ctx.Err() != nil:
			return
		case err != nil:
			w.p.failures.Add(1)
			w.tell(err)
			pace = pace.after(false)
		case pushed:
			w.tell(nil)
			pace = pace.after(true)
		default:
			if !w.sleep(w.p.cfg.Look, w.woken) {
				return
			}
			continue
		}
		due = time.Now().Add(pace.gap)
	}
}

// sleep waits for so long, or until it is woken; it returns false if nothing more is to be begun.
func (w *worker) sleep(d time.Duration, woken <-chan struct{}) bool {
	select {
	case <-w.left:
		return false
	case <-w.ctx.Done():
		return false
	default:
	}
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-woken:
	case <-w.left:
		return false
	case <-w.ctx.Done():
		return false
	}
	return true
}

// tell keeps how the last push went, if it went otherwise than the one before, for those who ask, on whichever node.
func (w *worker) tell(err error) {
	text := ""
	if err != nil {
		text = gateway.TextOf(err)
		var f *fault
		if errors.As(err, &f) {
			text = f.text
		}
		w.p.cfg.Logger.Debug("a push did not succeed", "subscription", w.sub.Name.String(), "endpoint", hostOf(&w.sub.Push), "error", err, "cause", errors.Unwrap(err))
	}
	old := ""
	if state := w.p.cfg.Directory.PushState(w.sub); state != nil {
		old = state.Fault
	}
	if text == old {
		return
	}
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	if err := w.p.cfg.Directory.SetPushState(ctx, w.sub, text); err != nil && gateway.KindOf(err) != gateway.NotFound && w.ctx.Err() == nil {
		w.p.cfg.Logger.Warn("how a push went could not be kept", "subscription", w.sub.Name.String(), "error", err)
	}
}

// push pushes what there is; pushed is false if there is nothing.
func (w *worker) push() (pushed bool, err error) {
	c := w.p.cfg.Directory.CursorOf(w.sub, w.of)
	page, err := w.read(c.Offset)
	if err != nil || len(page.Messages) == 0 {
		return false, err
	}
	if err := w.deliver(page.Messages); err != nil {
		return false, err
	}
	w.p.pushes.Add(1)
	w.p.messages.Add(uint64(len(page.Messages)))
	return true, w.advance(c.Generation, page.At+uint64(len(page.Messages)))
}

func (w *worker) read(from uint64) (gateway.LogPage, error) {
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	return w.p.cfg.Logs.Read(ctx, w.of.Name.String(), gateway.LogQuery{From: from, Messages: batch(&w.sub.Push), Bytes: pushBytes})
}

// weight is what a push takes, by the bytes of its messages: they are there as they are, in base64, and in JSON.
const weight = 4

// deliver sends messages to the endpoint, when it is their turn.
func (w *worker) deliver(messages []*gateway.Message) error {
	size := int64(0)
	for _, m := range messages {
		size += int64(m.Size()) * weight
	}
	size = min(size, w.p.cfg.Memory)
	select {
	case w.gate.slots <- struct{}{}:
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
	defer func() { <-w.gate.slots }()
	if err := w.p.memory.Acquire(w.ctx, size); err != nil {
		return err
	}
	defer w.p.memory.Release(size)
	out := make([]wire.Message, len(messages))
	for i, m := range messages {
		out[i] = w.p.cfg.Translate(m)
	}
	to := &w.sub.Push
	ctx, cancel := context.WithTimeout(w.ctx, w.p.cfg.Timeout)
	defer cancel()
	a, err := post(ctx, w.p.client.Load(), target(to), payload(w.sub.Name, to, out), to.Authorization)
	switch {
	case err != nil:
		return err
	case !taken(to, a.status):
		return refusal(a)
	}
	return nil
}

// advance moves the cursor behind what was pushed, unless somebody has moved it to another place meanwhile.
func (w *worker) advance(generation, to uint64) error {
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	err := w.p.cfg.Directory.MoveCursor(ctx, w.sub, w.of, func(c *resource.Cursor) (bool, error) {
		if c.Generation != generation || c.Offset >= to {
			return false, nil
		}
		c.Offset = to
		return true, nil
	})
	if kind := gateway.KindOf(err); err != nil && (kind == gateway.NotFound || kind == gateway.Moved) { // the subscription is gone, or its topic
		return nil
	}
	return err
}
