package jetstream

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A replica that drops what nobody else has asks again at once, but only then, and once for each time: whatever it is being sent otherwise, late as it
// may be, must not meet what it is sent for having asked again.
func TestReplicasThatDropAskAgain(t *testing.T) {
	var c catchup
	require.False(t, c.look(100, false))
	for last := range uint64(1000) {
		require.False(t, c.look(100+last, true), "it gets on")
	}
	for range 1000 {
		require.False(t, c.look(1099, true), "it is being sent something, or nothing at all")
	}
	for last := uint64(1098); last > 1090; last-- {
		require.False(t, c.look(last, true), "it has dropped one")
		require.True(t, c.look(last, true))
		require.False(t, c.look(last, true), "it has asked")
	}
	require.False(t, c.look(1089, true))
	require.False(t, c.look(1095, true), "it has dropped one and got on")
	require.False(t, c.look(1095, true))
	require.False(t, c.look(1094, false), "all is well again")
	require.False(t, c.look(1094, true))
}
