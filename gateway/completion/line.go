package completion

import (
	"slices"

	"github.com/sluice-mq/sluice/gateway"
)

// Line is those who wait until a number is reached, each for a while at most. It is guarded by the lock of who has it; the zero value is empty.
type Line struct{ waiting []inLine }

type inLine struct {
	number uint64
	since  int64
	c      gateway.Completion
	token  uint64
}

// Join has somebody wait for a number from now on, in Unix milliseconds.
func (l *Line) Join(number uint64, now int64, c gateway.Completion, token uint64) {
	l.waiting = append(l.waiting, inLine{number, now, c, token})
}

// Empty reports whether nobody waits.
func (l *Line) Empty() bool { return len(l.waiting) == 0 }

// Leave takes those off whose number is reached, or who have waited for longer than patience, in milliseconds.
func (l *Line) Leave(reached uint64, now, patience int64) (over Served) {
	l.waiting = slices.DeleteFunc(l.waiting, func(w inLine) bool {
		leaves := w.number <= reached || max(now-w.since, w.since-now) > patience // the clock may be set back
		if leaves {
			over = append(over, w)
		}
		return leaves
	})
	return over
}

// Served are those who wait no more.
type Served []inLine

// Tell tells them, without the lock.
func (s Served) Tell() {
	for _, w := range s {
		Complete(w.c, w.token, nil)
	}
}
