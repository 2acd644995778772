package auth_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth"
	"github.com/sluice-mq/sluice/gateway"
)

func TestAnonymousTakesAnyLoginAsTheName(t *testing.T) {
	for _, c := range []gateway.Credentials{
		{},
		{Login: "alice"},
		{Login: "alice", Passcode: "anything"},
		{Login: "/DC=ch/DC=cern/CN=Jürgen", Passcode: "x"},
		{Passcode: "only"},
		{Login: strings.Repeat("a", auth.MaxLoginLength)},
	} {
		p, err := auth.Anonymous{}.Authenticate(t.Context(), gateway.Login{Credentials: c})
		require.NoError(t, err)
		require.Equal(t, gateway.Principal{Name: c.Login}, p)
	}
}

func TestAnonymousRefusesNamesThatNoLogCanShow(t *testing.T) {
	for login, text := range map[string]string{
		strings.Repeat("a", auth.MaxLoginLength+1): "login is 257 bytes long, the limit is 256",
		"a\nb":   "login holds the control character 0x0a at byte 1",
		"ab\x7f": "login holds the control character 0x7f at byte 2",
		"a\xff":  "login is not valid UTF-8",
	} {
		p, err := auth.Anonymous{}.Authenticate(t.Context(), gateway.Login{Credentials: gateway.Credentials{Login: login}})
		require.Zero(t, p)
		require.Equal(t, gateway.Unauthenticated, gateway.KindOf(err))
		require.Equal(t, text, gateway.TextOf(err))
	}
}

func TestAllowAllAllowsAll(t *testing.T) {
	for _, a := range []gateway.Action{gateway.Read, gateway.Write, gateway.Create} {
		for _, k := range []gateway.Kind{gateway.KindQueue, gateway.KindTopic} {
			d := gateway.Destination{Kind: k, Name: "ActiveMQ.Advisory.>"}
			require.NoError(t, auth.AllowAll{}.Rights(gateway.Principal{}).May(a, d))
		}
	}
}
