package lead

import (
	"context"
	"sync"
	"time"
)

// Task is something that goes on until it is told to stop. All methods may be called concurrently.
type Task struct {
	// ctx ends with what is under way; left is closed when nothing more is to be begun, ended when nothing is under way.
	ctx     context.Context
	abandon context.CancelFunc
	once    sync.Once
	left    chan struct{}
	ended   chan struct{}
	woken   chan struct{}
}

// NewTask makes a task.
func NewTask() *Task {
	t := &Task{left: make(chan struct{}), ended: make(chan struct{}), woken: make(chan struct{}, 1)}
	t.ctx, t.abandon = context.WithCancel(context.Background())
	return t
}

// begin does it, until run returns.
func (t *Task) begin(run func()) {
	go func() { // waited for by Crew.finish
		defer close(t.ended)
		defer t.abandon()
		run()
	}()
}

// Context ends when nobody wants what is under way.
func (t *Task) Context() context.Context { return t.ctx }

// Leave has it begin nothing more.
func (t *Task) Leave() { t.once.Do(func() { close(t.left) }) }

// Abandon ends what is under way as well.
func (t *Task) Abandon() { t.abandon() }

// Wake says that there may be something to do. It does not block.
func (t *Task) Wake() {
	select {
	case t.woken <- struct{}{}:
	default:
	}
}

// Sleep waits for so long; it returns false if nothing more is to be begun.
func (t *Task) Sleep(d time.Duration) bool { return t.rest(d, nil) }

// Await waits for so long, or until it is woken, or was since it was last; it returns false if nothing more is to be begun.
func (t *Task) Await(d time.Duration) bool { return t.rest(d, t.woken) }

func (t *Task) rest(d time.Duration, woken <-chan struct{}) bool {
	select {
	case <-t.left:
		return false
	case <-t.ctx.Done():
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
	case <-t.left:
		return false
	case <-t.ctx.Done():
		return false
	}
	return true
}

// over reports whether it has ended.
func (t *Task) over() bool {
	select {
	case <-t.ended:
		return true
	default:
		return false
	}
}

func (t *Task) task() *Task { return t }
