package quota_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/quota"
)

// house is a broker in which no queue exists.
type house struct {
	open      map[*visitor]struct{}
	refreshed int
}

func (h *house) Inquire(_ string, done func(exists bool, err error)) { done(false, nil) }

func (h *house) Refresh(which func(quota.Accounts) bool) {
	for v := range h.open {
		if which(v.accounts) {
			h.refreshed++
		}
	}
}

// visitor is a session.
type visitor struct {
	who      gateway.Principal
	accounts quota.Accounts
	subs     []*part
}

// part is a subscription.
type part struct {
	*quota.Share
	may, has int // deliveries in flight
	wakes    int
}

// Whatever sessions do and however quotas change: nobody has more in flight than may be, each has at least one delivery to itself, and when all have gone the
// books are empty.
func TestTheBooksAreTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &house{open: map[*visitor]struct{}{}}
		most := rapid.IntRange(1, 6).Draw(t, "in flight")
		quotas := quota.Quotas{PerUser: quota.Quota{InFlight: most, Subscriptions: 5, Destinations: 4, Connections: 3}}
		l := quota.NewLedger(h, quotas, time.Now)
		var all []*visitor
		inFlight := func(user string) (n int) {
			for _, v := range all {
				for _, s := range v.subs {
					if v.who.Name == user {
						n += s.has
					}
				}
			}
			return n
		}
		pick := func(t *rapid.T) *visitor {
			if len(all) == 0 {
				t.Skip()
			}
			return rapid.SampledFrom(all).Draw(t, "visitor")
		}
		part1 := func(t *rapid.T) (*visitor, *part) {
			v := pick(t)
			if len(v.subs) == 0 {
				t.Skip()
			}
			return v, rapid.SampledFrom(v.subs).Draw(t, "subscription")
		}
		strike := func(s *part) { l.Strike(s.Share); s.has = 0 }
		leave := func(v *visitor) {
			for _, s := range v.subs {
				strike(s)
			}
			l.Leave(v.accounts)
			delete(h.open, v)
		}
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				v := &visitor{who: gateway.Principal{Name: fmt.Sprint("u", rapid.IntRange(0, 1).Draw(t, "user"))}}
				same := 0
				for _, other := range all {
					if other.who.Name == v.who.Name {
						same++
					}
				}
				var err error
				v.accounts, err = l.Enter(v.who, "192.0.2.1:1")
				require.Equal(t, same >= 3, err != nil)
				if err == nil {
					all, h.open[v] = append(all, v), struct{}{}
				}
			},
			"leave": func(t *rapid.T) {
				v := pick(t)
				leave(v)
				for i := range all {
					if all[i] == v {
						all = append(all[:i], all[i+1:]...)
						break
					}
				}
			},
			"enrol": func(t *rapid.T) {
				v, s := pick(t), &part{}
				d := gateway.Destination{Kind: gateway.KindQueue, Name: fmt.Sprint(rapid.IntRange(0, 5).Draw(t, "queue"))}
				share, may, err := l.Enrol(quota.Claim{
					Accounts: v.accounts, Destination: d, Prefetch: 10, Extend: func(n int) { s.may += n }, Wake: func() { s.wakes++ },
				})
				if err != nil {
					require.Equal(t, gateway.Limit, gateway.KindOf(err.(*quota.Reached).Told))
					return
				}
				s.Share, s.may = share, may
				l.Opened(share)
				v.subs = append(v.subs, s)
			},
			"take": func(t *rapid.T) {
				_, s := part1(t)
				s.has += l.Take(s.Share, rapid.IntRange(1, 4).Draw(t, "n"), func(*quota.Reached) {})
			},
			"give back": func(t *rapid.T) {
				_, s := part1(t)
				n := rapid.IntRange(0, s.has).Draw(t, "n")
				l.GiveBack(s.Share, n)
				s.has -= n
			},
			"strike": func(t *rapid.T) {
				v, s := part1(t)
				strike(s)
				for i := range v.subs {
					if v.subs[i] == s {
						v.subs = append(v.subs[:i], v.subs[i+1:]...)
						break
					}
				}
			},
			"create": func(t *rapid.T) {
				_ = l.Create(pick(t).accounts, gateway.Destination{Kind: gateway.KindQueue, Name: fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "queue"))}, false)
			},
			"sweep": func(*rapid.T) { l.Sweep(true) },
			"": func(t *rapid.T) {
				for _, user := range []string{"u0", "u1"} {
					require.LessOrEqual(t, inFlight(user), most)
				}
				for _, v := range all {
					for _, s := range v.subs {
						require.Equal(t, l.Prefetch(s.Share), s.may)
						require.GreaterOrEqual(t, s.may, 1)
					}
				}
			},
		})
		for _, v := range all {
			leave(v)
		}
		for range 2 { // those that were made are asked for, and gone
			l.Sweep(true)
		}
		accounts, uses := l.InUse()
		require.Zero(t, accounts)
		require.Zero(t, uses)
	})
}

// A change of quotas wakes who waited, after the sessions have taken in the new ones.
func TestAChangeWakesWhoWaited(t *testing.T) {
	h := &house{}
	l := quota.NewLedger(h, quota.Quotas{Total: quota.Quota{InFlight: 1, PublishMessages: 1}}, time.Now)
	who := gateway.Principal{Name: "u"}
	accounts, err := l.Enter(who, "192.0.2.1:1")
	require.NoError(t, err)
	woken, extended, refreshed := 0, 0, false
	share, may, err := l.Enrol(quota.Claim{Accounts: accounts, Prefetch: 5, Extend: func(n int) { extended += n }, Wake: func() { woken++; require.True(t, refreshed) }})
	require.NoError(t, err)
	require.Equal(t, 1, may)
	l.Opened(share)
	terms := l.Terms(accounts)
	require.True(t, terms.Gated)
	require.True(t, terms.Paced())
	var told []string
	tell := func(r *quota.Reached) { told = append(told, r.Limit+": "+r.Error()) }
	require.Equal(t, 1, l.Take(share, 3, tell))
	require.Zero(t, l.Take(share, 3, tell))
	for range 3 {
		l.Charge(&terms, 1, tell)
	}
	require.Equal(t, []string{"in_flight: the broker waits: the limit of in_flight is 1", "publish_messages: the broker waits: the limit of publish_messages is 1"}, told)
	require.Positive(t, l.Pause(&terms))
	l.Change(quota.Quotas{}, func() []gateway.Principal { return []gateway.Principal{who} }, func() { refreshed = true })
	require.Equal(t, 1, woken)
	require.Equal(t, 4, extended)
	terms = l.Terms(accounts)
	require.False(t, terms.Gated || terms.Paced())
}
