package push

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/lead"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// worker pushes one subscription, one batch after another.
type worker struct {
	*lead.Task
	p    *Pusher
	sub  *resource.Subscription
	of   *resource.Topic
	gate *gate // while it runs
}

func newWorker(p *Pusher, s resource.PushedSubscription) *worker {
	return &worker{Task: lead.NewTask(), p: p, sub: s.Subscription, of: s.Of}
}

// hostOf is where a subscription's pushes go, as far as they share it with others.
func hostOf(p *resource.Push) string {
	u, err := url.Parse(target(p))
	if err != nil {
		return ""
	}
	return u.Host
}

// Run implements lead.Worker: it pushes. After each push it waits as the policy says; while there is nothing to push it waits for that.
func (w *worker) Run() {
	var leave func()
	w.gate, leave = w.p.enter(hostOf(&w.sub.Push))
	defer leave()
	if w.p.cfg.Arrivals != nil {
		stop := w.p.cfg.Arrivals(w.of.Name.String(), w.Wake)
		defer stop()
	}
	pace := paceOf(&w.sub.Push)
	var due time.Time // the next push is not before
	for {
		if !w.Sleep(time.Until(due)) {
			return
		}
		pushed, err := w.push()
		switch {
		case w.Context().Err() != nil:
			return
		case err != nil:
			w.p.failures.Add(1)
			w.tell(err)
			pace = pace.after(false)
		case pushed:
			w.tell(nil)
			pace = pace.after(true)
		default:
			if !w.Await(w.p.cfg.Look) {
				return
			}
			continue
		}
		due = time.Now().Add(pace.gap)
	}
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
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	if err := w.p.cfg.Directory.SetPushState(ctx, w.sub, text); err != nil && gateway.KindOf(err) != gateway.NotFound && w.Context().Err() == nil {
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
	ctx, cancel := context.WithTimeout(w.Context(), patience)
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
	case <-w.Context().Done():
		return w.Context().Err()
	}
	defer func() { <-w.gate.slots }()
	if err := w.p.memory.Acquire(w.Context(), size); err != nil {
		return err
	}
	defer w.p.memory.Release(size)
	out := make([]wire.Message, len(messages))
	for i, m := range messages {
		out[i] = w.p.cfg.Translate(m)
	}
	to := &w.sub.Push
	ctx, cancel := context.WithTimeout(w.Context(), w.p.cfg.Timeout)
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
	ctx, cancel := context.WithTimeout(w.Context(), patience)
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
