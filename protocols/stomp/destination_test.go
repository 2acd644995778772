package stomp

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// classic is how a client of that session writes destinations to a listener with that personality.
func classic(p Personality) *addresses { return &addresses{&dialects[p], "ID:me:"} }

// parse reads a destination that a SEND names.
func parse(a *addresses, text string) (target, error) { return a.target(nil, text, toSend) }

func TestDestinationsBothWays(t *testing.T) {
	q := func(n string) gateway.Destination { return gateway.Destination{Kind: gateway.KindQueue, Name: n} }
	p := func(n string) gateway.Destination { return gateway.Destination{Kind: gateway.KindTopic, Name: n} }
	a := classic(ActiveMQ)
	for _, c := range []struct {
		text      string
		want      gateway.Destination
		delivered string
	}{
		{"/queue/a.b", q("a.b"), "/queue/a.b"},
		{"/topic/a.b", p("a.b"), "/topic/a.b"},
		{"foo", q("foo"), "/queue/foo"},
		{"/foo/bar", q("/foo/bar"), "/queue//foo/bar"},
		{"/queue//foo/bar", q("/foo/bar"), "/queue//foo/bar"},
		{"  /queue/a \t", q("a"), "/queue/a"},
		{"queue://a", q("a"), "/queue/a"},
		{"topic://a/b", p("a/b"), "/topic/a/b"},
		{"/queue/a.>", q("a.>"), "/queue/a.>"},
		{"/queue/a?consumer.prefetchSize=1", q("a"), "/queue/a"},
		{"/exchange/x/y", q("/exchange/x/y"), "/queue//exchange/x/y"},
		{"gLite-APEL", q("gLite-APEL"), "/queue/gLite-APEL"},
		{"/queue/ a", q(" a"), "/queue/ a"},
		{"/topic//queue/a", p("/queue/a"), "/topic//queue/a"},
	} {
		d, err := parse(a, c.text)
		require.NoError(t, err, c.text)
		require.Equal(t, c.want, d.Destination, c.text)
		require.Equal(t, c.delivered, a.format(d.Destination))
		again, err := parse(a, a.format(d.Destination))
		require.NoError(t, err)
		require.Equal(t, d.Destination, again.Destination)
	}
	for _, bad := range []string{
		"", " ", "/queue/", "/topic/", "queue://", "?a=b", "a,,b", ",a", ",", "/queue/a,/topic/",
		"/remote-temp-queue/", "/temp-queue/a.*", "/temp-topic/a.>", "/queue/" + strings.Repeat("n", 1025), "/queue/\xff", "/queue/a\x01b",
	} {
		_, err := parse(a, bad)
		require.Equal(t, gateway.Invalid, gateway.KindOf(err), bad)
	}
}

func TestConsumerOptions(t *testing.T) {
	for options, want := range map[string]string{
		"": "", "consumer.prefetchSize=1": "1", "a=b&consumer.prefetchSize=7&c": "7", "prefetchSize=1": "", "%zz&consumer.prefetchSize=2": "2",
	} {
		require.Equal(t, want, consumerOption(options, "prefetchSize"), options)
	}
}

func TestA2CompositesAndB6Row141(t *testing.T) {
	a := classic(ActiveMQ)
	for text, want := range map[string]string{
		"/queue/a,/queue/b": "queue://a queue://b",
		"/topic/a,b":        "topic://a queue://b", // a bare part is a queue, whatever stood before it
		"/queue/a,/topic/b,c,queue://d, /topic/e ": "queue://a topic://b queue://c queue://d topic://e",
		"a,b":                   "queue://a queue://b",
		"/queue/a,a,/queue/b,a": "queue://a queue://b", // one copy each
		"/queue/a,":             "queue://a",
		"/queue/a,,":            "queue://a",
		"/temp-queue/x,/remote-temp-topic/ID:you:y,b":   "temp-queue://ID:me:x temp-topic://ID:you:y queue://b",
		"/queue/a?consumer.x=1,/queue/b?consumer.y=2,c": "queue://a queue://b queue://c",
	} {
		for _, p := range []Personality{ActiveMQ, Strict, Apollo, Artemis} {
			got, err := parse(classic(p), text)
			require.NoError(t, err, text)
			require.Equal(t, want, strings.TrimSpace(strings.Join(names(got), " ")), "%s %v", text, p)
		}
	}
	got, err := parse(a, "/queue/a?consumer.x=1,/queue/b?consumer.y=2")
	require.NoError(t, err)
	require.Equal(t, "1", consumerOption(got.options, "x"))
	require.Equal(t, "2", consumerOption(got.options, "y"))
}

func names(t target) (all []string) {
	all = append(all, t.String())
	for _, d := range t.also {
		all = append(all, d.String())
	}
	return all
}

func TestA2TemporaryDestinationsHaveTwoNames(t *testing.T) {
	a := classic(ActiveMQ)
	for text, want := range map[string]struct{ name, shown, elsewhere string }{
		"/temp-queue/x":               {"temp-queue://ID:me:x", "/temp-queue/x", "/remote-temp-queue/ID:me:x"},
		"/temp-topic/x":               {"temp-topic://ID:me:x", "/temp-topic/x", "/remote-temp-topic/ID:me:x"},
		"/temp-queue/":                {"temp-queue://ID:me:", "/temp-queue/", "/remote-temp-queue/ID:me:"},
		"/temp-queue/a b":             {"temp-queue://ID:me:a b", "/temp-queue/a b", "/remote-temp-queue/ID:me:a b"},
		"/remote-temp-queue/ID:me:x":  {"temp-queue://ID:me:x", "/temp-queue/x", "/remote-temp-queue/ID:me:x"},
		"/remote-temp-queue/ID:you:x": {"temp-queue://ID:you:x", "/remote-temp-queue/ID:you:x", "/remote-temp-queue/ID:you:x"},
		"temp-topic://ID:you:x":       {"temp-topic://ID:you:x", "/remote-temp-topic/ID:you:x", "/remote-temp-topic/ID:you:x"},
	} {
		got, err := parse(a, text)
		require.NoError(t, err, text)
		require.Equal(t, want.name, got.String(), text)
		require.Equal(t, want.shown, a.format(got.Destination), text)
		require.Equal(t, want.elsewhere, (&addresses{a.dialect, "ID:third:"}).format(got.Destination), text)
	}
}

func TestA2DestinationsOfRabbitMQ(t *testing.T) {
	a := classic(RabbitMQ)
	for _, c := range []struct {
		text, name, shown string
		to                purpose
	}{
		{"/queue/a", "queue://a", "/queue/a", toSend},
		{"/queue/a%2Fb%25c", "queue://a/b%c", "/queue/a%2Fb%25c", toSend},
		{"/queue/a%zz%4", "queue://a%zz%4", "/queue/a%25zz%254", toSend},
		{"/queue/caf%C3%A9", "queue://café", "/queue/caf%C3%A9", toSend},
		{"/queue/a,b", "queue://a,b", "/queue/a,b", toSend},
		{"/queue/a?b", "queue://a?b", "/queue/a?b", toSend},
		{"/amq/queue/a", "queue://a", "/queue/a", toSubscribe},
		{"/topic/a.b", "topic://a.b", "/topic/a.b", toSend},
		{"/topic/a.*.#", "topic://a.*.>", "/topic/a.*.>", toSubscribe},
		{"/topic/#", "topic://>", "/topic/>", toSubscribe},
		{"/exchange/amq.topic/a.#", "topic://a.>", "/topic/a.>", toSubscribe},
		{"/reply-queue/ID:you:x/y", "temp-queue://ID:you:x/y", "/reply-queue/ID:you:x/y", toSend},
		{"/reply-queue/ID:me:x", "temp-queue://ID:me:x", "/temp-queue/x", toSend},
		{"/remote-temp-queue/ID:you:x", "temp-queue://ID:you:x", "/reply-queue/ID:you:x", toSend},
	} {
		got, err := a.target(nil, c.text, c.to)
		require.NoError(t, err, c.text)
		require.Equal(t, c.name, got.String(), c.text)
		require.Equal(t, c.shown, a.format(got.Destination), c.text)
	}
	for text, message := range map[string]string{
		"a": "Unknown destination", "/foo/a": "Unknown destination", "/queue": "Unknown destination", "queue://a": "Unknown destination",
		"/queue/": "Invalid destination", "/queue/a/b": "Invalid destination", "/topic/a/b": "Invalid destination",
		"/temp-queue/x": "Invalid destination", "/exchange/amq.direct/a": "not_found", "/exchange/amq.topic": "not_found",
	} {
		for _, to := range []purpose{toSend, toSubscribe} {
			_, err := a.target(nil, text, to)
			var r *refusal
			require.ErrorAs(t, err, &r, text)
			require.Equal(t, message, r.message, text)
		}
	}
	for text, to := range map[string]purpose{
		"": toSend, "/topic/a.#.b": toSubscribe, "/queue/a.*": toSubscribe, "/topic/a.>": toSubscribe, "/topic/a.*": toSend, "/reply-queue/x": toSubscribe,
	} {
		_, err := a.target(nil, text, to)
		require.Equal(t, gateway.Invalid, gateway.KindOf(err), text)
	}
}

func TestA2DestinationsOfArtemisAndB6Row154(t *testing.T) {
	a := classic(Artemis)
	for _, c := range []struct {
		text, kind string
		to         purpose
		name       string
	}{
		{"a", "", toSend, "queue://a"}, {"a", "ANYCAST", toSend, "queue://a"}, {"a", "multicast", toSend, "topic://a"},
		{"/topic/a", "MULTICAST", toSend, "topic://a"}, {"anycast://a", "", toSend, "queue://a"}, {"multicast://a", "", toSubscribe, "topic://a"},
		{"/queue/a", "", toSubscribe, "queue://a"}, {"a.#", "MULTICAST", toSubscribe, "topic://a.>"}, {"a.#", "", toSend, "queue://a.#"},
		{"a::q", "", toSend, "queue://q"}, {"/queue/a::q", "ANYCAST", toSubscribe, "queue://q"},
		{"a,b", "ANYCAST", toSend, "queue://a"},
	} {
		h := gateway.Header{{Name: typed[c.to], Value: c.kind}}
		got, err := a.target(h, c.text, c.to)
		require.NoError(t, err, c.text)
		require.Equal(t, c.name, got.String(), c.text)
	}
	got, err := a.target(nil, "/topic/a::q", toSubscribe)
	require.NoError(t, err)
	require.Equal(t, target{Destination: gateway.Destination{Kind: gateway.KindTopic, Name: "a"}, queue: "q"}, got)
	for text, kind := range map[string]string{
		"/topic/a": "ANYCAST", "/queue/a": "MULTICAST", "a": "BROADCAST", "a,/topic/b": "ANYCAST",
		"/topic/a::q": "", "a::": "", "::q": "", "a::q,b": "",
	} {
		_, err := a.target(gateway.Header{{Name: "destination-type", Value: kind}}, text, toSend)
		require.Equal(t, gateway.Invalid, gateway.KindOf(err), text)
	}
	// In any other personality that is a name like any other.
	got, err = a.target(nil, "a", toSend)
	require.NoError(t, err)
	require.Equal(t, gateway.KindQueue, got.Kind)
	got, err = classic(ActiveMQ).target(gateway.Header{{Name: "destination-type", Value: "MULTICAST"}}, "a::q", toSend)
	require.NoError(t, err)
	require.Equal(t, "queue://a::q", got.String())
}

func TestA2DestinationsOfApollo(t *testing.T) {
	a := classic(Apollo)
	for text, want := range map[string]string{
		"/topic/a.**": "topic://a.>", "/queue/**": "queue://>", "/topic/a.*,/queue/b.**": "topic://a.* queue://b.>", "/dsub/mine": "subscription://:mine",
	} {
		got, err := a.target(nil, text, toSubscribe)
		require.NoError(t, err, text)
		require.Equal(t, want, strings.Join(names(got), " "))
	}
	got, err := a.target(nil, "/dsub/mine", toSubscribe)
	require.NoError(t, err)
	require.Equal(t, "/dsub/mine", a.format(got.Destination))
	for text, to := range map[string]purpose{"/topic/a.**.b": toSubscribe, "/dsub/mine": toSend, "/dsub/x,/queue/a": toSend} {
		_, err := a.target(nil, text, to)
		require.Equal(t, gateway.Invalid, gateway.KindOf(err), text)
	}
}

// Whatever is read is valid, and what is shown of it leads to the same destination.
func FuzzDestination(f *testing.F) {
	for _, s := range []string{
		"/queue/a", "topic://b?x=y", "/foo", " /topic/x ", "a,b", "/queue//topic/x", "\x00", "/temp-queue/x", "/remote-temp-queue/ID:me:x", "/reply-queue/a/b",
		"/queue/a%2Fb", "/exchange/amq.topic/a.#", "a::b", "multicast://a", "/dsub/x", "/topic/a.**,b", "/queue/%", ",,", "/queue/a?x,/topic/b?y=%zz",
	} {
		for p := range dialects {
			f.Add(s, uint8(p), p%2 == 0)
		}
	}
	f.Fuzz(func(t *testing.T, s string, p uint8, sending bool) {
		a := classic(Personality(int(p) % len(dialects)))
		to := toSubscribe
		if sending {
			to = toSend
		}
		got, err := a.target(nil, s, to)
		if err != nil {
			if gateway.TextOf(err) == "internal error" {
				t.Fatalf("%q is refused without words", s)
			}
			return
		}
		consumerOption(got.options, "prefetchSize")
		if len(got.also) >= maxComposite {
			t.Fatalf("%q became %d destinations", s, len(got.also)+1)
		}
		for _, d := range append([]gateway.Destination{got.Destination}, got.also...) {
			if err := d.Validate(); err != nil {
				t.Fatalf("%q became the invalid %v", s, d)
			}
			checkShown(t, a, d)
		}
	})
}

// checkShown reads what is shown of a destination.
func checkShown(t *testing.T, a *addresses, d gateway.Destination) {
	shown := a.format(d)
	if a.grammar == rabbitGrammar && (d.IsPattern() || strings.HasPrefix(shown, tempQueuePrefix)) {
		return // only ever shown where nobody reads it back: in a reply-to, or to who knows what it subscribed to
	}
	if a.grammar != rabbitGrammar && strings.ContainsAny(d.Name, ",?") || a.grammar == artemisGrammar && strings.Contains(d.Name, "::") {
		return // nobody can write these
	}
	again, err := a.target(nil, shown, toSend)
	if d.Kind == gateway.KindSubscription {
		again, err = a.target(nil, shown, toSubscribe)
	}
	// Blanks at the end of a name are lost on the way back, and may be all of it.
	if trimmed := strings.TrimSpace(d.Name); trimmed == "" || trimmed != d.Name || strings.TrimSpace(shown) != shown {
		return
	}
	if err != nil || again.Destination != d || len(again.also) > 0 {
		t.Fatalf("%v is shown as %q, that is %v, %v", d, shown, again, err)
	}
}

// A reply-to comes to whoever reads it as a destination that leads to the same place, and back to its sender as it was written.
func FuzzReplyTo(f *testing.F) {
	for _, s := range []string{"/temp-queue/x", "/temp-topic/", "/temp-queue/ x", "sms:8139", "/remote-temp-queue/ID:you:x", "/queue/a", " /temp-queue/x ", "/reply-queue/ID:you:x", "/temp-queue/a,b", "/temp-queue/a?b"} {
		for p := range dialects {
			f.Add(s, uint8(p), uint8(0))
		}
	}
	f.Fuzz(func(t *testing.T, s string, p, q uint8) {
		me, you := classic(Personality(int(p)%len(dialects))), &addresses{&dialects[int(q)%len(dialects)], "ID:you:"}
		kept := me.keptReply(s)
		if again := you.keptReply(you.shownReply(kept)); again != kept && !strings.HasPrefix(kept, replyPrefix) && !strings.ContainsAny(kept, ",?") && strings.TrimSpace(kept) == kept {
			t.Fatalf("%q is kept as %q and forwarded as %q", s, kept, again)
		}
		own := strings.HasPrefix(s, tempQueuePrefix) || strings.HasPrefix(s, tempTopicPrefix)
		if !own || strings.ContainsAny(s, ",?") || strings.TrimSpace(s) != s {
			return
		}
		if shown := me.shownReply(kept); shown != s {
			t.Fatalf("%q is kept as %q and comes back as %q", s, kept, shown)
		}
		shown := you.shownReply(kept)
		d, _, err := me.plain(s)
		if err != nil || you.possible(d, toSend) != nil || strings.TrimSpace(shown) != shown {
			return
		}
		if got, err := you.target(nil, shown, toSend); err != nil || got.Destination != d {
			t.Fatalf("%q is shown to others as %q, which is %v, %v", s, shown, got, err)
		}
	})
}
