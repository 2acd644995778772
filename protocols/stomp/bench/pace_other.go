//go:build !linux

package bench

import (
	"context"
	"time"
)

// pacer waits with the runtime's timers, which may be a millisecond late.
type pacer struct{}

func newPacer() pacer { return pacer{} }

// sleep waits, or returns early with the context's error.
func (pacer) sleep(ctx context.Context, d time.Duration) error {
	return pause(ctx, d)
}
