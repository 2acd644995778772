package app

import (
	"context"
	"fmt"
	"net"

	"golang.org/x/sync/errgroup"
)

// door is a front-end that has taken its address.
type door interface {
	// Addr is where it listens.
	Addr() net.Addr
	// Serve returns nil after Drain, or when ctx is done, or with what ended it.
	// It returns when nothing of it runs any more.
	Serve(ctx context.Context) error
	// Drain stops accepting, lets clients finish and returns when they are gone.
	// When ctx is done it gives up on the rest and returns ctx's error.
	Drain(ctx context.Context) error
}

// listener is a door and what it speaks.
type listener struct {
	protocol Protocol
	door
	// again makes the door anew at the address that it had; nil if it is never closed while the node runs.
	again func() (door, error)
}

// drain drains all of them at once.
func drain(ctx context.Context, doors []listener) error {
	var group errgroup.Group
	for _, d := range doors {
		group.Go(func() error {
			if err := d.Drain(ctx); err != nil {
				return fmt.Errorf("drain %s on %v: %w", d.protocol, d.Addr(), err)
			}
			return nil
		})
	}
	return group.Wait()
}
