// Package ports hands out ports of loopback to servers that must know one another's before they start. Whoever takes a port has it until it is given back,
// also while nobody listens: no other test, process or connection gets it.
package ports

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// The ports are below those that systems give to who asks for any, or connects. Who connects again and again to a port of those, at which nobody listens
// yet, meets himself there in the end, and keeps the server that is meant from listening.
const lowest, highest = 10_000, 29_999

var errNone = errors.New("no port is free")

// Taken are ports that nobody else has.
type Taken struct {
	// Ports are their numbers.
	Ports []int

	held []net.PacketConn
}

// Take takes n ports of 127.0.0.1, until Close. Whoever takes them keeps what it returns.
func Take(n int) (*Taken, error) {
	t := &Taken{}
	for range n {
		if err := t.one(); err != nil {
			t.Close()
			return nil, err
		}
	}
	return t, nil
}

// one takes one port more. The UDP port of the same number says to other processes that it is taken; TCP does not miss it.
func (t *Taken) one() error {
	const all = highest - lowest + 1
	first := rand.IntN(all)
	for i := range all {
		port := lowest + (first+i)%all
		held, err := net.ListenPacket("udp", address(port))
		if err != nil {
			continue
		}
		vacant, err := net.Listen("tcp", address(port))
		if err != nil { // by somebody who knows nothing of this
			_ = held.Close()
			continue
		}
		_ = vacant.Close()
		t.Ports, t.held = append(t.Ports, port), append(t.held, held)
		return nil
	}
	return fmt.Errorf("ports %d-%d: %w", lowest, highest, errNone)
}

// Addresses are the ports with the host before them.
func (t *Taken) Addresses() (addresses []string) {
	for _, p := range t.Ports {
		addresses = append(addresses, address(p))
	}
	return addresses
}

// Close gives the ports back. Nobody should listen there any more.
func (t *Taken) Close() {
	for _, c := range t.held {
		_ = c.Close()
	}
	t.held = nil
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

var (
	mu   sync.Mutex
	kept []*Taken
)

// Keep takes n ports until the end of the process.
func Keep(n int) ([]int, error) {
	t, err := Take(n)
	if err != nil {
		return nil, err
	}
	mu.Lock()
	defer mu.Unlock()
	kept = append(kept, t) // what nobody knows any more the system would give back
	return t.Ports, nil
}

// Of takes n ports until the end of a test.
func Of(t testing.TB, n int) *Taken {
	t.Helper()
	taken, err := Take(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(taken.Close)
	return taken
}
