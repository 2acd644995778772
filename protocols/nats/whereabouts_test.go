package nats

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhereaboutsNameAFewAddresses(t *testing.T) {
	var w whereabouts
	require.Equal(t, doorRemote, w.text())
	for i, from := range []string{"a:1", "b:1", "c:1", "d:1", "e:1", "f:1", "g:1", "h:1", "i:1", "j:1"} {
		w.arrived(uint64(i), from)
	}
	require.Equal(t, "a:1, b:1, c:1, d:1, e:1, f:1, g:1, h:1 and 2 more", w.text())
	for _, id := range []uint64{11, 1, 3, 4, 5, 6, 7, 8, 9} {
		w.departed(id)
	}
	require.Equal(t, "a:1, c:1", w.text())
	w.departed(0)
	w.departed(2)
	w.departed(2)
	require.Equal(t, "c:1", w.text(), "what it sent last may come yet")
}
