package gatewaytest

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// Wait is how long anything in a test may take before it counts as never.
const Wait = time.Minute

// atOnce is how often Eventually looks before it rests: what is a matter of microseconds, as with a store in memory, does not take a whole rest.
const atOnce = 100

// Eventually polls until ok returns true.
func Eventually(t testing.TB, ok func() bool, what string, args ...any) {
	t.Helper()
	deadline := time.Now().Add(Wait)
	for looks := 0; !ok(); looks++ {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: "+what, args...)
		}
		if looks < atOnce {
			runtime.Gosched()
		} else {
			time.Sleep(time.Millisecond)
		}
	}
}

// Message makes a message to a queue.
func Message(queue, id, body string) *gateway.Message {
	return &gateway.Message{
		ID: id, Destination: gateway.Destination{Kind: gateway.KindQueue, Name: queue},
		Body: []byte(body), Persistent: true, Priority: gateway.DefaultPriority,
	}
}

// Answer waits for the outcome of appends.
type Answer struct {
	mu     sync.Mutex
	stored []uint64
	seqs   []uint64
	errs   []error
	late   int // answers that came before it was said that their record is stored
}

// Stored implements gateway.Stored.
func (a *Answer) Stored(seq uint64) {
	a.mu.Lock()
	a.stored = append(a.stored, seq)
	a.mu.Unlock()
}

// Appended implements gateway.Appended.
func (a *Answer) Appended(seq uint64, err error) {
	a.mu.Lock()
	if len(a.stored) <= len(a.seqs) {
		a.late++
	}
	a.seqs, a.errs = append(a.seqs, seq), append(a.errs, err)
	a.mu.Unlock()
}

// Await returns the sequences of n answers, in the order of the answers, and fails on an error.
func (a *Answer) Await(t testing.TB, n int) []uint64 {
	t.Helper()
	Eventually(t, func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.seqs) >= n }, "%d answers", n)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, err := range a.errs {
		require.NoError(t, err)
	}
	return a.seqs[:n:n]
}

// StoreContract is what every implementation of gateway.Store keeps. open opens
// the store of a directory, which may hold one already, and is given how to close it.
func StoreContract(t *testing.T, open func(t *testing.T, dir string) (store gateway.Store, shut func())) {
	t.Run("records come back in order after reopening", func(t *testing.T) { reopened(t, open) })
	t.Run("a queue's messages are loaded by sequence, whatever lies between", func(t *testing.T) { loads(t, open) })
	t.Run("relaxed and durable records are both kept", func(t *testing.T) {
		store, shut := open(t, t.TempDir())
		defer shut()
		var got Answer
		for i := range 100 {
			store.Journal(0).Append(&gateway.Record{Type: gateway.RecordMessage, Message: Message("q", fmt.Sprint(i), ""), Relaxed: i%2 == 0}, &got)
		}
		got.Await(t, 100)
		require.Equal(t, uint64(100), store.Journal(0).State().Last)
	})
	t.Run("patient records are answered, alone as well", func(t *testing.T) {
		store, shut := open(t, t.TempDir())
		defer shut()
		var got Answer
		for i := range 4 {
			for range i { // none, one, two, three before the one that somebody waits for
				store.Journal(0).Append(&gateway.Record{Type: gateway.RecordDone, Transaction: "tx", Patient: true}, &got)
			}
			store.Journal(0).Append(&gateway.Record{Type: gateway.RecordMessage, Message: Message("q", "m", "")}, &got)
		}
		store.Journal(0).Append(&gateway.Record{Type: gateway.RecordDone, Transaction: "tx", Patient: true}, &got)
		got.Await(t, 11)
	})
}

// reopened is the part of the contract that is about what a closed store has kept.
func reopened(t *testing.T, open func(t *testing.T, dir string) (store gateway.Store, shut func())) {
	dir := t.TempDir()
	store, shut := open(t, dir)
	j := store.Journal(0)
	var got Answer
	const n = 1000
	for i := range n {
		j.Append(&gateway.Record{Type: gateway.RecordMessage, Message: Message("a.b", fmt.Sprint(i), "body")}, &got)
	}
	seqs := got.Await(t, n)
	for i, seq := range seqs {
		require.Equal(t, uint64(i+1), seq, "sequences are dense and in the order of the appends")
	}
	require.Equal(t, seqs, got.stored, "a record is said to be stored once, in order")
	require.Zero(t, got.late, "and before it is said to be durable")
	j.Append(&gateway.Record{Type: gateway.RecordSettle, Settled: []uint64{1, 3, 2}}, &got)
	got.Await(t, n+1)
	shut()

	store, shut = open(t, dir)
	defer shut()
	i := 0
	err := store.Journal(0).Replay(context.Background(), func(seq uint64, _ int, r *gateway.Record) error {
		i++
		require.Equal(t, uint64(i), seq)
		if i <= n {
			require.Equal(t, gateway.RecordMessage, r.Type)
			require.Equal(t, fmt.Sprint(i-1), r.Message.ID)
			require.Equal(t, "a.b", r.Message.Destination.Name)
			require.True(t, r.Message.Persistent)
		} else {
			require.Equal(t, []uint64{1, 3, 2}, r.Settled)
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, n+1, i)
}

// loads is the part of the contract that is about Load.
func loads(t *testing.T, open func(t *testing.T, dir string) (store gateway.Store, shut func())) {
	store, shut := open(t, t.TempDir())
	defer shut()
	j := store.Journal(0)
	var got Answer
	const n = 900
	for i := range n {
		j.Append(&gateway.Record{Type: gateway.RecordMessage, Message: Message(fmt.Sprintf("q%d", i%9), fmt.Sprint(i), fmt.Sprint("body ", i))}, &got)
	}
	got.Await(t, n)
	var want []uint64
	for i := range n {
		if i%9 == 4 {
			want = append(want, uint64(i+1))
		}
	}
	for _, seqs := range [][]uint64{want, want[:1], want[3:5], {want[0], want[len(want)-1]}, {5, 6, 7}} {
		loaded := make(chan []*gateway.Message, 1)
		j.Load("q4", seqs, func(m []*gateway.Message, err error) {
			require.NoError(t, err)
			loaded <- m
		})
		select {
		case m := <-loaded:
			require.Len(t, m, len(seqs))
			require.NotNil(t, m[0])
			require.Equal(t, fmt.Sprint("body ", seqs[0]-1), string(m[0].Body))
		case <-time.After(Wait):
			t.Fatal("never loaded")
		}
	}
}
