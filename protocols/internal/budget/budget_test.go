package budget_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/protocols/internal/budget"
)

// Whoever takes all that he can get, by however many names, leaves something for others, and for the others of his own.
func TestNobodyTakesEverything(t *testing.T) {
	b := budget.New(1 << 20)
	greedy := int64(0)
	for i := range 200 {
		greedy += b.Share("greedy", fmt.Sprint("name ", i)).More(1 << 20)
	}
	require.LessOrEqual(t, greedy, int64(1<<19), "half at most")
	require.Greater(t, greedy, int64(1<<19)-1000)
	other := b.Share("other", "name")
	require.NoError(t, other.Take(t.Context(), 1<<19, 1<<20), "who has nothing may have all the rest")
	other.Keep(1000)
	require.Zero(t, b.Share("greedy", "name 0").More(1))

	b = budget.New(1 << 20)
	require.Equal(t, int64(1<<18), b.Share("user", "slow").More(1<<20))
	require.Equal(t, int64(1<<17), b.Share("user", "slower").More(1<<20)+b.Share("user", "slow").More(1<<20), "one of a user leaves something for his others")
}

// Who waits is served as soon as he can be, and not held up by others who cannot be yet.
func TestWaitingForOneself(t *testing.T) {
	b := budget.New(100)
	slow := b.Share("slow")
	require.NoError(t, slow.Take(t.Context(), 60, 60))
	waits, end := context.WithCancel(t.Context())
	served := make(chan error, 1)
	again := b.Share("slow")
	go func() { served <- again.Take(waits, 10, 20) }() // waited for below
	for range 3 {
		other := b.Share("other")
		require.NoError(t, other.Take(t.Context(), 40, 40))
		other.Keep(0)
	}
	select {
	case err := <-served:
		require.Fail(t, "he has more than his half", "%v", err)
	case <-time.After(10 * time.Millisecond):
	}
	slow.Keep(10)
	require.NoError(t, <-served)
	require.EqualValues(t, 20, again.Size())
	end()
	require.ErrorIs(t, b.Share("slow").Take(waits, 99, 99), context.Canceled)
	slow.Keep(0)
	again.Keep(0)
	require.EqualValues(t, 50, b.Share("slow").More(100), "nothing is left behind")
}

// Only who has less may want what another one has, or he himself: nobody can have others hurried who keep less than he does.
func TestWhoMayWant(t *testing.T) {
	b := budget.New(100)
	much, little, own := b.Share("much", "here"), b.Share("little", "here"), b.Share("much", "there")
	much.Keep(60)
	own.Keep(10)
	little.Keep(30)
	for _, name := range []string{"here", "there", "elsewhere"} {
		waits := b.Share("much", name)
		end, ended := make(chan struct{}), make(chan bool)
		require.False(t, much.Wanted())
		go func() { ended <- waits.Await(end, 50, 50) }()
		require.Eventually(t, much.Wanted, 10*time.Second, time.Millisecond, name)
		require.Equal(t, name != "here", own.Wanted(), name)
		require.False(t, little.Wanted(), "he who waits has more")
		close(end)
		require.False(t, <-ended)
	}
	end, ended := make(chan struct{}), make(chan bool)
	nothing := b.Share("nothing", "here")
	go func() { ended <- nothing.Await(end, 50, 50) }()
	require.Eventually(t, little.Wanted, 10*time.Second, time.Millisecond)
	require.True(t, much.Wanted())
	much.Keep(0)
	require.True(t, <-ended)
	require.False(t, little.Wanted())
	close(end)
}

// What is kept beyond what there is counts until it is given back.
func TestWhatIsTooMuchCounts(t *testing.T) {
	b := budget.New(100)
	s := b.Share("a")
	s.Keep(150)
	require.Zero(t, b.Share("b").More(1))
	s.Keep(20)
	require.EqualValues(t, 40, b.Share("b").More(99))
}

// TestModel has shares taken, kept and given back by users with several names: what is counted is what they have, nobody has more than his half unless he had nothing
// before, and nobody waits for what he could have.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 1000
		b := budget.New(size)
		type held struct {
			user  string
			share *budget.Share
		}
		var all []held
		sum := func(user string) (n int64) {
			for _, h := range all {
				if user == "" || h.user == user {
					n += h.share.Size()
				}
			}
			return n
		}
		user := rapid.SampledFrom([]string{"a", "b", "c"})
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				u, least := user.Draw(t, "user"), rapid.Int64Range(1, size).Draw(t, "least")
				most := least + rapid.Int64Range(0, size).Draw(t, "more")
				before, left := sum(u), size-sum("")
				s := b.Share(u, fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "name")))
				if err := s.Take(gone, least, most); err != nil {
					require.Zero(t, s.Size())
					require.False(t, before == 0 && least <= left, "there was enough, and he had nothing")
					return
				}
				all = append(all, held{u, s})
				require.True(t, s.Size() >= least && s.Size() <= most)
				require.LessOrEqual(t, s.Size(), left)
				if before > 0 || s.Size() > least {
					require.LessOrEqual(t, sum(u), (left+before)/2+1, "half")
				}
			},
			"more": func(t *rapid.T) {
				if len(all) == 0 {
					t.Skip("nobody has anything")
				}
				h := rapid.SampledFrom(all).Draw(t, "share")
				before := h.share.Size()
				require.Equal(t, before+h.share.More(rapid.Int64Range(0, size).Draw(t, "most")), h.share.Size())
			},
			"keep": func(t *rapid.T) {
				if len(all) == 0 {
					t.Skip("nobody has anything")
				}
				i := rapid.IntRange(0, len(all)-1).Draw(t, "share")
				all[i].share.Keep(rapid.Int64Range(0, all[i].share.Size()).Draw(t, "size"))
				if all[i].share.Size() == 0 {
					all = append(all[:i:i], all[i+1:]...)
				}
			},
			"": func(t *rapid.T) { require.LessOrEqual(t, sum(""), int64(size)) },
		})
		for _, h := range all {
			h.share.Keep(0)
		}
		require.NoError(t, b.Share("somebody").Take(gone, size, size), "all of it is back")
	})
}

// Many who wait for one another's shares are all served in the end, and never have more together than there is.
func TestAllAreServed(t *testing.T) {
	const size = 100
	b := budget.New(size)
	var mu sync.Mutex
	var used, most int64
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			for range 50 {
				s := b.Share(fmt.Sprint(i%5), fmt.Sprint(i))
				if err := s.Take(t.Context(), 7, 30); err != nil {
					t.Error(err)
					return
				}
				n := s.Size()
				mu.Lock()
				used += n
				most = max(most, used)
				mu.Unlock()
				mu.Lock()
				used -= n
				mu.Unlock()
				s.Keep(0)
			}
		})
	}
	all.Wait()
	require.LessOrEqual(t, most, int64(size))
}
