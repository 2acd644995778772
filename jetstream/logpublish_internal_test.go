package jetstream

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

// told keeps what a batch was told.
type told chan error

// Complete implements gateway.Completion.
func (c told) Complete(_ uint64, err error) { c <- err }

// learned gives a topic a log of which nothing is in the store yet.
func learned(t *testing.T, s *Store, topic string, f gateway.LogFact) *topicLog {
	t.Helper()
	fact, err := json.Marshal(f)
	require.NoError(t, err)
	s.logs.learn(gateway.LogKeys+topic, fact, 1)
	return s.logs.of(topic)
}

// written is a batch of a message, as a log's writer has it.
func written(t *testing.T, l *topicLog, body string) (*appending, told) {
	t.Helper()
	c := make(told, 1)
	m := gatewaytest.Message("", "", body)
	m.Destination = gateway.Destination{Kind: gateway.KindTopic, Name: l.topic}
	a := &appending{log: l, batch: []*gateway.Message{m}, c: c}
	require.NoError(t, a.encode())
	return a, c
}

func hear(t *testing.T, c told) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(gatewaytest.Wait):
		require.FailNow(t, "it is not answered")
		return nil
	}
}

// A topic's fact may change at the moment at which somebody publishes to it: who learns has the lock of the logs and wants that of the log, so that who publishes must not have the one and want the other.
func TestWhoPublishesDoesNotWaitForWhoLearns(t *testing.T) {
	s := open(t)
	l := learned(t, s, "P.T", gateway.LogFact{ID: "one"})
	a, c := written(t, l, "a")
	pushed := make(told, 1)
	s.logs.mu.Lock() // as who learns has
	go func() { pushed <- l.push(a) }()
	select {
	case err := <-pushed:
		s.logs.mu.Unlock()
		require.NoError(t, err)
	case <-time.After(gatewaytest.Wait):
		s.logs.mu.Unlock()
		require.NoError(t, <-pushed)
		require.Fail(t, "both would wait for ever")
	}
	require.NoError(t, hear(t, c))
}

// Who waits for answers before he publishes more does not go on waiting when the topic is gone.
func TestNobodyWaitsForTheAnswersOfALogThatIsGone(t *testing.T) {
	s := open(t)
	l := learned(t, s, "P.T", gateway.LogFact{ID: "one"})
	a, c := written(t, l, "a")
	l.flight = flightMost + 1
	require.NoError(t, l.push(a))
	s.logs.learn(gateway.LogKeys+"P.T", nil, 2)
	require.ErrorIs(t, hear(t, c), errNoLog)
}

// A storage that does not take the rest of a bundle after it was started again does not keep the node waiting for ever.
func TestWhoResumesDoesNotWaitForever(t *testing.T) {
	t.Parallel()
	s := open(t)
	l := learned(t, s, "P.T", gateway.LogFact{ID: "one"})
	a, c := written(t, l, "a")
	require.NoError(t, l.push(a))
	require.NoError(t, hear(t, c))
	m := a.batch[0]
	_, err := s.logs.write.RequestWithContext(t.Context(), l.subject, Bundled([]*gateway.Message{m, m})[0])
	require.NoError(t, err)
	mute, err := s.cfg.Server.Connect(embed.Users, "nobody answers here")
	require.NoError(t, err)
	t.Cleanup(mute.Close)
	_, err = mute.Subscribe(l.subject, func(*nats.Msg) {})
	require.NoError(t, err)
	cut := newTopicLog(&logs{store: s, write: mute}, "P.T", gateway.LogFact{ID: "one"})
	cut.ready, cut.logs.streams = true, map[string]*topicLog{cut.stream: cut}
	resumed := make(told, 1)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go func() { resumed <- cut.logs.resume(ctx) }()
	require.ErrorIs(t, hear(t, resumed), context.DeadlineExceeded)
}
