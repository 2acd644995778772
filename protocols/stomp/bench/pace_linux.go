package bench

import (
	"context"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// pacer lets its goroutine wait to within some microseconds. Timers of the
// runtime wake up to a millisecond late, which would count as the broker's latency.
type pacer struct{}

// newPacer takes a thread for the calling goroutine. Nobody gives it back: it
// ends with the goroutine, because its timers stay exact.
func newPacer() pacer {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	return pacer{}
}

// longestNap bounds how late the end of a context is seen.
const longestNap = 50 * time.Millisecond

// sleep waits, or returns early with the context's error.
func (pacer) sleep(ctx context.Context, d time.Duration) error {
	until := time.Now().Add(d)
	for d > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		nap := unix.NsecToTimespec(int64(min(d, longestNap)))
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &nap, nil) // EINTR: what is left is looked at anyway
		d = time.Until(until)
	}
	return nil
}
