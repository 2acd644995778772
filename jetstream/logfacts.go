package jetstream

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluice-mq/sluice/gateway"
)

// learn takes in a fact. Nothing here may wait.
func (l *logs) learn(key string, value []byte, _ uint64) {
	topic, ok := strings.CutPrefix(key, gateway.LogKeys)
	if !ok {
		return
	}
	var f gateway.LogFact
	there := value != nil
	if there && (json.Unmarshal(value, &f) != nil || !gateway.ValidLogID(f.ID) || f.Stream != "" && !gateway.ValidLogID(f.Stream) || f.First > gateway.MaxFirst) {
		l.store.cfg.Logger.Error("the fact of a log cannot be read, the topic has none", "topic", topic)
		there = false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if delete(l.unread, topic); value != nil && !there {
		l.unread[topic] = struct{}{}
	}
	old := l.all[topic]
	if !there {
		delete(l.all, topic)
		l.release(old, topic)
		return
	}
	stream := streamOf(f)
	t := l.streams[stream]
	if t == nil {
		t = newTopicLog(l, topic, f)
		l.streams[stream] = t
	}
	if t.keeps[topic] = retentionOf(f); t.retain() {
		l.look()
	}
	if t != old {
		l.all[topic] = t
		l.release(old, topic)
	}
}

// streamOf is the name of a log's stream.
func streamOf(f gateway.LogFact) string { return logStreams + cmp.Or(f.Stream, f.ID) }

// release takes a log from a topic; the last one takes it along. The lock is held.
func (l *logs) release(t *topicLog, topic string) {
	if t == nil {
		return
	}
	delete(t.keeps, topic)
	switch {
	case len(t.keeps) == 0:
		delete(l.streams, t.stream)
		t.drop()
		l.gone = append(l.gone, t)
		l.look()
	case t.retain():
		l.look()
	}
}

// compare deletes the streams of which no fact speaks, unless there are facts that cannot be read, and gives the others their retention. Streams are listed first: of one that is there then, the fact was written before.
func (l *logs) compare(ctx context.Context) error {
	js, err := jetstream.New(l.write)
	if err != nil {
		return err
	}
	streams, err := l.listed(ctx, js)
	if err != nil {
		return err
	}
	if err := l.store.registry.catchUp(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	wanted := maps.Clone(l.streams)
	gone, doubtful := l.gone, len(l.unread) > 0
	l.gone = nil
	l.mu.Unlock()
	for _, t := range gone {
		t.leave()
	}
	for _, name := range streams {
		if t := wanted[name]; t != nil {
			t.found()
			if err := t.update(ctx, js); err != nil {
				return err
			}
			continue
		}
		if doubtful { // it may be theirs
			continue
		}
		if err := js.DeleteStream(ctx, name); err != nil && !errorsIsNotFound(err) {
			return fmt.Errorf("deleting %s: %w", name, err)
		}
		l.store.cfg.Logger.Info("a topic's log is deleted with its topic", "stream", name)
	}
	return nil
}

// listed are the streams of logs that there are.
func (l *logs) listed(ctx context.Context, js jetstream.JetStream) (streams []string, err error) {
	found := js.StreamNames(ctx)
	for name := range found.Name() {
		if strings.HasPrefix(name, logStreams) {
			streams = append(streams, name)
		}
	}
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("listing the logs: %w", err)
	}
	return streams, nil
}

// unchanged notes which logs a single node has when it starts. What they hold is on disk then; so they need not be opened to be read, nor synced one by one when they are opened.
func (l *logs) unchanged() error {
	js, err := jetstream.New(l.write)
	if err != nil {
		return err
	}
	streams, err := l.listed(l.following, js)
	if err == nil {
		err = l.store.committer.SyncAll()
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range streams {
		if t := l.streams[name]; t != nil {
			t.mu.Lock()
			t.unchanged, t.there = true, true
			t.mu.Unlock()
		}
	}
	return nil
}
