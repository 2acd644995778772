package completion_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway/completion"
)

// holder counts what it is told.
type holder struct {
	holds, tokens []uint64
	errs          []error
}

func (h *holder) Hold(token uint64) { h.holds = append(h.holds, token) }

func (h *holder) Complete(token uint64, err error) {
	h.tokens, h.errs = append(h.tokens, token), append(h.errs, err)
}

// All parts are waited for, the first error is told once, and what follows the last part comes before that.
func TestPartsCompleteOnceWithTheFirstError(t *testing.T) {
	first := errors.New("first")
	h := &holder{}
	p := completion.NewParts(1, h, 7)
	p.After = func() { require.Empty(t, h.tokens) }
	for range 3 {
		p.Add()
	}
	p.Hold(0)
	p.Done(nil)
	p.Complete(5, first)
	p.Done(errors.New("second"))
	require.Empty(t, h.tokens)
	p.Done(nil)
	require.Equal(t, []uint64{7}, h.tokens)
	require.Equal(t, []error{first}, h.errs)
	require.Equal(t, []uint64{7}, h.holds)
}

// Nobody may wait, or somebody who cannot be held.
func TestNobodyMayWait(t *testing.T) {
	completion.Complete(nil, 1, nil)
	completion.Hold(nil, 1)
	told := 0
	f := completion.Func(func(error) { told++ })
	completion.Hold(f, 1)
	completion.Complete(f, 1, nil)
	completion.NewParts(1, nil, 0).Done(nil)
	require.Equal(t, 1, told)
}

// Who waits for a number is told when it is reached, once, in the order in which they came, and nobody waits for longer than they may; the clock may be set.
func TestALineIsLeftInOrder(t *testing.T) {
	var l completion.Line
	h := &holder{}
	leave := func(reached uint64, now int64) []uint64 {
		h.tokens = nil
		l.Leave(reached, now, 100).Tell()
		return h.tokens
	}
	l.Join(5, 1000, h, 1)
	l.Join(3, 1000, h, 2)
	l.Join(9, 1050, h, 3)
	l.Join(5, 1050, nil, 4)
	require.Empty(t, leave(2, 1100))
	require.Equal(t, []uint64{2}, leave(4, 1100))
	require.Equal(t, []uint64{1}, leave(5, 1100))
	require.False(t, l.Empty())
	require.Empty(t, leave(8, 1150))
	require.Equal(t, []uint64{3}, leave(8, 1151))
	require.True(t, l.Empty())
	l.Join(9, 1000, h, 5)
	require.Equal(t, []uint64{5}, leave(0, 10))
}
