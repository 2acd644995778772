package main

import (
	"sync/atomic"
	"time"
)

// writer is one of two who append to the same journal.
type writer struct {
	app             *appender
	subject         string
	stored, refused atomic.Int64
}

func newWriter(cl *cluster, node int, stream string) (*writer, error) {
	nc, err := cl.connect(node)
	if err != nil {
		return nil, err
	}
	w := &writer{subject: stream + ".m.x"}
	w.app, err = newAppender(nc, func(_ pending, _ uint64, err error) {
		if err != nil {
			w.refused.Add(1)
		} else {
			w.stored.Add(1)
		}
	})
	if err == nil {
		w.app.fence = true
	}
	return w, err
}

// append sends n records, all in flight at once, and waits for their answers.
func (w *writer) append(n int) error {
	want := w.stored.Load() + w.refused.Load() + int64(n)
	for range n {
		if err := w.app.append(w.subject, make([]byte, 100), pending{}); err != nil {
			return err
		}
	}
	return poll(10*time.Second, "answers", func() bool { return w.stored.Load()+w.refused.Load() == want })
}

// runFence lets a second writer take over a journal and a stale one go on.
func runFence(c *cell) (result, error) {
	cl, m, err := lone(c)
	if err != nil {
		return result{}, err
	}
	defer cl.close()
	stale, err := newWriter(cl, 0, m.shards[0].name)
	if err != nil {
		return result{}, err
	}
	fresh, err := newWriter(cl, c.Replicas-1, m.shards[0].name)
	if err != nil {
		return result{}, err
	}
	fresh.app.last = 1000 // it has read what the first one wrote
	for _, step := range []struct {
		w *writer
		n int
	}{{stale, 1000}, {fresh, 1000}, {stale, 500}, {fresh, 1000}} {
		if err := step.w.append(step.n); err != nil {
			return result{}, err
		}
	}
	return result{Extra: map[string]float64{
		"old_stored": float64(stale.stored.Load()), "old_refused": float64(stale.refused.Load()),
		"new_stored": float64(fresh.stored.Load()), "new_refused": float64(fresh.refused.Load()),
	}}, nil
}
