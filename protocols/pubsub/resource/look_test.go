package resource_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// Of those who look at the same time one looks for all. If he cannot, that is nobody else's answer; and nobody waits for him longer than he wants to.
func TestALookThatFailsIsNobodysAnswer(t *testing.T) {
	d, r := open(t, gatewaytest.NewDisk(1), true)
	project(t, d, "P")
	r.Stall(true)
	first, endFirst := context.WithCancel(t.Context())
	defer endFirst()
	looked := make(chan error, 3)
	go func() { looked <- d.Look(first) }() // all of them are waited for below
	short, end := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer end()
	require.ErrorIs(t, d.Look(short), context.DeadlineExceeded, "while another one looks")

	others, endOthers := context.WithCancel(t.Context())
	defer endOthers()
	for range 2 {
		go func() { looked <- d.Look(others) }()
	}
	endFirst()
	require.ErrorIs(t, <-looked, context.Canceled)
	select {
	case err := <-looked:
		require.Fail(t, "nothing can be seen", "%v", err)
	case <-time.After(20 * time.Millisecond):
	}
	endOthers()
	require.Error(t, <-looked)
	require.Error(t, <-looked)
	r.Stall(false)
	require.NoError(t, d.Look(t.Context()))
}
