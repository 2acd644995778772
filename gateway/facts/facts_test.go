package facts_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/completion"
	"github.com/sluice-mq/sluice/gateway/facts"
)

// town is a broker and its registry.
type town struct {
	learned []string
	applied map[string]uint64
	now     int64
	learn   func(key string, value []byte, revision uint64)
	fail    error
}

func (w *town) Learn(key string, value []byte, _ uint64) {
	w.learned = append(w.learned, key+"="+string(value))
}
func (w *town) TellApplied(node string, revision uint64) { w.applied[node] = revision }
func (w *town) Now() int64                               { return w.now }

func (w *town) Watch(_ context.Context, learn func(key string, value []byte, revision uint64)) error {
	w.learn = learn
	return nil
}

// registry writes nothing but what it is told.
func (w *town) Change(context.Context, string, []byte, uint64) (uint64, error) { return 7, w.fail }
func (w *town) Put(_ context.Context, _ string, value []byte) (uint64, error) {
	if value == nil {
		return 8, w.fail
	}
	return 7, w.fail
}
func (w *town) CatchUp(context.Context) error { return w.fail }

func newFacts(t *testing.T) (*town, *facts.Facts) {
	w := &town{applied: map[string]uint64{}}
	k := facts.New(w, w)
	require.NoError(t, k.Follow(t.Context()))
	return w, k
}

// Who waits for a fact waits for all linked nodes: those that come meanwhile too, those that go no more, and nobody for ever.
func TestAFactIsKnownWhenAllNodesKnowIt(t *testing.T) {
	w, k := newFacts(t)
	k.Up("n2")
	k.Up("n3")
	w.learn("feed/a", []byte("x"), 5)
	require.Equal(t, []string{"feed/a=x"}, w.learned)
	require.Equal(t, map[string]uint64{"n2": 5, "n3": 5}, w.applied)
	told := 0
	done := completion.Func(func(error) { told++ })
	k.Await(5, done, 0)
	k.Hear("n2", 5)
	require.Zero(t, told)
	k.Hear("stranger", 1)
	k.Hear("n3", 4)
	require.Zero(t, told)
	k.Hear("n3", 6)
	require.Equal(t, 1, told)
	k.Await(6, done, 0)
	require.Equal(t, 1, told, "this node does not know it")
	w.learn("feed/a", nil, 6)
	require.Equal(t, 1, told, "n2 does not know it")
	k.Down("n2")
	require.Equal(t, 2, told)
	k.Await(9, done, 0)
	w.now = 1000
	k.Sweep(w.now)
	require.Equal(t, 2, told)
	w.now = 1001
	k.Sweep(w.now)
	require.Equal(t, 3, told, "it has waited for long enough")
}

// A client reads words; where there is no registry nothing is kept.
func TestWhatCannotBeWrittenDownIsUnavailable(t *testing.T) {
	w, k := newFacts(t)
	revision, err := k.Put(t.Context(), "feed/a", []byte("x"))
	require.NoError(t, err)
	require.EqualValues(t, 7, revision)
	w.fail = errors.New("the disk says something")
	_, err = k.Put(t.Context(), "feed/a", []byte("x"))
	require.Equal(t, gateway.Unavailable, gateway.KindOf(err))
	require.NotContains(t, gateway.TextOf(err), "disk")
	w.fail = gateway.Errorf(gateway.NotFound, "there is none")
	_, err = k.Delete(t.Context(), "feed/a")
	require.Equal(t, gateway.NotFound, gateway.KindOf(err))
	none := facts.New(w, nil)
	require.False(t, none.Kept())
	require.NoError(t, none.Follow(t.Context()))
	_, err = none.Put(t.Context(), "feed/a", nil)
	require.Equal(t, gateway.Unavailable, gateway.KindOf(err))
}
