package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluice-mq/sluice/jetstream/commit"
)

// config is how the stream is made. On a single node the store itself lets go of what is too old, by whole blocks: the server would rewrite them.
func (t *topicLog) config() jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name: t.stream, Description: "messages of topic " + t.topic + "; written by Sluice alone", Subjects: []string{t.subject, t.copySubject("*.*")},
		Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld, Replicas: 1,
		AllowDirect: true, AllowAtomicPublish: true, Duplicates: 100 * time.Millisecond,
		MaxMsgs: -1, MaxBytes: -1, MaxMsgSize: -1, MaxMsgsPerSubject: -1, MaxConsumers: -1,
	}
	if t.begins > 1 {
		c.FirstSeq = t.begins
	}
	if cluster := t.logs.store.cfg.Cluster; cluster != nil {
		t.mu.Lock()
		c.Replicas, c.MaxAge = cluster.Replicas, t.retention
		t.mu.Unlock()
	}
	return c
}

// update gives a cluster's stream another retention.
func (t *topicLog) update(ctx context.Context, js jetstream.JetStream) error {
	t.mu.Lock()
	untold := t.untold
	t.untold = false
	t.mu.Unlock()
	if !untold || t.logs.store.cfg.Cluster == nil {
		return nil
	}
	if _, err := js.UpdateStream(ctx, t.config()); err != nil {
		t.mu.Lock()
		t.untold = true
		t.mu.Unlock()
		return fmt.Errorf("changing %s: %w", t.stream, err)
	}
	return nil
}

func errorsIsNotFound(err error) bool { return errors.Is(err, jetstream.ErrStreamNotFound) }

// open opens the stream, and makes it if it is to be. It reports whether it is there.
func (t *topicLog) open(ctx context.Context, make bool) (bool, error) {
	t.opening.Lock()
	defer t.opening.Unlock()
	t.mu.Lock()
	ready, there, dropped := t.ready, t.there, t.dropped
	t.mu.Unlock()
	switch {
	case dropped:
		return false, errNoLog
	case ready:
		return true, nil
	}
	js, err := jetstream.New(t.logs.write)
	if err != nil {
		return false, err
	}
	ask := func(ctx context.Context) (jetstream.Stream, error) { return js.Stream(ctx, t.stream) }
	if make && !there {
		ask = func(ctx context.Context) (jetstream.Stream, error) { return js.CreateStream(ctx, t.config()) }
	}
	stream, err := t.insist(ctx, ask)
	if make && (errorsIsNotFound(err) || errors.Is(err, jetstream.ErrStreamNameAlreadyInUse)) { // another node was quicker, or it had another retention
		stream, err = t.insist(ctx, func(ctx context.Context) (jetstream.Stream, error) { return js.CreateOrUpdateStream(ctx, t.config()) })
	}
	if err == nil && len(stream.CachedInfo().Config.Subjects) < len(t.config().Subjects) { // it was made before there were routes
		stream, err = t.insist(ctx, func(ctx context.Context) (jetstream.Stream, error) { return js.UpdateStream(ctx, t.config()) })
	}
	switch {
	case errorsIsNotFound(err) && !make:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("opening %s: %w", t.stream, err)
	}
	return true, t.opened(ctx, stream)
}

// insist asks for a stream, in a cluster until the nodes agree on an answer: what was asked of a leader that has died nobody answers, and while there is none the answer is a refusal.
func (t *topicLog) insist(ctx context.Context, ask func(context.Context) (jetstream.Stream, error)) (jetstream.Stream, error) {
	if t.logs.store.cfg.Cluster == nil {
		return ask(ctx)
	}
	for {
		within, cancel := context.WithTimeout(ctx, answerWithin)
		stream, err := ask(within)
		cancel()
		if err == nil || errorsIsNotFound(err) || errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) || pause(ctx, lookAgain) != nil {
			return stream, err
		}
	}
}

// opened begins to commit a stream. What it holds is on disk from here on.
func (t *topicLog) opened(ctx context.Context, stream jetstream.Stream) error {
	s := t.logs.store
	var log *commit.Log
	found := stream.CachedInfo()
	if !t.whole.Load() {
		if _, err := t.complete(ctx); err != nil {
			return err
		}
	}
	if s.cfg.Cluster == nil {
		dir := s.dirOf(t.stream)
		t.mu.Lock()
		add := s.committer.Add
		if t.unchanged {
			add = s.committer.AddSynced
		}
		t.mu.Unlock()
		var err error
		if log, err = add(dir, t); err != nil {
			return fmt.Errorf("watching %s: %w", dir, err)
		}
		if found, err = stream.Info(ctx); err != nil {
			return errors.Join(fmt.Errorf("opening %s: %w", t.stream, err), log.Close())
		}
	}
	t.mu.Lock()
	t.log, t.known = log, max(t.known, found.State.LastSeq)
	if log != nil {
		t.synced = max(t.synced, t.known)
	}
	t.there, t.ready, t.unchanged = true, true, false
	t.mu.Unlock()
	return nil
}
