package auth

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

func from(address string) netip.Prefix {
	return HostOf(netip.AddrPortFrom(netip.MustParseAddr(address), 1234).String())
}

// attempt makes one and returns how long it was kept waiting.
func attempt(b *brake, address, login string, o outcome) (time.Duration, error) {
	start := time.Now()
	leave, err := b.enter(context.Background(), from(address), login)
	took := time.Since(start)
	if err == nil {
		leave(o)
	}
	return took, err
}

func TestGuessingIsDelayedAndThenRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrake(BrakeConfig{}, time.Now)
		for i, delay := range []time.Duration{
			0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
			250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second,
		} {
			took, err := attempt(b, "192.0.2.1", "alice", failed)
			require.NoError(t, err)
			require.Equal(t, delay, took, "attempt %d", i)
		}
		took, err := attempt(b, "192.0.2.1", "alice", failed)
		require.Equal(t, gateway.Limit, gateway.KindOf(err))
		require.Equal(t, "too many failed logins from 192.0.2.1, try again in 30 s", gateway.TextOf(err))
		require.Zero(t, took)

		for _, other := range [][2]string{{"192.0.2.1", "bob"}, {"192.0.2.2", "alice"}, {"2001:db8::1", "alice"}} {
			took, err = attempt(b, other[0], other[1], failed)
			require.NoError(t, err, "somebody else, or elsewhere")
			require.Zero(t, took)
		}
		time.Sleep(29500 * time.Millisecond)
		_, err = attempt(b, "192.0.2.1", "alice", succeeded)
		require.Equal(t, "too many failed logins from 192.0.2.1, try again in 1 s", gateway.TextOf(err))
		time.Sleep(500 * time.Millisecond)
		took, err = attempt(b, "192.0.2.1", "alice", failed)
		require.NoError(t, err)
		require.Equal(t, 5*time.Second, took)
		_, err = attempt(b, "192.0.2.1", "alice", failed)
		require.Equal(t, "too many failed logins from 192.0.2.1, try again in 30 s", gateway.TextOf(err))

		time.Sleep(30 * time.Second)
		took, err = attempt(b, "192.0.2.1", "alice", succeeded)
		require.NoError(t, err)
		require.Equal(t, 5*time.Second, took)
		took, err = attempt(b, "192.0.2.1", "alice", failed)
		require.NoError(t, err)
		require.Zero(t, took, "a success forgives the login")
	})
}

func TestFailuresAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrake(BrakeConfig{}, time.Now)
		for range 12 * 60 { // one in a minute is what people do
			took, err := attempt(b, "192.0.2.1", "alice", failed)
			require.NoError(t, err)
			require.Zero(t, took)
			time.Sleep(time.Minute)
		}
	})
}

func TestAHostThatTriesManyLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrake(BrakeConfig{}, time.Now)
		guess := func(i int) (time.Duration, error) {
			return attempt(b, fmt.Sprintf("2001:db8::%x", i+1), fmt.Sprint("user", i), failed)
		}
		for i := range 100 {
			took, err := guess(i)
			require.NoError(t, err)
			require.Zero(t, took)
		}
		took, err := attempt(b, "2001:db8::1", "mallory", succeeded)
		require.NoError(t, err)
		require.Equal(t, firstDelay, took)
		took, err = guess(100)
		require.NoError(t, err)
		require.Equal(t, firstDelay, took, "to be let in as one user does not help with others")
		tried := 101
		for ; err == nil && tried < 1000; tried++ {
			_, err = guess(tried)
		}
		require.Less(t, tried, 150)
		_, err = attempt(b, "2001:db8::abcd", "alice", succeeded)
		require.Equal(t, "too many failed logins from 2001:db8::/64, try again in 30 s", gateway.TextOf(err))
		_, err = attempt(b, "2001:db8:0:1::1", "alice", succeeded)
		require.NoError(t, err, "the next network")
	})
}

// A job with an old password, which tries each second for hours, does not lock out its neighbours on the host.
func TestOneForgottenJobDoesNotBlockItsHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrake(BrakeConfig{}, time.Now)
		for range 2 * 3600 {
			_, _ = attempt(b, "192.0.2.1", "job", failed)
			time.Sleep(time.Second)
			took, err := attempt(b, "192.0.2.1", "service", succeeded)
			require.NoError(t, err)
			require.Zero(t, took)
		}
	})
}

// However many guesses are made at the same time, no more are tried than one after another.
func TestGuessingAtTheSameTimeDoesNotHelp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrake(BrakeConfig{}, time.Now)
		start := time.Now()
		var mu sync.Mutex
		var all sync.WaitGroup
		tried, refusals := 0, 0
		for range 1000 {
			all.Go(func() {
				leave, err := b.enter(context.Background(), from("192.0.2.1"), "alice")
				if err != nil {
					mu.Lock()
					refusals++
					mu.Unlock()
					return
				}
				mu.Lock()
				if time.Since(start) < firstDelay {
					tried++
				}
				mu.Unlock()
				time.Sleep(30 * time.Millisecond) // what a hash takes
				leave(failed)
			})
		}
		all.Wait()
		require.LessOrEqual(t, tried, 10)
		require.GreaterOrEqual(t, refusals, 980)
	})
}

// A thousand clients that come back together with the right password wait for one another, and all get in soon.
func TestAStormOfGoodLoginsIsNotBraked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrake(BrakeConfig{}, time.Now)
		_, err := attempt(b, "192.0.2.1", "alice", failed)
		require.NoError(t, err)
		start := time.Now()
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				leave, err := b.enter(context.Background(), from("192.0.2.1"), "alice")
				require.NoError(t, err)
				time.Sleep(time.Millisecond)
				leave(succeeded)
			})
		}
		all.Wait()
		require.Less(t, time.Since(start), time.Second)
		require.Equal(t, 1, b.figures(), "of the host the one failure is known, of the login nothing")
	})
}

func TestWhoGivesUpWaitingLosesNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrake(BrakeConfig{PerLogin: 1}, time.Now)
		inside, err := b.enter(t.Context(), from("192.0.2.1"), "alice")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = b.enter(ctx, from("192.0.2.1"), "alice") // waits for the one inside
		require.Equal(t, gateway.Unavailable, gateway.KindOf(err))
		inside(failed)

		ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err = b.enter(ctx, from("192.0.2.1"), "alice") // is delayed
		require.Equal(t, gateway.Unavailable, gateway.KindOf(err))
		require.Equal(t, "the login took too long", gateway.TextOf(err))

		inside, err = b.enter(t.Context(), from("192.0.2.1"), "alice")
		require.NoError(t, err)
		_, err = b.enter(t.Context(), from("192.0.2.1"), "alice")
		require.Equal(t, "too many failed logins from 192.0.2.1, try again in 5 s", gateway.TextOf(err))
		inside(succeeded)
		time.Sleep(10 * time.Minute)
		_, err = attempt(b, "192.0.2.1", "alice", nothing)
		require.NoError(t, err)
		require.Zero(t, b.figures())
	})
}

func TestWhatTheBrakeRemembersIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBrake(BrakeConfig{Remembered: 10}, time.Now)
		for i := range 1000 {
			_, err := attempt(b, fmt.Sprintf("10.0.%d.%d", i/250, i%250), "alice", failed)
			require.NoError(t, err)
			require.LessOrEqual(t, b.figures(), 15)
		}
		leave, err := b.enter(t.Context(), from("192.0.2.1"), "alice")
		require.NoError(t, err)
		for i := range 20 { // the entry is forgotten while somebody is inside
			_, _ = attempt(b, fmt.Sprintf("10.0.9.%d", i), "alice", failed)
		}
		leave(succeeded)
		require.LessOrEqual(t, b.figures(), 15)
	})
}

func TestNoPlaceIsLostInARush(t *testing.T) {
	b := newBrake(BrakeConfig{PerLogin: 3, PerHost: 5, Window: time.Millisecond, Block: time.Millisecond}, time.Now)
	var all sync.WaitGroup
	for i := range 300 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%9)*time.Millisecond)
			defer cancel()
			if leave, err := b.enter(ctx, from("192.0.2.1"), fmt.Sprint(i%4)); err == nil {
				leave(outcome(i % 3))
			}
		})
	}
	all.Wait()
	for _, t2 := range []*table{&b.logins, &b.hosts} {
		for _, place := range t2.entries {
			e := place.Value.(*entry)
			require.Zero(t, e.inside)
			require.Zero(t, e.waiting.Len())
		}
		require.Equal(t, len(t2.entries), t2.recent.Len())
	}
}

func TestHosts(t *testing.T) {
	for remote, text := range map[string]string{
		"192.0.2.1:80":              "192.0.2.1",
		"[::ffff:192.0.2.1]:80":     "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80":         "fe80::/64",
		"pipe":                      "this address",
		"":                          "this address",
	} {
		require.Equal(t, text, hostText(HostOf(remote)), remote)
	}
	require.Equal(t, HostOf("192.0.2.1:80"), AddressOf(WithAddress(t.Context(), HostOf("192.0.2.1:81"))))
	require.False(t, AddressOf(t.Context()).IsValid())
}
