package jetstream

import (
	"context"
	"maps"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluice-mq/sluice/jetstream/commit"
)

// trim lets go of what is too old, by whole blocks.
func (l *logs) trim(ctx context.Context) {
	l.mu.Lock()
	all := slices.Collect(maps.Values(l.streams))
	l.mu.Unlock()
	for _, t := range all {
		if err := t.purge(ctx); err != nil && ctx.Err() == nil {
			l.store.cfg.Logger.Warn("trimming a log failed", "stream", t.stream, "error", err)
		}
	}
}

// purge trims a log. Nobody needs to have opened it.
func (t *topicLog) purge(ctx context.Context) error {
	t.mu.Lock()
	keeps, there, oldest := t.retention, t.there, t.oldest
	t.mu.Unlock()
	cut := t.logs.store.cfg.Now().Add(-keeps)
	if keeps == 0 || !there || oldest.After(cut) {
		return nil
	}
	js, err := jetstream.New(t.logs.write)
	if err != nil {
		return err
	}
	stream, err := t.look(ctx, js)
	if errorsIsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	found := stream.CachedInfo().State
	t.mu.Lock()
	t.oldest = found.FirstTime
	t.mu.Unlock()
	if found.Msgs == 0 || !found.FirstTime.Before(cut) {
		return nil
	}
	first, err := t.since(ctx, cut, logState{last: found.LastSeq})
	if err != nil {
		return err
	}
	boundary, ok := commit.Boundary(t.logs.store.dirOf(t.stream), first)
	if !ok || boundary <= found.FirstSeq {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return purgeBelow(ctx, t.logs.write, t.stream, boundary)
}
