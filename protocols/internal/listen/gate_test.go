package listen

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func address(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}) }

// arrival is one that comes to a gate in a test.
type arrival struct {
	from    int
	verdict chan verdict
}

func arrive(g *gate, from int) arrival {
	a := arrival{from, make(chan verdict, 1)}
	go func() { a.verdict <- g.enter(context.Background(), address(from), time.Minute) }()
	synctest.Wait()
	return a
}

// now is the verdict that is there, or 255.
func (a arrival) now() verdict {
	synctest.Wait()
	select {
	case v := <-a.verdict:
		a.verdict <- v
		return v
	default:
		return 255
	}
}

func TestOneHostsStormDoesNotStarveOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(4, 0, 1000)
		var storm []arrival
		for range 500 {
			storm = append(storm, arrive(g, 1))
		}
		inside := func() (n int) {
			for _, a := range storm {
				if a.now() == passed {
					n++
				}
			}
			return n
		}
		require.Equal(t, 2, inside(), "one address has half of the places")
		second, third, fourth := arrive(g, 2), arrive(g, 3), arrive(g, 4)
		require.Equal(t, passed, second.now())
		require.Equal(t, passed, third.now())
		require.EqualValues(t, 255, fourth.now(), "it is full")
		g.leave(address(1))
		require.Equal(t, passed, fourth.now(), "who has a place already does not get the last one")
		require.Equal(t, 2, inside())
		g.leave(address(1))
		require.Equal(t, 3, inside(), "who waits longest is next")
		for range 700 { // drain it
			for a, p := range g.parties {
				if p.inside > 0 {
					g.leave(a)
					break
				}
			}
			synctest.Wait()
		}
		require.Equal(t, 500, inside())
		require.Empty(t, g.parties)
		require.Zero(t, g.turns.Len())
	})
}

func TestAFullWaitingRoomIsSharedFairly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2, 0, 10)
		require.Equal(t, passed, arrive(g, 1).now())
		require.Equal(t, passed, arrive(g, 9).now())
		var storm []arrival
		for range 10 {
			storm = append(storm, arrive(g, 1))
		}
		require.Equal(t, tooManyWait, arrive(g, 1).now(), "the newest of a storm is refused")
		calm := arrive(g, 2)
		require.EqualValues(t, 255, calm.now(), "somebody else may still wait")
		require.Equal(t, tooManyWait, storm[9].now(), "at the cost of the storm's newest")
		require.EqualValues(t, 255, storm[8].now())
		g.leave(address(9))
		require.Equal(t, passed, calm.now(), "the storm has its part already")
		g.leave(address(1))
		require.Equal(t, passed, storm[0].now())
		time.Sleep(2 * time.Minute) // nobody leaves any more
		require.Equal(t, tooLong, storm[1].now())
		require.Equal(t, tooLong, storm[8].now())
		inside, waiting := g.counts()
		require.Equal(t, []int{2, 0}, []int{inside, waiting})
	})
}

func TestAnAddressHasItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(4, 3, 10)
		for _, want := range []verdict{passed, passed, 255, tooManyOfOne} {
			require.Equal(t, want, arrive(g, 1).now())
		}
		require.Equal(t, passed, arrive(g, 2).now())
		require.Len(t, g.parties, 2)
		time.Sleep(time.Hour)
	})
}

func TestWhoGivesUpIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 0, 10)
		require.Equal(t, passed, arrive(g, 1).now())
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan verdict, 1)
		go func() { got <- g.enter(ctx, address(2), time.Hour) }()
		synctest.Wait()
		cancel()
		require.Equal(t, over, <-got)
		require.Len(t, g.parties, 1)
		g.leave(address(1))
		require.Empty(t, g.parties)
	})
}

// Whatever happens, nobody waits while there is a place for it, and the books are right.
func TestAGatesBooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		g := newGate(7, 12, 20)
		var pending []arrival
		inside := map[int]int{}
		for range 5000 {
			if from := r.IntN(6); r.IntN(3) > 0 {
				pending = append(pending, arrive(g, from*from/5))
			} else if inside[from] > 0 {
				inside[from]--
				g.leave(address(from))
			}
			if r.IntN(50) == 0 {
				time.Sleep(61 * time.Second)
			}
			synctest.Wait()
			var still []arrival
			for _, a := range pending {
				switch a.now() {
				case passed:
					inside[a.from]++
				case 255:
					still = append(still, a)
				}
			}
			pending = still
			sum, waiting := 0, map[int]int{}
			for _, a := range pending {
				waiting[a.from]++
			}
			for _, n := range inside {
				sum += n
			}
			in, wait := g.counts()
			require.Equal(t, []int{sum, len(pending)}, []int{in, wait})
			require.LessOrEqual(t, in, 7)
			require.LessOrEqual(t, wait, 20)
			for _, n := range inside {
				require.LessOrEqual(t, n, 4)
			}
			for from := range waiting {
				require.GreaterOrEqual(t, inside[from], 7-sum, "%d waits while there is a place", from)
			}
		}
		time.Sleep(time.Hour)
	})
}

func TestWhatCountsAsOneAddress(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "fe80::1%eth0": "fe80::",
	} {
		require.Equal(t, want, origin(netip.MustParseAddr(in)).String(), in)
	}
	require.Equal(t, netip.Addr{}, origin(netip.Addr{}))
}

// A handful of hosts that log in slowly leave places for others.
func TestItTakesManyAddressesToFillAGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(512, 0, 10000)
		for host := range 8 {
			for range 300 {
				arrive(g, host)
			}
		}
		require.Equal(t, passed, arrive(g, 100).now())
		time.Sleep(time.Hour)
	})
}
