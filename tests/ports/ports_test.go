package ports_test

import (
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/ports"
)

// Nobody gets a port that another has, whoever asks at the same time.
func TestNobodyGetsWhatAnotherHas(t *testing.T) {
	var mu sync.Mutex
	var all sync.WaitGroup
	seen := make(map[int]bool)
	for range 20 {
		all.Go(func() {
			taken := ports.Of(t, 20)
			mu.Lock()
			defer mu.Unlock()
			for _, p := range taken.Ports {
				if seen[p] {
					t.Errorf("port %d was given twice", p)
				}
				seen[p] = true
			}
		})
	}
	all.Wait()
	require.Len(t, seen, 400)
}

// Whoever has a port listens there, leaves, and listens again.
func TestAPortStaysWithItsOwner(t *testing.T) {
	for _, at := range ports.Of(t, 3).Addresses() {
		for range 2 {
			l, err := net.Listen("tcp", at)
			require.NoError(t, err)
			require.NoError(t, l.Close())
		}
	}
}

// What is given back is there for others.
func TestPortsComeBack(t *testing.T) {
	taken, err := ports.Take(1)
	require.NoError(t, err)
	at := taken.Addresses()[0]
	_, err = net.ListenPacket("udp", at)
	require.Error(t, err, "it is marked as taken")
	taken.Close()
	mark, err := net.ListenPacket("udp", at)
	require.NoError(t, err)
	require.NoError(t, mark.Close())
}
