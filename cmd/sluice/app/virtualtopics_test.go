package app

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway/feed"
)

func TestVirtualTopicsAreThoseThatAreSaid(t *testing.T) {
	require.Equal(t, feed.DefaultVirtualTopics(), virtualTopics(Default().VirtualTopics))
	c, err := loadPolicies(t, "virtual_topics: [{topics: [\"VirtualTopic.>\", orders], queues: \"Taker.*.\"}, {topics: [a], queues: q.}]\n")
	require.NoError(t, err)
	require.Equal(t, []feed.VirtualTopic{{Topics: []string{"VirtualTopic.>", "orders"}, Queues: "Taker.*."}, {Topics: []string{"a"}, Queues: "q."}}, virtualTopics(c.VirtualTopics))
	c, err = loadPolicies(t, "virtual_topics: []\n")
	require.NoError(t, err)
	require.NotNil(t, virtualTopics(c.VirtualTopics), "which would be the default")
	require.Empty(t, virtualTopics(c.VirtualTopics))
	for text, want := range map[string]string{
		`{queues: "a."}`:                            "has no topics",
		`{topics: [a]}`:                             "has no queues",
		`{topics: [a], queues: a}`:                  "does not end with a dot",
		`{topics: [a], queues: "/queue/a."}`:        "does not belong here",
		`{topics: [/topic/a], queues: "a."}`:        "does not belong here",
		`{topics: [""], queues: "a."}`:              "is not the name of a topic",
		`{topics: [a], queues: "a..b."}`:            "is not how the name of a queue begins",
		`{topics: [a], queues: "."}`:                "is not how the name of a queue begins",
		`{topics: [a], queues: "a.>."}`:             "cannot stand before something",
		`{topics: [a], queues: "a.", selectors: x}`: "selectors",
	} {
		_, err := loadPolicies(t, "virtual_topics:\n  - "+text+"\n")
		require.ErrorContains(t, err, want, text)
		require.ErrorContains(t, err, "sluice.yaml:2:", text)
	}
}
