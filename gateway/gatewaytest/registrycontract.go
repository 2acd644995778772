package gatewaytest

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// heard is what a watcher was told.
type heard struct {
	t         testing.TB
	mu        sync.Mutex
	now       map[string]string
	revisions []uint64
	keys      []string
}

func watch(t testing.TB, ctx context.Context, r gateway.Registry) *heard {
	h := &heard{t: t, now: make(map[string]string)}
	require.NoError(t, r.Watch(ctx, func(key string, value []byte, revision uint64) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if value == nil {
			delete(h.now, key)
		} else {
			h.now[key] = string(value)
		}
		h.keys, h.revisions = append(h.keys, key), append(h.revisions, revision)
	}))
	return h
}

func (h *heard) facts() map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.now)
}

// has waits until the watcher knows of a revision.
func (h *heard) has(revision uint64) {
	h.t.Helper()
	Eventually(h.t, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.revisions) > 0 && h.revisions[len(h.revisions)-1] >= revision
	}, "revision %d", revision)
}

func (h *heard) inOrder() {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := 1; i < len(h.revisions); i++ {
		require.Less(h.t, h.revisions[i-1], h.revisions[i], "told in the order of the revisions")
	}
}

// RegistryContract is what every implementation of gateway.Registry keeps. open opens the registry of a directory, which may hold one already, and is
// given how to close it.
func RegistryContract(t *testing.T, open func(t *testing.T, dir string) (r gateway.Registry, shut func())) {
	t.Run("facts are there after reopening, as they were written last", func(t *testing.T) { kept(t, open) })
	t.Run("watchers follow", func(t *testing.T) { followed(t, open) })
	t.Run("nothing is missing when CatchUp returns", func(t *testing.T) { caughtUp(t, open) })
	t.Run("changes are compared", func(t *testing.T) { changes(t, open) })
	t.Run("what cannot be a fact is refused", func(t *testing.T) {
		r, shut := open(t, t.TempDir())
		defer shut()
		for _, key := range []string{"", "a b", "a*", "ä", "a>", ".a", "a..b", "a."} {
			_, err := r.Put(t.Context(), key, []byte("x"))
			require.Equal(t, gateway.Invalid, gateway.KindOf(err), "%q", key)
		}
		_, err := r.Put(t.Context(), "k", make([]byte, gateway.MaxFact+1))
		require.Equal(t, gateway.Limit, gateway.KindOf(err))
		_, err = r.Put(t.Context(), "k", make([]byte, gateway.MaxFact))
		require.NoError(t, err)
	})
}

// changes is the part of the contract that is about Change.
func changes(t *testing.T, open func(t *testing.T, dir string) (r gateway.Registry, shut func())) {
	dir, ctx := t.TempDir(), t.Context()
	r, shut := open(t, dir)
	change := func(value []byte, since uint64) uint64 {
		revision, err := r.Change(ctx, "k/a.b", value, since)
		require.NoError(t, err)
		require.Greater(t, revision, since)
		return revision
	}
	refused := func(value []byte, since uint64) {
		_, err := r.Change(ctx, "k/a.b", value, since)
		require.Equal(t, gateway.Conflict, gateway.KindOf(err), "%v", err)
	}
	refused([]byte("x"), 7)
	first := change([]byte("1"), 0)
	refused([]byte("2"), 0)
	second := change([]byte("2"), first)
	refused([]byte("3"), first)
	refused(nil, first)
	gone := change(nil, second)
	refused(nil, second)
	again := change([]byte("4"), 0)
	require.Greater(t, again, gone)
	deleted, err := r.Put(ctx, "k/a.b", nil)
	require.NoError(t, err)
	refused([]byte("5"), again)
	require.Greater(t, change([]byte("5"), 0), deleted)
	shut()
	r, shut = open(t, dir)
	defer shut()
	h := watch(t, ctx, r)
	require.Equal(t, map[string]string{"k/a.b": "5"}, h.facts())
	refused([]byte("6"), 0)
	raced(t, r)
}

// caughtUp is the part of the contract that is about CatchUp.
func caughtUp(t *testing.T, open func(t *testing.T, dir string) (r gateway.Registry, shut func())) {
	r, shut := open(t, t.TempDir())
	defer shut()
	require.NoError(t, r.CatchUp(t.Context()), "where nothing is")
	a, b := watch(t, t.Context(), r), watch(t, t.Context(), r)
	for i := range 50 {
		value := fmt.Sprint(i)
		_, err := r.Put(t.Context(), "k", []byte(value))
		require.NoError(t, err)
		require.NoError(t, r.CatchUp(t.Context()))
		require.Equal(t, []string{value, value}, []string{a.facts()["k"], b.facts()["k"]})
	}
	a.inOrder()
	over, end := context.WithCancel(t.Context())
	end()
	require.ErrorIs(t, r.CatchUp(over), context.Canceled)
}

// raced has many change one fact at once, each by what it has read: none of the changes is lost.
func raced(t *testing.T, r gateway.Registry) {
	var mu sync.Mutex
	value, revision := "", uint64(0)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	require.NoError(t, r.Watch(ctx, func(key string, v []byte, at uint64) {
		if key == "race" {
			mu.Lock()
			value, revision = string(v), at
			mu.Unlock()
		}
	}))
	const writers, each = 4, 10
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for done := 0; done < each; {
				mu.Lock()
				v, at := value, revision
				mu.Unlock()
				switch _, err := r.Change(ctx, "race", []byte(v+"x"), at); {
				case err == nil:
					done++
				case gateway.KindOf(err) != gateway.Conflict:
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	Eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(value) == writers*each }, "every change is there")
}

// kept is the part of the contract that is about what a closed registry has kept.
func kept(t *testing.T, open func(t *testing.T, dir string) (r gateway.Registry, shut func())) {
	dir, ctx := t.TempDir(), t.Context()
	r, shut := open(t, dir)
	require.Empty(t, watch(t, ctx, r).facts())
	want, last := map[string]string{}, uint64(0)
	for i := range 300 {
		key, value := fmt.Sprintf("feed/%d-_=.x", i%40), fmt.Sprint("value ", i)
		revision, err := r.Put(ctx, key, []byte(value))
		require.NoError(t, err)
		require.Greater(t, revision, last)
		want[key], last = value, revision
	}
	for i := range 10 {
		key := fmt.Sprintf("feed/%d-_=.x", i)
		revision, err := r.Put(ctx, key, nil)
		require.NoError(t, err)
		require.Greater(t, revision, last)
		last = revision
		delete(want, key)
	}
	_, err := r.Put(ctx, "never/there", nil)
	require.NoError(t, err)
	shut()
	r, shut = open(t, dir)
	defer shut()
	h := watch(t, ctx, r)
	require.Equal(t, want, h.facts(), "whole, when Watch returns")
	h.inOrder()
	revision, err := r.Put(ctx, "a", []byte{})
	require.NoError(t, err)
	require.Greater(t, revision, last, "revisions go on")
}

// followed is the part of the contract that is about Watch.
func followed(t *testing.T, open func(t *testing.T, dir string) (r gateway.Registry, shut func())) {
	ctx, cancel := context.WithCancel(t.Context())
	r, shut := open(t, t.TempDir())
	defer shut()
	_, err := r.Put(ctx, "before", []byte("0"))
	require.NoError(t, err)
	a, b := watch(t, ctx, r), watch(t, ctx, r)
	var writers sync.WaitGroup
	for i := range 4 {
		writers.Go(func() {
			for k := range 50 {
				_, err := r.Put(ctx, fmt.Sprintf("k/%d", k), fmt.Append(nil, i))
				require.NoError(t, err)
			}
		})
	}
	writers.Wait()
	revision, err := r.Put(ctx, "before", nil)
	require.NoError(t, err)
	for _, h := range []*heard{a, b} {
		h.has(revision)
		h.inOrder()
		require.Len(t, h.facts(), 50)
	}
	require.Equal(t, a.facts(), b.facts())
	cancel()
	count := func() int { a.mu.Lock(); defer a.mu.Unlock(); return len(a.keys) }
	before := count()
	_, err = r.Put(t.Context(), "late", []byte("x"))
	require.NoError(t, err)
	c := watch(t, t.Context(), r)
	require.Equal(t, "x", c.facts()["late"])
	require.LessOrEqual(t, count(), before, "who has ended hears nothing")
}
