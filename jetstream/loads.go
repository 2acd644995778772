package jetstream

import (
	"context"
	"sync"
)

// loads is a queue of load requests and the goroutines that serve it.
type loads struct {
	mu      sync.Mutex
	some    sync.Cond
	waiting []load
	closed  bool
	workers sync.WaitGroup
	life    context.Context // ends when they are closed
	end     context.CancelFunc
}

// loaders read at once: one may wait for the disk while another decodes.
const loaders = 2

func newLoads(readers []reader) *loads {
	l := &loads{}
	l.some.L = &l.mu
	l.life, l.end = context.WithCancel(context.Background())
	for _, r := range readers {
		l.workers.Go(func() { l.serve(r) })
	}
	return l
}

func (l *loads) push(q load) {
	l.mu.Lock()
	closed := l.closed
	if !closed {
		l.waiting = append(l.waiting, q)
		l.some.Signal()
	}
	l.mu.Unlock()
	if closed {
		q.done(nil, errClosed)
	}
}

func (l *loads) serve(r reader) {
	for {
		l.mu.Lock()
		for len(l.waiting) == 0 && !l.closed {
			l.some.Wait()
		}
		if l.closed {
			rest := l.waiting
			l.waiting = nil
			l.mu.Unlock()
			for _, q := range rest {
				q.done(nil, errClosed)
			}
			return
		}
		q := l.waiting[0]
		l.waiting[0] = load{}
		l.waiting = l.waiting[1:]
		l.mu.Unlock()
		q.run(l.life, r)
	}
}

// close waits for nobody who still reads: he is told that it is over.
func (l *loads) close() {
	l.end()
	l.mu.Lock()
	l.closed = true
	l.some.Broadcast()
	l.mu.Unlock()
	l.workers.Wait()
}
