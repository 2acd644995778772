package users

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

func host(last byte) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, last}), 32)
}

// queue makes goroutines wait in the order of the hosts, and returns in which order they were let in.
func queue(t *testing.T, g *gate, hosts ...byte) (order []byte) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, h := range hosts {
		all.Go(func() {
			if g.enter(context.Background(), host(h)) == nil {
				mu.Lock()
				order = append(order, h)
				mu.Unlock()
				g.leave()
			}
		})
		synctest.Wait()
	}
	g.leave() // the test's own place
	all.Wait()
	return order
}

func TestHostsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 100, 100)
		require.NoError(t, g.enter(t.Context(), host(9)))
		require.Equal(t, []byte{1, 2, 3, 1, 2, 1, 1}, queue(t, g, 1, 1, 1, 1, 2, 2, 3))
		waiting, away := g.figures()
		require.Zero(t, waiting)
		require.Zero(t, away)
		require.Equal(t, 1, g.free)
		require.Empty(t, g.hosts)
	})
}

func TestAHostThatStormsIsTurnedAwayBeforeOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 4, 3)
		require.NoError(t, g.enter(t.Context(), host(9)))
		// The fourth of host 1 is one too many for a host. Then each newcomer takes the place of the last of a host that has two more.
		require.Equal(t, []byte{1, 2, 3, 4}, queue(t, g, 1, 1, 1, 1, 2, 2, 3, 4))
		_, away := g.figures()
		require.EqualValues(t, 4, away)
	})
}

func TestTheWordsWhenTooManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 2, 1)
		require.NoError(t, g.enter(t.Context(), host(9)))
		var all sync.WaitGroup
		for _, h := range []byte{1, 2} {
			all.Go(func() {
				require.NoError(t, g.enter(context.Background(), host(h)))
				g.leave()
			})
		}
		synctest.Wait()
		err := g.enter(t.Context(), host(1))
		require.Equal(t, gateway.Limit, gateway.KindOf(err))
		require.Equal(t, "too many logins from this address wait for their turn (1), try again", gateway.TextOf(err))
		err = g.enter(t.Context(), host(3))
		require.Equal(t, gateway.Limit, gateway.KindOf(err))
		require.Equal(t, "too many logins wait for their turn (2), try again", gateway.TextOf(err))
		g.leave()
		all.Wait()
	})
}

func TestWhoGivesUpLeavesTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 100, 100)
		require.NoError(t, g.enter(t.Context(), host(9)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := g.enter(ctx, host(1))
		require.Equal(t, gateway.Unavailable, gateway.KindOf(err))
		require.Equal(t, "the login took too long", gateway.TextOf(err))
		require.Empty(t, g.hosts)
		g.leave()
		require.Equal(t, 1, g.free)
	})
}

// Whatever comes at the same time, no place is lost and none is given twice.
func TestNoPlaceIsLost(t *testing.T) {
	g := newGate(2, 8, 4)
	var all sync.WaitGroup
	inside := make(chan struct{}, 2)
	for i := range 200 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%7)*50*time.Microsecond)
			defer cancel()
			if g.enter(ctx, host(byte(i%5))) != nil {
				return
			}
			select {
			case inside <- struct{}{}:
				<-inside
			default:
				t.Error("three are inside")
			}
			g.leave()
		})
	}
	all.Wait()
	require.Equal(t, 2, g.free)
	require.Zero(t, g.waiting)
	require.Empty(t, g.hosts)
	require.Zero(t, g.turns.Len())
}

// gauge is a secret whose computations can be counted and stopped.
type gauge struct {
	mu    sync.Mutex
	count int
	hold  chan struct{}
}

func (g *gauge) matches(passcode string) bool {
	g.mu.Lock()
	g.count++
	g.mu.Unlock()
	if g.hold != nil {
		<-g.hold
	}
	return passcode == "right"
}

func (*gauge) form() string { return "gauge" }

func gauged(g *gauge) *Directory {
	return &Directory{
		byName:  map[string]*member{"alice": {name: "alice", secret: g, stored: "1"}, "certified": {name: "certified"}},
		secrets: []secret{g},
	}
}

// What an unknown login costs is what a wrong password costs: one computation of the same form.
func TestNobodyCanTellWhoExists(t *testing.T) {
	g := &gauge{}
	u := New(Config{}, gauged(g))
	for i, attempt := range []func() (bool, error){
		func() (bool, error) { _, found, err := u.Verify(t.Context(), "alice", "wrong"); return found, err },
		func() (bool, error) { _, found, err := u.Verify(t.Context(), "certified", "right"); return found, err },
		func() (bool, error) { return false, u.Decoy(t.Context(), "stranger", "wrong") },
		func() (bool, error) { return false, u.Decoy(t.Context(), "stranger", "right") },
	} {
		found, err := attempt()
		require.Equal(t, found, err != nil)
		require.Equal(t, i+1, g.count)
	}
	_, _, err := u.Verify(t.Context(), "certified", "right")
	require.Error(t, err, "a decoy that happens to match lets nobody in")
}

func TestADecoyCostsWhatSomeUserCosts(t *testing.T) {
	d, err := NewDirectory([]User{
		{Name: "a", Password: "$2b$04$" + "abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZabcde"},
		{Name: "b", Password: "$6$rounds=1000$abcdefgh$hNWV3710B01PtGd5gYCv63YkS8oo9IIeqTEUJHviy9fvppwU3reFqFFBfxg/qZSYskUYQ.RC.dFh9YoQLVC2L."},
	}, nil)
	require.NoError(t, err)
	u := New(Config{}, d)
	forms := map[string]bool{}
	for i := range 100 {
		login := string(rune('A' + i))
		s := d.decoy(u.sum(login))
		require.Equal(t, s, d.decoy(u.sum(login)), "it must not change from one attempt to the next")
		forms[s.form()] = true
	}
	require.Equal(t, map[string]bool{"bcrypt cost=4": true, "sha-crypt 6 rounds=1000": true}, forms)
}

func TestManyClientsOfOneUserCostOneComputation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gauge{hold: make(chan struct{})}
		u := New(Config{Computing: 1, WaitingPerHost: 1}, gauged(g))
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				p, found, err := u.Verify(context.Background(), "alice", "right")
				require.NoError(t, err)
				require.True(t, found)
				require.Equal(t, "alice", p.Name)
			})
		}
		synctest.Wait()
		close(g.hold)
		all.Wait()
		require.Equal(t, 1, g.count)
		require.Equal(t, Stats{Users: 2, Computed: 1, Shared: 999}, u.Stats())
	})
}

// The one who computes for the others may go away; they do not.
func TestWhoSharesDoesNotDependOnAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gauge{}
		u := New(Config{Computing: 1}, gauged(g))
		require.NoError(t, u.gate.enter(t.Context(), host(9)))
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var all sync.WaitGroup
		all.Go(func() {
			_, _, err := u.Verify(short, "alice", "right")
			require.Equal(t, gateway.Unavailable, gateway.KindOf(err))
		})
		synctest.Wait()
		all.Go(func() {
			_, _, err := u.Verify(context.Background(), "alice", "right")
			require.NoError(t, err)
		})
		time.Sleep(2 * time.Second) // of the bubble's clock
		u.gate.leave()
		all.Wait()
		require.Equal(t, 1, g.count)
	})
}

func TestARightPasswordIsRememberedForAWhile(t *testing.T) {
	g := &gauge{}
	now := time.Unix(0, 0)
	u := New(Config{Remember: time.Minute, Remembered: 2, Now: func() time.Time { return now }}, gauged(g))
	verify := func(passcode string, computed int) {
		t.Helper()
		_, _, err := u.Verify(t.Context(), "alice", passcode)
		require.Equal(t, passcode == "right", err == nil)
		require.Equal(t, computed, g.count)
	}
	verify("right", 1)
	verify("right", 1)
	now = now.Add(59 * time.Second)
	verify("right", 1)
	verify("wrong", 2)
	verify("wrong", 3)
	now = now.Add(time.Second)
	verify("right", 4)
	verify("right", 4)

	u.Replace(gauged(g))
	verify("right", 5)
	changed := gauged(g)
	changed.byName["alice"].stored = "2"
	u.Replace(changed)
	verify("right", 6)
	verify("right", 6)
	require.Len(t, u.remembered.until, 1)
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	r := newRemembered(3)
	start := time.Unix(0, 0)
	for i := range 100 {
		now := start.Add(time.Duration(i) * time.Second)
		r.add(sum{byte(i)}, now, now.Add(2*time.Second))
		require.LessOrEqual(t, len(r.until), 3)
		require.True(t, r.has(sum{byte(i)}, now))
	}
	require.False(t, r.has(sum{50}, start.Add(99*time.Second)))
}

// Who is removed while the password is computed does not get in.
func TestADirectoryThatChangesMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gauge{hold: make(chan struct{})}
		u := New(Config{}, gauged(g))
		var all sync.WaitGroup
		all.Go(func() {
			_, found, err := u.Verify(context.Background(), "alice", "right")
			require.NoError(t, err)
			require.False(t, found)
		})
		synctest.Wait()
		u.Replace(&Directory{})
		close(g.hold)
		all.Wait()
		require.Empty(t, u.remembered.until, "it was right in a directory that is gone")
	})
}
