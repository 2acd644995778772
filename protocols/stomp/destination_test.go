package stomp

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

func TestDestinationsBothWays(t *testing.T) {
	q := func(n string) gateway.Destination { return gateway.Destination{Kind: gateway.KindQueue, Name: n} }
	p := func(n string) gateway.Destination { return gateway.Destination{Kind: gateway.KindTopic, Name: n} }
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
		d, _, err := parseDestination(c.text)
		require.NoError(t, err, c.text)
		require.Equal(t, c.want, d, c.text)
		require.Equal(t, c.delivered, formatDestination(d))
		again, _, err := parseDestination(formatDestination(d))
		require.NoError(t, err)
		require.Equal(t, d, again)
	}
	for _, bad := range []string{
		"", " ", "/queue/", "/topic/", "queue://", "?a=b", "a,b", "/temp-queue/x", "/temp-topic/x", "temp-queue://x",
		"/remote-temp-queue/ID:1", "/queue/" + strings.Repeat("n", 1025), "/queue/\xff", "/queue/a\x01b",
	} {
		_, _, err := parseDestination(bad)
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

func FuzzDestination(f *testing.F) {
	for _, s := range []string{"/queue/a", "topic://b?x=y", "/foo", " /topic/x ", "a,b", "/queue//topic/x", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, options, err := parseDestination(s)
		if err != nil {
			if gateway.TextOf(err) == "internal error" {
				t.Fatalf("%q is refused without words", s)
			}
			return
		}
		consumerOption(options, "prefetchSize")
		if err := d.Validate(); err != nil {
			t.Fatalf("%q became the invalid %v", s, d)
		}
		again, _, err := parseDestination(formatDestination(d))
		// Blanks at the end of a name are lost on the way back, and may be all of it.
		if trimmed := strings.TrimSpace(d.Name); trimmed == "" || trimmed != d.Name {
			return
		}
		if err != nil || again != d {
			t.Fatalf("%q became %v, then %v, %v", s, d, again, err)
		}
	})
}
