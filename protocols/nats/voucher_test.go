package nats

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// nobody lets nobody in.
type nobody struct{ gatewaytest.Everyone }

func (nobody) Authenticate(context.Context, gateway.Login) (gateway.Principal, error) {
	return gateway.Principal{}, gateway.Errorf(gateway.Unauthenticated, "nobody")
}

// What a voucher vouched for is good once, for a door of this process, and for as long as it was not taken back.
func TestVoucher(t *testing.T) {
	v := NewVoucher(nobody{})
	alice := gateway.Principal{Name: "alice", Groups: []string{"ops"}, Method: "jwt", Expires: time.Now()}
	door := func(c gateway.Credentials) (gateway.Principal, error) {
		return v.Authenticate(t.Context(), gateway.Login{Credentials: c, Protocol: doorProtocol})
	}
	c, forget := v.vouch(alice)
	for _, l := range []gateway.Login{
		{Credentials: c, Protocol: "stomp/1.2", Listener: "127.0.0.1:61613"}, {Credentials: c, Protocol: doorProtocol, Listener: "127.0.0.1:4222"},
		{Credentials: c, Protocol: "nats"}, {Protocol: doorProtocol}, {Credentials: gateway.Credentials{Token: "x"}, Protocol: doorProtocol},
		{Credentials: gateway.Credentials{Passcode: c.Token}, Protocol: doorProtocol},
	} {
		_, err := v.Authenticate(t.Context(), l)
		require.Equal(t, gateway.Unauthenticated, gateway.KindOf(err), l)
	}
	got, err := door(c)
	require.NoError(t, err)
	alice.Expires = time.Time{}
	require.Equal(t, alice, got)
	_, err = door(c)
	require.Error(t, err, "a second time")
	forget()
	c, forget = v.vouch(alice)
	forget()
	_, err = door(c)
	require.Error(t, err, "taken back")
	require.Empty(t, v.vouched)
}

// Whatever users are called, the tokens are fit for subjects, files and accounts, and differ when the users do.
func TestTokens(t *testing.T) {
	fit := regexp.MustCompile(`^[0-9a-f]{32}$`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		one, other := TokenOf(gateway.Principal{Name: a}), TokenOf(gateway.Principal{Name: b})
		if a != "" {
			require.Regexp(t, fit, one)
		}
		require.Equal(t, a == b, one == other)
	})
	require.Equal(t, "anonymous", TokenOf(gateway.Principal{}))
	require.NotEqual(t, "anonymous", TokenOf(gateway.Principal{Name: "anonymous"}))
	jwt := func(groups ...string) string {
		return TokenOf(gateway.Principal{Name: "alice", Method: "jwt", Groups: groups})
	}
	require.Equal(t, jwt("a", "b"), jwt("b", "a"))
	seen := map[string]bool{TokenOf(gateway.Principal{Name: "alice"}): true}
	for _, groups := range [][]string{nil, {"a"}, {"a", "b"}, {"a\x00b"}} {
		require.NotContains(t, seen, jwt(groups...), groups)
		seen[jwt(groups...)] = true
	}
	require.Equal(t, TokenOf(gateway.Principal{Name: "alice", Method: "ldap", Groups: []string{"a"}}), TokenOf(gateway.Principal{Name: "alice", DN: "CN=alice"}))
}

// By the rules nobody may do anything: what is left is what requests and replies need.
func TestAnswers(t *testing.T) {
	never := gatewaytest.Rules(func(gateway.Principal, gateway.Action, gateway.Destination) error {
		return gateway.Errorf(gateway.Denied, "never")
	})
	alice := gateway.Principal{Name: "alice"}
	own := replyTopic + TokenOf(alice) + "."
	r := Answers{never}.Rights(alice)
	for _, c := range []struct {
		action gateway.Action
		kind   gateway.Kind
		name   string
		may    bool
	}{
		{gateway.Write, gateway.KindTopic, "_reply.x.y", true},
		{gateway.Create, gateway.KindTopic, "_reply.x.y", true},
		{gateway.Read, gateway.KindTopic, own + "y", true},
		{gateway.Read, gateway.KindTopic, own + ">", true},
		{gateway.Write, gateway.KindTopic, "_reply.>", false},
		{gateway.Write, gateway.KindQueue, "_reply.x", false},
		{gateway.Read, gateway.KindTopic, "_reply.x.y", false},
		{gateway.Read, gateway.KindTopic, "_reply.>", false},
		{gateway.Read, gateway.KindTopic, "_reply.*.y", false},
		{gateway.Read, gateway.KindTopic, strings.TrimSuffix(own, "."), false},
		{gateway.Read, gateway.KindTopic, ">", false},
		{gateway.Read, gateway.KindQueue, own + "y", false},
		{gateway.Manage, gateway.KindTopic, own + "y", false},
		{gateway.Write, gateway.KindTopic, "x", false},
	} {
		d := gateway.Destination{Kind: c.kind, Name: c.name}
		require.Equal(t, c.may, r.May(c.action, d) == nil, "%v %v", c.action, d)
		require.Equal(t, c.may && c.action == gateway.Read, r.All(c.action, d), "%v all %v", c.action, d)
	}
	all := Answers{gatewaytest.Everyone{}}.Rights(alice)
	require.True(t, all.All(gateway.Read, gateway.Destination{Kind: gateway.KindTopic, Name: ">"}))
	d := gateway.Destination{Kind: gateway.KindTopic, Name: own + "y"}
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = r.May(gateway.Read, d) }))
}
