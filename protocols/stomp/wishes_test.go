package stomp

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// wished is what the broker is asked for by a SUBSCRIBE with these headers.
func wished(t *testing.T, p Personality, destination, headers string) gateway.SubscribeOptions {
	t.Helper()
	b := newFakeBroker()
	login(t, start(t, b, like(p)), "1.1").listen("1", destination, headers)
	o := b.options()
	require.NotNil(t, o.Wake)
	require.NotNil(t, o.Ended)
	o.Wake, o.Ended = nil, nil
	return o
}

// Who asks for nothing gets nothing else.
func TestA4NothingIsAskedForByDefault(t *testing.T) {
	for p := range dialects {
		require.Equal(t, gateway.SubscribeOptions{
			Destination: gateway.Destination{Kind: gateway.KindQueue, Name: "a"}, Name: "1", Prefetch: queuePrefetch, PrefetchUnset: true, AutoAck: true,
		}, wished(t, Personality(p), "/queue/a", ""))
	}
}

func TestA4Exclusive(t *testing.T) {
	for _, yes := range []string{"activemq.exclusive:true\n", "exclusive:true\n", "activemq.exclusive: True \n", "?consumer.exclusive=true"} {
		destination, headers := optionOrHeader("/queue/a", yes)
		require.True(t, wished(t, ActiveMQ, destination, headers).Exclusive, yes)
	}
	require.False(t, wished(t, ActiveMQ, "/queue/a", "activemq.exclusive:yes\n").Exclusive)
}

func optionOrHeader(destination, what string) (string, string) {
	if strings.HasPrefix(what, "?") {
		return destination + what, ""
	}
	return destination, what
}

func TestA4ConsumerPriority(t *testing.T) {
	for header, want := range map[string]int8{
		"activemq.priority:5\n": 5, "x-priority:10\n": 10, "consumer-priority:-3\n": -3, "?consumer.priority=7": 7,
		"activemq.priority:200\n": 127, "x-priority:-999\n": -128, "activemq.priority:high\n": 0, "priority:9\n": 0,
	} {
		destination, headers := optionOrHeader("/queue/a", header)
		require.Equal(t, want, wished(t, ActiveMQ, destination, headers).Priority, header)
	}
}

func TestA4NoLocal(t *testing.T) {
	for _, yes := range []string{"activemq.noLocal:true\n", "no-local:true\n", "noLocal:TRUE\n", "?consumer.noLocal=true"} {
		destination, headers := optionOrHeader("/topic/a", yes)
		require.True(t, wished(t, ActiveMQ, destination, headers).NoLocal, yes)
	}
}

// A tutorial of the grid writes it with a capital T.
func TestA4RetroactiveInAnyCase(t *testing.T) {
	for _, yes := range []string{"activemq.retroactive:true\n", "activemq.retroactive:True\n", "activemq.retroactive:TRUE\n", "?consumer.retroactive=true"} {
		destination, headers := optionOrHeader("/topic/a", yes)
		require.True(t, wished(t, ActiveMQ, destination, headers).Retroactive, yes)
	}
}

func TestA4MaximumPendingMessageLimit(t *testing.T) {
	for header, want := range map[string]int{
		"activemq.maximumPendingMessageLimit:10\n": 10, "?consumer.maximumPendingMessageLimit=7": 7,
		"activemq.maximumPendingMessageLimit:-1\n": 0, "activemq.maximumPendingMessageLimit:abc\n": 0,
	} {
		destination, headers := optionOrHeader("/topic/a", header)
		require.Equal(t, want, wished(t, ActiveMQ, destination, headers).Pending, header)
	}
	require.Zero(t, wished(t, ActiveMQ, "/queue/a", "activemq.maximumPendingMessageLimit:10\n").Pending)
}

func TestA4RedeliveryOfASubscription(t *testing.T) {
	for headers, want := range map[string]*gateway.Redelivery{
		"activemq.maximumRedeliveries:2\n":       {Maximum: 2},
		"activemq.maximumRedeliveries:0\n":       {Maximum: 0},
		"activemq.maximumRedeliveries:-7\n":      {Maximum: -1},
		"activemq.redeliveryDelay:1500\n":        {Maximum: -1, Delay: 1500 * time.Millisecond},
		"activemq.initialRedeliveryDelay:1000\n": {Maximum: -1, Delay: time.Second},
		"activemq.initialRedeliveryDelay:1000\nactivemq.redeliveryDelay:7\nactivemq.maximumRedeliveries:6\nactivemq.backOffMultiplier:2.5\nactivemq.maximumRedeliveryDelay:60000\n": {
			Maximum: 6, Delay: time.Second, MaxDelay: time.Minute, Backoff: 2.5,
		},
		"?consumer.maximumRedeliveries=3&consumer.redeliveryDelay=10":                                     {Maximum: 3, Delay: 10 * time.Millisecond},
		"activemq.redeliveryDelay:9223372036854775807\n":                                                  {Maximum: -1, Delay: farthest},
		"activemq.maximumRedeliveries:abc\nactivemq.backOffMultiplier:NaN\nactivemq.redeliveryDelay:-1\n": nil,
		"activemq.backOffMultiplier:Inf\n":                                                                nil, "activemq.backOffMultiplier:0.5\n": nil, "": nil,
	} {
		destination, headers := optionOrHeader("/queue/a", headers)
		require.Equal(t, want, wished(t, ActiveMQ, destination, headers).Redelivery, headers)
	}
}

// Without a wish it is the destination's policy that counts, and only then the door's usual number.
func TestB4Row110PrefetchOfNobodysWish(t *testing.T) {
	for _, c := range []struct {
		destination, headers string
		want                 int
		unset                bool
	}{
		{"/queue/a", "", queuePrefetch, true}, {"/topic/a", "", topicPrefetch, true}, {"/queue/a", "browser:true\n", browserPrefetch, true},
		{"/queue/a", "activemq.prefetchSize:1\n", 1, false}, {"/queue/a", "activemq.prefetchSize:0\n", 0, false},
		{"/queue/a?consumer.prefetchSize=1000", "", 1000, false}, {"/queue/a", "prefetch-count:5\n", 5, false},
		{"/topic/a", "activemq.prefetchSize:x\n", topicPrefetch, true}, {"/topic/a", "consumer-window-size:0\n", 1, false},
	} {
		o := wished(t, ActiveMQ, c.destination, c.headers)
		require.Equal(t, c.want, o.Prefetch, c.headers)
		require.Equal(t, c.unset, o.PrefetchUnset, c.headers)
	}
}

func TestA4UnknownWishesAreIgnored(t *testing.T) {
	require.Equal(t, wished(t, ActiveMQ, "/queue/a", ""), wished(t, ActiveMQ, "/queue/a?consumer.x=1&y=%zz",
		"activemq.dispatchAsync:false\nactivemq.whatever:1\npersistent:true\ndurable:true\nsubscription-type:MULTICAST\nx-queue-name:q\nbrowser:no\n"))
}

func TestA4SelectorsReachTheBroker(t *testing.T) {
	for _, text := range []string{"a = 1", "convert_string_expressions:a = 1", "hyphenated_props:my-a = 'x'", "no_convert_string_expressions:a = 1", " a IS NULL "} {
		for _, destination := range []string{"/queue/a", "/topic/a", "/temp-queue/a", "/queue/a.>"} {
			o := wished(t, ActiveMQ, destination, "selector:"+text+"\n")
			require.Equal(t, text, o.Selector)
			require.Equal(t, "1\n"+text, o.Name, "another selector is another subscription")
		}
	}
	require.Equal(t, `"a:b" = 1`, wished(t, ActiveMQ, "/queue/a", "selector:\"a\\cb\" = 1\n").Selector, "a header's escapes are none of the selector's")
	for _, empty := range []string{"selector:\n", "selector:   \n"} {
		require.Empty(t, wished(t, ActiveMQ, "/queue/a", empty).Selector)
	}
}

// ActiveMQ's message is the selector on queues and its own words on topics; the text says where the mistake is.
func TestA4InvalidSelectors(t *testing.T) {
	s := start(t, newFakeBroker())
	for _, text := range []string{"x = = 1", "x == 1", "1 + 2", "'a", "a LIKE"} {
		c := login(t, s, "1.1")
		for destination, message := range map[string]string{
			"/queue/a": text, "/temp-queue/a": text, "/topic/a": "Couldn't create TopicSubscription", "/temp-topic/a": "Couldn't create TopicSubscription",
		} {
			c.send("SUBSCRIBE\nid:1\nreceipt:r\ndestination:" + destination + "\nselector:" + text + "\n\n^")
			r := c.expect("ERROR")
			require.Equal(t, []string{message, "r"}, []string{r.get("message"), r.get("receipt-id")})
			require.NotEqual(t, message, r.body)
			require.NotEmpty(t, r.body)
		}
		c.expectAlive()
	}
	c := login(t, s, "1.1")
	c.send("SUBSCRIBE\nid:1\ndestination:/queue/a\nselector:" + strings.Repeat("x", 9000) + " =\n\n^")
	require.Len(t, c.expect("ERROR").get("message"), maxQuote+3, "a client's own words are repeated in part")
	c = login(t, start(t, newFakeBroker(), like(Artemis)), "1.1")
	c.send("SUBSCRIBE\nid:1\ndestination:/queue/a\nselector:\n\n^")
	c.expectError("The selector is empty")
	c.expectAlive()
}
