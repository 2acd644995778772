package bench

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// However many producers, consumers and destinations there are: each message is sent by
// one producer, each destination has a consumer, and who hears a flow is who subscribed to its destination.
func TestMessagesAreDealtOutWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.IntRange(1, 30)
		s := Scenario{Destinations: some.Draw(t, "destinations"), Producers: some.Draw(t, "producers"), Consumers: some.Draw(t, "consumers"),
			Topic: rapid.Bool().Draw(t, "topic")}
		s.Messages = s.flows() + rapid.IntRange(0, 500).Draw(t, "more")
		sent, flows := 0, 0
		for p := range s.Producers {
			sent += s.shareOf(p)
			flows += dealt(s.flows(), s.Producers, p)
			last := s.shareOf(p) - 1 // what producer.append does
			flow := p + last%dealt(s.flows(), s.Producers, p)*s.Producers
			require.Less(t, last/dealt(s.flows(), s.Producers, p), s.share(flow), "the last message is one of its flow's")
		}
		require.Equal(t, s.Messages, sent)
		require.Equal(t, s.flows(), flows)
		heard := 0
		for f := range s.flows() {
			listeners := 0
			for c := range s.Consumers {
				subscribed := slices.Contains(s.subscriptionsOf(c), f%s.Destinations)
				require.Equal(t, subscribed, s.hears(c, f))
				if subscribed {
					listeners++
				}
			}
			require.Positive(t, listeners)
			heard += listeners * s.share(f)
		}
		if s.Topic {
			require.Equal(t, heard, s.Deliveries())
		} else {
			require.Equal(t, s.Messages, s.Deliveries())
		}
	})
}

// Who asks for one in so many is due that many, and a run sees what does not match.
func TestASelectorsMessagesAreCounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Scenario{Destinations: 1, Producers: rapid.IntRange(1, 9).Draw(t, "producers"), Consumers: 1, Topic: true, Selected: rapid.IntRange(1, 12).Draw(t, "one in")}
		s.Messages = s.Producers + rapid.IntRange(0, 300).Draw(t, "more")
		l, strangers := newLedger(s), 0
		for f := range s.flows() {
			for n := range s.share(f) {
				if !l.enter(stamp{flow: uint32(f), number: uint64(n)}, false) {
					strangers++
				}
			}
		}
		v := judge(s, []*ledger{l})
		require.Equal(t, s.Deliveries(), v.Received)
		require.Zero(t, v.Lost)
		require.Equal(t, strangers, v.Misrouted)
		require.Equal(t, s.Messages, v.Received+strangers)
	})
}
