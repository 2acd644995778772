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
