package selector_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/selector"
)

// Those that mean the same to the letter are one, as long as somebody has it; an empty text selects all, and is none.
func TestSelectorsOfOneTextAreShared(t *testing.T) {
	var all selector.Shared
	one, err := all.Take("a = 1")
	require.NoError(t, err)
	two, err := all.Take("a = 1")
	require.NoError(t, err)
	require.Same(t, one, two)
	parsed, err := all.Parse("a = 1")
	require.NoError(t, err)
	require.Same(t, one, parsed)
	all.Leave(one)
	again, err := all.Take("a = 1")
	require.NoError(t, err)
	require.Same(t, one, again, "somebody had it still")
	all.Leave(two)
	all.Leave(again)
	other, err := all.Take("a = 1")
	require.NoError(t, err)
	require.NotSame(t, one, other)
	none, err := all.Take(" \t")
	require.NoError(t, err)
	require.Nil(t, none)
	all.Leave(none)
	_, err = all.Take("a =")
	require.Equal(t, gateway.Invalid, gateway.KindOf(err))
}

// What a selector said of a message is asked once for all that have it.
func TestAVerdictIsTheLastSelectors(t *testing.T) {
	var all selector.Shared
	yes, err := all.Take("a = 'x'")
	require.NoError(t, err)
	no, err := all.Take("a = 'y'")
	require.NoError(t, err)
	m := &gateway.Message{Header: gateway.Header{{Name: "a", Value: "x"}}}
	var v selector.Verdict
	for range 2 {
		require.True(t, v.Of(yes, m))
		require.True(t, v.Of(yes, m))
		require.False(t, v.Of(no, m))
	}
}
