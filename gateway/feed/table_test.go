package feed_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/feed"
)

// The table is what the registry said last, whatever it said before: each queue once, by the topic and by patterns of it.
func TestTheTableIsWhatTheRegistrySays(t *testing.T) {
	topics := []string{"a", "a.b", "a.*", ">", "b.>"}
	rapid.Check(t, func(t *rapid.T) {
		var table feed.Table
		rules := feed.DefaultVirtualTopics()
		said := map[string]feed.Binding{}
		t.Repeat(map[string]func(*rapid.T){
			"learn": func(t *rapid.T) {
				b := feed.Binding{Topic: rapid.SampledFrom(topics).Draw(t, "topic")}
				if rapid.Bool().Draw(t, "durable") {
					b.Client, b.Name = "c", rapid.SampledFrom([]string{"x", "y:z"}).Draw(t, "name")
				} else {
					b.Queue = "Consumer." + rapid.SampledFrom([]string{"A", "B"}).Draw(t, "consumer") + "."
					if (gateway.Destination{Name: b.Topic}).IsPattern() {
						b.Queue += "{topic}"
					} else {
						b.Queue += b.Topic
					}
				}
				require.NoError(t, b.Validate())
				value, err := json.Marshal(&b)
				require.NoError(t, err)
				key := b.ID()
				_, had := said[key]
				old, now, err := table.Learn(key, value, 1)
				require.NoError(t, err)
				require.Equal(t, had, old != nil)
				require.Equal(t, key, now.Key)
				said[key] = b
			},
			"forget": func(t *rapid.T) {
				if len(said) == 0 {
					t.Skip()
				}
				key := rapid.SampledFrom(slices.Sorted(maps.Keys(said))).Draw(t, "key")
				old, now, err := table.Learn(key, nil, 2)
				require.NoError(t, err)
				require.NotNil(t, old)
				require.Nil(t, now)
				if old.At() != "" {
					require.Nil(t, table.Bound(old.At()))
				}
				delete(said, key)
			},
			"": func(t *rapid.T) {
				require.Len(t, table.Bindings(), len(said))
				for key, b := range said {
					require.Equal(t, b, table.Of(key).Binding)
					if b.Queue == "" {
						require.Equal(t, key, table.Bound(b.Place()).Key)
					}
				}
				for _, topic := range []string{"a", "a.b", "b.c", "c"} {
					want := map[string]bool{}
					for _, b := range said {
						switch {
						case !gateway.Matches(b.Topic, topic):
						case b.Queue == "":
							want[b.Place()] = true
						case len(b.Queue) > len("{topic}") && b.Queue[len(b.Queue)-1] == '}':
							want[b.Queue[:len(b.Queue)-len("{topic}")]+topic] = true
						default:
							want[b.Queue] = true
						}
					}
					got := map[string]bool{}
					m := &gateway.Message{Destination: gateway.Destination{Kind: gateway.KindTopic, Name: topic}}
					for _, f := range table.For(topic, rules) {
						place := f.Copy(m).Place()
						require.False(t, got[place], "%s twice", place)
						got[place] = true
					}
					require.Equal(t, want, got, topic)
				}
			},
		})
	})
}

// What a newer version writes is left alone; what is half understood keeps all, so that nothing is lost.
func TestWhatIsNotUnderstood(t *testing.T) {
	var table feed.Table
	for _, value := range []string{"{", `{"topic":"t"}`, `{"queue":"q"}`} {
		_, now, _ := table.Learn("k", []byte(value), 1)
		require.Nil(t, now, value)
	}
	_, now, err := table.Learn("k", []byte(`{"topic":"t","name":"n","selector":"a ="}`), 1)
	require.Error(t, err)
	require.True(t, now.Selects(&gateway.Message{}, ""))
}

// NoLocal is of a client-id: nobody is no client.
func TestNoLocalLeavesOutTheClientsOwn(t *testing.T) {
	f := feed.New(feed.Binding{Topic: "t", Client: "c", Name: "n", NoLocal: true})
	require.False(t, f.Selects(&gateway.Message{}, "c"))
	require.True(t, f.Selects(&gateway.Message{}, ""))
	nobody := feed.New(feed.Binding{Topic: "t", Name: "n", NoLocal: true})
	require.True(t, nobody.Selects(&gateway.Message{}, ""))
}

// What is copied says where it was sent, and that is read again.
func TestOriginsAreReadAgain(t *testing.T) {
	for _, d := range []gateway.Destination{{Kind: gateway.KindQueue, Name: "a.b"}, {Kind: gateway.KindTopic, Name: "t"}} {
		for _, text := range []string{feed.OriginOf(d), d.String()} {
			got, ok := feed.ParseOrigin(text)
			require.True(t, ok, text)
			require.Equal(t, d, got)
		}
	}
	for _, text := range []string{"", "a", "/queue/", "/queue/a,queue://b", "/topic/a.*"} {
		_, ok := feed.ParseOrigin(text)
		require.False(t, ok, text)
	}
	h := feed.WithOrigin(nil, "/queue/a")
	require.Equal(t, h, feed.WithOrigin(h, "/queue/b"), "the first counts")
}

// A durable subscription is held by one, or by all who share it.
func TestDurableSubscriptionsAreHeld(t *testing.T) {
	var all feed.Holders
	place, err := all.Take("c", "n", true)
	require.NoError(t, err)
	_, err = all.Take("c", "n", false)
	require.Equal(t, gateway.Conflict, gateway.KindOf(err))
	_, err = all.Take("c", "n", true)
	require.NoError(t, err)
	require.Equal(t, 2, all.Count(place))
	all.Leave(place)
	all.Leave(place)
	all.Leave(place)
	require.Zero(t, all.Count(place))
	_, err = all.Take("c", "n", false)
	require.NoError(t, err)
	_, err = all.Take("c", "n", true)
	require.Error(t, err)
}

// Who waits is told when all that began before has ended, whatever began since.
func TestLandingTellsWhenAllBeforeHasLanded(t *testing.T) {
	var l feed.Landing
	var told []string
	say := func(word string) func() { return func() { told = append(told, word) } }
	l.Wait(say("nothing"))
	one, two := l.Begin(), l.Begin()
	l.Wait(say("both"))
	three := l.Begin()
	l.Wait(say("three"))
	l.End(three)
	l.End(one)
	require.Equal(t, []string{"nothing"}, told)
	l.End(two)
	require.Equal(t, fmt.Sprint([]string{"nothing", "both", "three"}), fmt.Sprint(told))
}
