package auth_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth"
	"github.com/sluice-mq/sluice/gateway"
)

// costly knows one login and counts what it is asked.
type costly struct {
	knows           string
	asked, computed int
	shown           []string
}

func (c *costly) Verify(_ context.Context, login, passcode string) (gateway.Principal, bool, error) {
	c.asked++
	c.shown = append(c.shown, passcode)
	switch {
	case login != c.knows:
		return gateway.Principal{}, false, nil
	case passcode != "right":
		return gateway.Principal{}, true, gateway.WrapError(gateway.Unauthenticated, auth.ErrWrongPassword, "")
	}
	return gateway.Principal{Name: login, Method: "password"}, true, nil
}

// Decoy makes it one that costs something only for those whom it knows.
func (c *costly) Decoy(context.Context, string, string) error { c.computed++; return nil }

// Whoever knows the login, a refusal costs what it costs with the others: one who is asked, and one who computes.
func TestARefusalCostsTheSameWhoeverKnowsTheLogin(t *testing.T) {
	for _, login := range []string{"first", "second", "nobody"} {
		first, second := &costly{knows: "first"}, &costly{knows: "second"}
		a := auth.NewChain(auth.ChainConfig{Passwords: []auth.Passwords{first, second}})
		_, err := a.Authenticate(t.Context(), gateway.Login{Remote: "192.0.2.1:1", Credentials: gateway.Credentials{Login: login, Passcode: "wrong"}})
		require.Equal(t, gateway.Unauthenticated, gateway.KindOf(err))
		require.Equal(t, []int{1, 1}, []int{first.asked, second.asked}, login)
		if login == "first" {
			require.NotContains(t, second.shown, "wrong", "a passcode is shown to nobody whom it is not for")
		} else {
			require.Equal(t, 1, first.computed, login)
		}
	}
	first, second := &costly{knows: "first"}, &costly{knows: "second"}
	a := auth.NewChain(auth.ChainConfig{Passwords: []auth.Passwords{first, second}})
	_, err := a.Authenticate(t.Context(), gateway.Login{Remote: "192.0.2.1:1", Credentials: gateway.Credentials{Login: "first", Passcode: "right"}})
	require.NoError(t, err)
	require.Zero(t, second.asked, "who is let in does not wait for the others")
}
