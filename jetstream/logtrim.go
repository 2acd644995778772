package jetstream

import "context"

// trim lets go of what is too old, by whole blocks.
func (l *logs) trim(ctx context.Context) {
	l.mu.Lock()
	var all []*topicLog
	for _, t := range l.all {
		all = append(all, t)
	}
	l.mu.Unlock()
	for _, t := range all {
		if err := t.purge(ctx); err != nil && ctx.Err() == nil {
			l.store.cfg.Logger.Warn("trimming a log failed", "stream", t.stream, "error", err)
		}
	}
}

func (t *topicLog) purge(ctx context.Context) error {
	t.mu.Lock()
	keeps, there := t.retention, t.there
	t.mu.Unlock()
	if keeps == 0 || !there {
		return nil
	}
	if ok, err := t.open(ctx, false); !ok {
		return err
	}
	state, err := t.state(ctx)
	if err != nil || state.first <= state.oldest {
		return err
	}
	t.mu.Lock()
	log := t.log
	t.mu.Unlock()
	if log == nil {
		return nil
	}
	boundary, ok := log.Boundary(state.first)
	if !ok || boundary <= state.oldest {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return purgeBelow(ctx, t.logs.write, t.stream, boundary)
}
