package manage_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/manage"
)

// answers are what owners say, one after another; the last of them again and again.
type answers struct {
	all   []func(f *gateway.Frame) (*gateway.Frame, error)
	asked int
}

func (a *answers) Ask(_ context.Context, f *gateway.Frame) (*gateway.Frame, error) {
	answer := a.all[min(a.asked, len(a.all)-1)]
	a.asked++
	return answer(f)
}

func (a *answers) Page(int, *gateway.Frame, <-chan struct{}) (*gateway.Frame, error) {
	return nil, manage.ErrNoPage
}
func (a *answers) Shards() int               { return 1 }
func (a *answers) Now() int64                { return 0 }
func (a *answers) Stopping() <-chan struct{} { return nil }

func fails(err error) func(*gateway.Frame) (*gateway.Frame, error) {
	return func(*gateway.Frame) (*gateway.Frame, error) { return nil, err }
}

// did is the answer of an owner of an epoch that has done n, and has more behind a tag.
func did(epoch uint64, n int64, tag uint64) func(*gateway.Frame) (*gateway.Frame, error) {
	return func(*gateway.Frame) (*gateway.Frame, error) {
		return &gateway.Frame{Epoch: epoch, Count: n, Tag: tag, Seq: 1000}, nil
	}
}

var orders = gateway.Destination{Kind: gateway.KindQueue, Name: "orders"}

// Whoever manages a queue waits while it gets another owner, and the rest is done there.
func TestAnOperationOutlivesAChangeOfOwner(t *testing.T) {
	for name, c := range map[string]struct {
		answers []func(*gateway.Frame) (*gateway.Frame, error)
		done    int
	}{
		"nobody is there yet":           {[]func(*gateway.Frame) (*gateway.Frame, error){fails(manage.ErrNoPage), fails(manage.ErrNoPage), did(2, 7, 0)}, 7},
		"the first one does not answer": {[]func(*gateway.Frame) (*gateway.Frame, error){fails(manage.ErrNoAnswer), did(2, 7, 0)}, 7},
		"the first one goes between": {
			[]func(*gateway.Frame) (*gateway.Frame, error){did(1, 256, 300), fails(manage.ErrNoAnswer), did(2, 0, 0), did(2, 7, 0)}, 263,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &answers{all: c.answers}
				all, err := manage.NewQueues(a).Remove(t.Context(), orders, manage.Selection{})
				require.NoError(t, err)
				require.Equal(t, manage.Outcome{Done: c.done}, all)
				require.Equal(t, len(c.answers), a.asked)
			})
		})
	}
}

// Where a number was asked for, nobody is asked again who may have done it already.
func TestNoMoreIsTakenThanWasAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{all: []func(*gateway.Frame) (*gateway.Frame, error){fails(manage.ErrNoPage), fails(manage.ErrNoAnswer), did(2, 5, 0)}}
		all, err := manage.NewQueues(a).Remove(t.Context(), orders, manage.Selection{Most: 5})
		require.ErrorIs(t, err, manage.ErrNoAnswer)
		require.Equal(t, manage.Outcome{}, all)
		require.Equal(t, 2, a.asked)
	})
}

// Nobody waits for ever for an owner that does not come, nor longer than he wants to.
func TestAnOperationEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := manage.NewQueues(&answers{all: []func(*gateway.Frame) (*gateway.Frame, error){fails(manage.ErrNoPage)}})
		_, err := q.Remove(t.Context(), orders, manage.Selection{})
		require.ErrorIs(t, err, manage.ErrNoPage)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = q.Kept(ctx, orders)
		require.ErrorIs(t, err, manage.ErrNoPage)
	})
}
