package jetstream

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// A stream may be the log of two topics for a while. It keeps its messages for as long as either of them wants, in whichever order they are known, and then for as long as the one that is left does.
func TestALogKeepsMessagesAsLongAsAnyOfItsTopicsWants(t *testing.T) {
	s := open(t)
	hour, ever := gateway.LogFact{ID: "one", Stream: "s", Retention: 3_600_000}, gateway.LogFact{ID: "one", Stream: "s"}
	keeps := func(topic string, d time.Duration) {
		t.Helper()
		l := s.logs.of(topic)
		l.mu.Lock()
		defer l.mu.Unlock()
		require.Equal(t, d, l.retention)
	}
	forget := func(topic string) { s.logs.learn(gateway.LogKeys+topic, nil, 2) }
	learned(t, s, "P.T", hour)
	keeps("P.T", time.Hour)
	learned(t, s, "unfinished", ever)
	keeps("P.T", 0)
	forget("unfinished")
	keeps("P.T", time.Hour)
	learned(t, s, "unfinished", ever)
	learned(t, s, "P.T", hour)
	keeps("P.T", 0)
	forget("P.T")
	keeps("unfinished", 0)
	learned(t, s, "P.T", gateway.LogFact{ID: "two"})
	forget("unfinished")
	keeps("P.T", 0)
	learned(t, s, "P.T", hour)
	keeps("P.T", time.Hour)
}

// A fact that cannot be read says nothing of what its topic had: the messages stay until it can be.
func TestALogStaysWhileItsFactCannotBeRead(t *testing.T) {
	s := open(t)
	l := learned(t, s, "P.T", gateway.LogFact{ID: "one"})
	a, c := written(t, l, "a")
	require.NoError(t, l.push(a))
	require.NoError(t, hear(t, c))
	s.logs.learn(gateway.LogKeys+"P.T", []byte(`{"id":"one","retention_ms":"P7D"}`), 2)
	require.Nil(t, s.logs.of("P.T"))
	require.NoError(t, s.logs.compare(t.Context()))
	learned(t, s, "P.T", gateway.LogFact{ID: "one"})
	p, err := s.logs.Read(t.Context(), "P.T", gateway.LogQuery{})
	require.NoError(t, err)
	require.EqualValues(t, 1, p.Next)
	s.logs.learn(gateway.LogKeys+"P.T", nil, 4)
	require.NoError(t, s.logs.compare(t.Context()))
	_, err = s.lastOf(t.Context(), l.stream)
	require.True(t, errorsIsNotFound(err), "%v", err)
}
