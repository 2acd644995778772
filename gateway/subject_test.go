package gateway_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

func TestEscapeName(t *testing.T) {
	for name, subject := range map[string]string{
		"site.heartbeat": "site.heartbeat",
		"a..b":           "a.%.b",
		".a":             "%.a",
		"a.":             "a.%",
		"with blank":     "with%20blank",
		"100%":           "100%25",
		"%":              "%25",
		"a.*b.c>d":       "a.%2Ab.c%3Ed",
		"*":              "%2A",
		"$JS.API.x":      "$JS.API.x",
		"a/b":            "a/b",
		"straße":         "straße",
	} {
		require.Equal(t, subject, gateway.EscapeName(name))
		require.Equal(t, name, gateway.UnescapeName(subject))
	}
	require.Equal(t, "a.*.b c.>", gateway.UnescapeName("a.*.b%20c.>"))
	require.Equal(t, "a.*.b%20c.>", gateway.EscapePattern("a.*.b c.>"))
}

// FuzzEscapeName: every valid name has a subject that a server takes as a
// literal, and comes back from it.
func FuzzEscapeName(f *testing.F) {
	for _, s := range []string{"a", "a..b", "%", "%41", "a b", "*", ">", "a.*", "$SYS.x", "\u00e4", "%.%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		d := gateway.Destination{Kind: gateway.KindQueue, Name: name}
		if d.Validate() != nil {
			return
		}
		s := gateway.EscapeName(name)
		require.Equal(t, name, gateway.UnescapeName(s))
		require.True(t, utf8.ValidString(s))
		require.False(t, strings.ContainsAny(s, " \t\r\n*>\x00"), s)
		for token := range strings.SplitSeq(s, ".") {
			require.NotEmpty(t, token, s)
		}
	})
}
