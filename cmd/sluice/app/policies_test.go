package app

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/policy"
)

func loadPolicies(t *testing.T, text string) (Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	c, _, err := Load(Sources{File: file})
	return c, err
}

// Every word of a policy arrives where core reads it.
func TestPoliciesMeanWhatTheySay(t *testing.T) {
	c, err := loadPolicies(t, `
policies:
  - {on: ["/queue/a"], forward_to: ["/topic/b", "/queue/c"], forward_only: true}
  - on: ["/queue/a.>", "/topic/a.>"]
    priorities: true
    exclusive: true
    prefetch: 10
    pending: 7
    advisories: [slow, discarded, delivered, consumed, no_consumers]
    redelivery: {maximum: 6, delay: 1s, backoff: 2.5, max_delay: 1m}
    nack: requeue
    dead_letter: {queue: "DLQ.{name}", drop_expired: true, keep_non_persistent: true, keep_dropped: true}
    ttl: {default: 1h, maximum: 24h}
    limits: {messages: 5, bytes: 1KiB, when_full: drop_oldest}
    retain: {messages: 1, bytes: 2KiB, age: 10m, all: true, always: true}
  - {on: ["/queue/>"], redelivery: {delay: 1s}, dead_letter: {off: true}, limits: {messages: 1, when_full: block}, nack: drop}
`)
	require.NoError(t, err)
	queue := func(name string) gateway.Destination {
		return gateway.Destination{Kind: gateway.KindQueue, Name: name}
	}
	all := table(c.Policies)
	first := all.Find(queue("a"))
	require.Equal(t, []gateway.Destination{{Kind: gateway.KindTopic, Name: "b"}, queue("c")}, first.ForwardTo)
	require.True(t, first.ForwardOnly)
	require.Nil(t, first.Redelivery, "the first that matches decides everything")
	require.Equal(t, &policy.Policy{
		On:         []gateway.Destination{queue("a.>"), {Kind: gateway.KindTopic, Name: "a.>"}},
		Priorities: true, Exclusive: true, Prefetch: 10, Pending: 7,
		Advisories: policy.Advisories{Slow: true, Discarded: true, Delivered: true, Consumed: true, NoConsumers: true},
		Redelivery: &gateway.Redelivery{Maximum: 6, Delay: time.Second, Backoff: 2.5, MaxDelay: time.Minute},
		Nack:       policy.NackRequeue,
		DeadLetter: policy.DeadLetter{Queue: "DLQ.{name}", DropExpired: true, KeepNonPersistent: true, Dropped: true},
		DefaultTTL: time.Hour, MaximumTTL: 24 * time.Hour,
		Limits: policy.Limits{Messages: 5, Bytes: 1024, WhenFull: policy.DropOldest},
		Retain: policy.Retain{Messages: 1, Bytes: 2048, Age: 10 * time.Minute, All: true, Always: true},
	}, all.Find(queue("a.b")))
	last := all.Find(queue("b"))
	require.Equal(t, -1, last.Redelivery.Maximum, "what says nothing of a maximum has none")
	require.True(t, last.DeadLetter.Off)
	require.Equal(t, policy.Block, last.Limits.WhenFull)
	require.Equal(t, policy.NackDrop, last.Nack)
	require.Equal(t, &policy.Policy{}, all.Find(gateway.Destination{Kind: gateway.KindTopic, Name: "b"}))
}

func TestAPolicyExplainsItself(t *testing.T) {
	c, err := loadPolicies(t, "policies:\n  - {on: [\"/topic/>\"]}\n  - {on: [\"/queue/a.>\"], nack: drop, redelivery: {maximum: 3}}\n")
	require.NoError(t, err)
	words, err := explainPolicy(c.Policies, gateway.Destination{Kind: gateway.KindQueue, Name: "a"})
	require.NoError(t, err)
	require.Equal(t, "/queue/a: policy 2 (sluice.yaml:3)\n"+`{"nack":"drop","on":["/queue/a.>"],"redelivery":{"maximum":"3"}}`, words)
	words, err = explainPolicy(c.Policies, gateway.Destination{Kind: gateway.KindQueue, Name: "b"})
	require.NoError(t, err)
	require.Equal(t, "/queue/b: no policy matches, so that it behaves as in ActiveMQ", words)
}

// What cannot work is refused with its place.
func TestPoliciesThatMakeNoSense(t *testing.T) {
	for text, want := range map[string]string{
		`{nack: drop}`:                                             "policies[0]: has no destinations",
		`{on: ["orders"]}`:                                         `"orders" does not begin with /queue/ or /topic/`,
		`{on: ["/queue/a"], nack: perhaps}`:                        `"perhaps" is not dead_letter, requeue or drop`,
		`{on: ["/queue/a"], limits: {when_full: block}}`:           "has no limit",
		`{on: ["/topic/a"], limits: {messages: 1}}`:                "is about queues",
		`{on: ["/topic/a"], priorities: true}`:                     "is about queues",
		`{on: ["/queue/a"], retain: {messages: 1}}`:                "is about topics",
		`{on: ["/topic/a"], retain: {always: true}}`:               "keeps nothing",
		`{on: ["/queue/a"], forward_only: true}`:                   "has no destinations: forward_to",
		`{on: ["/queue/a"], forward_to: ["/queue/>"]}`:             "is a pattern",
		`{on: ["/queue/a"], dead_letter: {queue: "a", off: true}}`: "exclude one another",
		`{on: ["/queue/a"], dead_letter: {queue: "DLQ.>"}}`:        "is not the name of a queue",
		`{on: ["/queue/a"], dead_letter: {queue: "/queue/a"}}`:     "is not the name of a queue",
		`{on: ["/queue/a"], ttl: {default: 2h, maximum: 1h}}`:      "is longer than maximum",
		`{on: ["/queue/a"], redelivery: {maximum: -2}}`:            "is not a whole number from -1",
		`{on: ["/queue/a"], redelivery: {backoff: 0.5}}`:           "is not a factor from 1 to 100",
		`{on: ["/queue/a"], redeliver: {maximum: 2}}`:              "redeliver",
		`{on: ["/queue/a"], prefetch: -1}`:                         "is not between",
		`{on: ["/topic/a"], pending: -1}`:                          "is not between",
		`{on: ["/queue/a"], pending: 1}`:                           "is about topics",
		`{on: ["/queue/a"], advisories: [all]}`:                    `"all" is not slow, discarded, delivered, consumed or no_consumers`,
		`{on: ["/queue/a"], advisories: [slow]}`:                   "is about topics",
	} {
		_, err := loadPolicies(t, "policies:\n  - "+text+"\n")
		require.ErrorContains(t, err, want, text)
		require.ErrorContains(t, err, "sluice.yaml:2:", text)
	}
}
