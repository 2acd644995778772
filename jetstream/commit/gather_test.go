package commit

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// after is a gatherer whose last group had so many records and whose next has one.
func after(last int, patience time.Duration) *gatherer {
	g := newGatherer()
	g.patience = patience
	for range last {
		g.add()
	}
	g.seal()
	g.add()
	return g
}

// waits begins a wait; the channel tells when it ends.
func waits(g *gatherer, stop <-chan struct{}) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		g.wait(stop)
		close(done)
	}()
	return done
}

func ends(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("the wait did not end")
	}
}

func TestAGroupWaitsForAsManyRecordsAsTheLastHad(t *testing.T) {
	g := after(5, time.Hour)
	done := waits(g, nil)
	for range 3 {
		g.add()
	}
	select {
	case <-done:
		t.Fatal("it did not wait for the fifth")
	case <-time.After(10 * time.Millisecond):
	}
	g.add()
	ends(t, done)
	g.seal()
	require.EqualValues(t, 5, g.last)
}

func TestAGroupThatIsLargeEnoughDoesNotWait(t *testing.T) {
	for name, g := range map[string]*gatherer{
		"after a lone record":  after(1, time.Hour),
		"after two":            after(2, time.Hour),
		"after nothing":        after(0, time.Hour),
		"nothing to wait with": func() *gatherer { g := after(9, time.Hour); g.collected.Store(0); return g }(),
		"as many as the last":  func() *gatherer { g := after(9, time.Hour); g.collected.Store(9); return g }(),
		"many":                 func() *gatherer { g := after(999, time.Hour); g.collected.Store(gatherUpTo); return g }(),
	} {
		t.Run(name, func(t *testing.T) { ends(t, waits(g, nil)) })
	}
}

// Senders that do not come are waited for ever more seldom.
func TestWaitsInVainAreRare(t *testing.T) {
	g := after(3, time.Nanosecond)
	vain := 0
	for range 1000 {
		rest := g.rest
		g.wait(nil)
		if rest == 0 {
			vain++
		}
		g.last, g.before = 3, 3
	}
	require.Less(t, vain, 25)
}

func TestAWaitEndsWhenEverythingStops(t *testing.T) {
	stop := make(chan struct{})
	done := waits(after(5, time.Hour), stop)
	close(stop)
	ends(t, done)
}

// laterIs changes how long records wait that nobody waits for.
func laterIs(t *testing.T, c *Committer, d time.Duration) {
	t.Helper()
	require.NoError(t, c.ask(func() error { c.later = d; return nil }))
}

func TestWhatNobodyWaitsForSharesTheNextGroup(t *testing.T) {
	root, dir := store(t, 1)
	s := &fakeSyncer{}
	c := start(t, root, s)
	r, other := newRecorder(s), newRecorder(s)
	l, err := c.Add(dir, r)
	require.NoError(t, err)
	l2, err := c.Add(t.TempDir(), other)
	require.NoError(t, err)
	laterIs(t, c, time.Hour)
	l.DirtyLater()
	l.DirtyLater()
	laterIs(t, c, time.Hour) // the committer has looked
	require.Zero(t, c.Stats().Groups)
	l.Dirty() // is not taken for one that has a group coming
	require.NoError(t, r.wait(t))
	l.DirtyLater()
	l2.Dirty()
	require.NoError(t, r.wait(t))
	require.NoError(t, other.wait(t))
	require.EqualValues(t, 2, c.Stats().Groups)
	l.DirtyLater()
	require.NoError(t, c.Close())
	require.NoError(t, r.wait(t), "what is left at the end is committed")
}

func TestWhatNobodyWaitsForIsCommittedSoon(t *testing.T) {
	_, _, c, r, l := oneLog(t)
	for n := range uint64(3) {
		l.DirtyLater()
		require.NoError(t, r.wait(t))
		require.Equal(t, n+1, c.Stats().Groups)
	}
}
