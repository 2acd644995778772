package audit_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/audit"
	"github.com/sluice-mq/sluice/gateway/quota"
)

// clerk is an Auditor that keeps what it is told.
type clerk struct {
	commands bool
	lines    []string
}

func (c *clerk) Record(e *gateway.Event) {
	c.lines = append(c.lines, fmt.Sprintf("%s %s %s %d %v", e.Kind, e.Remote, e.Subject, e.Count, e.Err))
}

func (c *clerk) Commands() bool { return c.commands }

func (c *clerk) written() []string {
	defer func() { c.lines = nil }()
	return c.lines
}

func newBook() (*clerk, *time.Time, *audit.Book) {
	c, now := &clerk{}, time.Unix(1_700_000_000, 0)
	return c, &now, audit.NewBook(c, func() time.Time { return now })
}

// Ten refusals of a host are written down in a second, and how many were not once it is over, also if nobody comes any more.
func TestRefusedLoginsAreWrittenDownWithRestraint(t *testing.T) {
	c, now, b := newBook()
	no := errors.New("no")
	refuse := func(remote string, n int) {
		for range n {
			b.Refused(&gateway.Login{Remote: remote}, gateway.Principal{}, no)
		}
	}
	refuse("192.0.2.1:1", 25)
	refuse("192.0.2.2:1", 1)
	require.Len(t, c.written(), 11)
	*now = now.Add(time.Second)
	refuse("192.0.2.1:1", 1)
	require.Equal(t, []string{"login_refused 192.0.2.1 15 refusals were left out 15 <nil>", "login_refused 192.0.2.1:1  0 no"}, c.written())
	refuse("192.0.2.1:1", 12)
	c.written()
	b.Sweep()
	require.Empty(t, c.written(), "more may come")
	*now = now.Add(time.Second)
	b.Sweep()
	require.Equal(t, []string{"login_refused 192.0.2.1 3 refusals were left out 3 <nil>"}, c.written())
	b.Refused(&gateway.Login{Remote: "192.0.2.3:1"}, gateway.Principal{}, &quota.Reached{Limit: "connections", Told: gateway.Errorf(gateway.Limit, "too many")})
	require.Equal(t, []string{"limit 192.0.2.3:1 connections 0 too many"}, c.written())
	refuse("192.0.2.1:1", 11)
	c.written()
	b.Close()
	require.Equal(t, []string{"login_refused 192.0.2.1 1 refusals were left out 1 <nil>"}, c.written())
}

// What becomes of messages is written down when it is known; who waits is told all the same.
func TestWhatBecomesOfMessagesIsWrittenDown(t *testing.T) {
	c, _, b := newBook()
	login := &gateway.Login{Remote: "192.0.2.1:1"}
	trail := b.Trail(login, "s", func() gateway.Principal { return gateway.Principal{Name: "u"} })
	m := &gateway.Message{ID: "1", Destination: gateway.Destination{Kind: gateway.KindQueue, Name: "q"}}
	to := &waiter{}
	sent := trail.Sent(to, true, m, m)
	require.Empty(t, c.written())
	sent.(gateway.Holder).Hold(3)
	sent.Complete(4, errors.New("full"))
	require.Equal(t, []string{"send 192.0.2.1:1 1 1 full", "send 192.0.2.1:1 1 1 full", "commit 192.0.2.1:1  2 full"}, c.written())
	require.Equal(t, waiter{3, 4}, *to)
	require.Nil(t, trail.Sent(nil, false, m), "its road is another one if somebody waits")
	require.Equal(t, []string{"send 192.0.2.1:1 1 1 <nil>"}, c.written())
	trail.Sent(nil, true, m).Complete(0, nil)
	require.Len(t, c.written(), 2)
}

// waiter is the last tokens that it was told.
type waiter struct{ held, completed uint64 }

func (w *waiter) Hold(token uint64)              { w.held = token }
func (w *waiter) Complete(token uint64, _ error) { w.completed = token }

// Without an auditor nothing is written down, and nobody is asked.
func TestNobodyWritesDown(t *testing.T) {
	b := audit.NewBook(nil, nil)
	require.False(t, b.Commands())
	trail := b.Trail(nil, "", nil)
	trail.Connected()
	trail.Denied(gateway.Read, gateway.Destination{}, nil)
	trail.Subscribed(nil)
	trail.Unsubscribed(nil, 0, nil)
	trail.Disconnected(0, 0, nil)
	b.Refused(nil, gateway.Principal{}, nil)
}
