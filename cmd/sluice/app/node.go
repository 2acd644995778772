package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
)

// node is what makes a node besides its admin door: the rooms, each made of the
// ones before it.
type node struct {
	// doors serve as soon as start has returned.
	doors []listener
	// parts are closed in the reverse order of their start, after the doors.
	parts []part
}

// part is something that must be closed.
type part struct {
	name  string
	close func(context.Context) error
}

// start opens the store, recovers what is in it, and takes the addresses of the
// doors. It gives up when ctx is done. After an error, close closes what was opened.
func (n *node) start(ctx context.Context, cfg Config, log *slog.Logger, h *health) error {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	return ctx.Err()
}

// close closes the parts, the last one first, all of them also if one fails.
func (n *node) close(ctx context.Context) error {
	var all []error
	for i := len(n.parts) - 1; i >= 0; i-- {
		if err := n.parts[i].close(ctx); err != nil {
			all = append(all, fmt.Errorf("close the %s: %w", n.parts[i].name, err))
		}
	}
	return errors.Join(all...)
}
