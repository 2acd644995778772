package stomp

import (
	"context"
	"time"
)

// keepPace lets the time pass that the broker wants between the messages of a client which sends
// faster than it may. The writer goes on meanwhile, heart-beats included, and a client that is silent because we do not
// listen is not held against it: its time begins with the next read. Nobody waits when the connection is to end.
func (c *conn) keepPace(ctx context.Context, command string) {
	if c.pacing == nil || command != "SEND" && command != "COMMIT" {
		return
	}
	pause := c.pacing.Pause()
	if pause <= 0 {
		return
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.in.ending:
	case <-ctx.Done():
	}
}
