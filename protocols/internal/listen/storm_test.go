package listen_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/protocols/internal/listen"
)

// A connection that is not logged in holds a place; the others wait for it, a bounded time, and are then told why.
func TestAStormWaitsAndIsRefusedInWords(t *testing.T) {
	login := make(chan struct{})
	r := start(t, listen.Config{Refuse: words, Limits: listen.Limits{MaxUnknown: 2, MaxWaiting: 1, Wait: time.Hour}}, func(ctx context.Context, c net.Conn) {
		<-login
		c.(*listen.Conn).LoggedIn()
		c.(*listen.Conn).LoggedIn() // which is as good as once
		echo(ctx, c)
	})
	first, second := r.dial(t), r.dial(t)
	require.Eventually(t, func() bool { s := r.Stats(); return s.Unknown == 1 && s.Waiting == 1 }, soon, time.Millisecond)
	got, err := io.ReadAll(r.dial(t))
	require.NoError(t, err)
	require.Equal(t, "Too many clients are connecting at once: try again later\n", string(got))
	close(login)
	requireEcho(t, first, "logged in")
	requireEcho(t, second, "after it")
	require.Eventually(t, func() bool {
		return r.Stats() == listen.Stats{Open: 2, Accepted: 3, Refused: listen.Refusals{Storm: 1}}
	}, soon, time.Millisecond)
}

func TestNobodyWaitsLongerThanItMay(t *testing.T) {
	r := start(t, listen.Config{Refuse: words, Limits: listen.Limits{MaxUnknown: 1, Wait: 50 * time.Millisecond}}, echo)
	requireEcho(t, r.dial(t), "in")
	got, err := io.ReadAll(r.dial(t))
	require.NoError(t, err)
	require.Equal(t, "Too many clients are connecting at once: try again later\n", string(got))
	require.EqualValues(t, 1, r.Stats().Refused.Storm)
}

func TestStoppingEndsTheWaiting(t *testing.T) {
	r := start(t, listen.Config{Limits: listen.Limits{MaxUnknown: 1, Wait: time.Hour}}, echo)
	in := r.dial(t)
	requireEcho(t, in, "in")
	waiting := r.dial(t)
	require.Eventually(t, func() bool { return r.Stats().Waiting == 1 }, soon, time.Millisecond)
	r.StopAccepting()
	_, err := waiting.Read(make([]byte, 1))
	require.Error(t, err)
	requireEcho(t, in, "goes on")
}
