package jetstream_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/jetstream"
	"github.com/sluice-mq/sluice/jetstream/embed"
	"github.com/sluice-mq/sluice/tests/ports"
)

func TestMain(m *testing.M) {
	gatewaytest.Beside(4)
	os.Exit(m.Run())
}

const secret = "nobody else knows this one"

// member is a node of a cluster in this process.
type member struct {
	t       testing.TB
	name    string
	dir     string
	address string
	routes  []string
	reserve int64 // of space
	server  *embed.Server
	store   *jetstream.Store
	serve   func(*member) error // has somebody else serve the store
	broker  *core.Broker        // perhaps that

	mu    sync.Mutex
	owned map[int]gateway.Journal
	known map[int]known
}

// known is what a node has heard of a shard's owner.
type known struct {
	node  string
	epoch uint64
}

// Begin implements gateway.Tenant.
func (m *member) Begin(i int, _ uint64, j gateway.Journal, ready func(sole func())) {
	m.mu.Lock()
	m.owned[i] = j
	m.mu.Unlock()
	ready(func() {})
}

// End implements gateway.Tenant.
func (m *member) End(i int) {
	m.mu.Lock()
	delete(m.owned, i)
	m.mu.Unlock()
}

// What links bring is tested elsewhere.
func (m *member) Up(string)                      {}
func (m *member) Down(string)                    {}
func (m *member) Receive(string, *gateway.Frame) {}

// Owner implements gateway.Peer.
func (m *member) Owner(shard int, node string, epoch uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if epoch >= m.known[shard].epoch {
		m.known[shard] = known{node, epoch}
	}
}

func (m *member) journal(i int) gateway.Journal {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.owned[i]
}

// routes is how the nodes of the tests know one another. It takes a good part of a second to make, so all have the same.
var routes = sync.OnceValues(func() (*tls.Config, error) { return embed.Trust(secret) })

func (m *member) start() error {
	trust, err := routes()
	if err != nil {
		return err
	}
	m.owned, m.known = make(map[int]gateway.Journal), make(map[int]known)
	m.server, err = embed.Start(context.Background(), embed.Config{
		Name: m.name, Dir: m.dir, MaxPayload: jetstream.MaxRecord, SyncAlways: true, Logger: quiet(),
		Cluster: &embed.Cluster{Name: "test", Address: m.address, Routes: m.routes, TLS: trust},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*gatewaytest.Wait)
	defer cancel()
	m.store, err = jetstream.Open(ctx, jetstream.Config{
		Dir: m.dir, Server: m.server, Node: m.name, Shards: 2, ServerSyncs: true, Reserve: m.reserve, Logger: quiet(),
		Cluster: &jetstream.Cluster{Nodes: 3, Replicas: 3},
	})
	if err != nil {
		m.server.Stop()
		return err
	}
	if m.serve != nil {
		return m.serve(m)
	}
	m.store.Serve(m)
	return nil
}

// kill ends the server first, so that the store has no time for anything.
func (m *member) kill() {
	if m.store == nil { // it is dead
		return
	}
	m.server.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if m.broker != nil {
		_ = m.broker.Close(ctx) // likewise
	}
	_ = m.store.Close(ctx) // what was under way has no answer
	m.store = nil
	m.mu.Lock()
	clear(m.owned)
	m.mu.Unlock()
}

// cluster starts three nodes. With serve they get their members from it.
func cluster(t testing.TB, serve func(*member) error) []*member {
	t.Helper()
	addresses := ports.Of(t, 3).Addresses()
	var all []*member
	for i := range 3 {
		all = append(all, &member{t: t, name: "n" + strconv.Itoa(i+1), dir: t.TempDir(), address: addresses[i], routes: addresses, serve: serve})
	}
	t.Cleanup(func() {
		for _, m := range all {
			m.kill()
		}
	})
	startAll(t, all)
	return all
}

func startAll(t testing.TB, all []*member) {
	t.Helper()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, m := range all {
		wg.Go(func() { errs[i] = m.start() })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
}

// owner waits until exactly one of the nodes owns a shard.
func owner(t *testing.T, all []*member, shard int) (who *member) {
	t.Helper()
	gatewaytest.Eventually(t, func() bool {
		who = nil
		n := 0
		for _, m := range all {
			if m.journal(shard) != nil {
				who = m
				n++
			}
		}
		return n == 1
	}, "one owner of shard %d", shard)
	return who
}

// contents are the bodies that a journal has, by message id.
func contents(t *testing.T, j gateway.Journal) (ids []string) {
	t.Helper()
	require.NoError(t, j.Replay(context.Background(), func(_ uint64, _ int, r *gateway.Record) error {
		if r.Type == gateway.RecordMessage {
			ids = append(ids, r.Message.ID)
		}
		return nil
	}))
	return ids
}

func append1(j gateway.Journal, id string, a gateway.Appended) {
	j.Append(&gateway.Record{Type: gateway.RecordMessage, Message: gatewaytest.Message("q", id, "body of "+id)}, a)
}

// outcome is told of one record.
type outcome chan error

func (o outcome) Appended(_ uint64, err error) { o <- err }

func kindOf(err error) gateway.ErrorKind {
	var e *gateway.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return gateway.Internal
}

// An owner that was replaced stores nothing any more, also if it has not noticed yet.
func TestAReplacedOwnerStoresNothing(t *testing.T) {
	t.Parallel()
	all := cluster(t, nil)
	old := owner(t, all, 0)
	j := old.journal(0)
	first := make(outcome, 1)
	append1(j, "first", first)
	require.NoError(t, <-first)

	require.NoError(t, old.server.StepDown("Q_00"))
	var next *member
	gatewaytest.Eventually(t, func() bool {
		i := slices.IndexFunc(all, func(m *member) bool { n := m.journal(0); return n != nil && n != j })
		if i >= 0 {
			next = all[i]
		}
		return i >= 0
	}, "another owner")
	late := make(outcome, 1)
	append1(j, "late", late)
	require.Equal(t, gateway.Moved, kindOf(<-late))

	second := make(outcome, 1)
	append1(next.journal(0), "second", second)
	require.NoError(t, <-second)
	require.Equal(t, []string{"first", "second"}, contents(t, next.journal(0)))
}

// writer appends numbered records to whoever owns the shard, until it is told to stop, and notes
// which are stored for sure and which are not.
type writer struct {
	mu            sync.Mutex
	stored, moved []string
	unknown       map[string]bool
	left          sync.WaitGroup
}

type note struct {
	w  *writer
	id string
}

// Appended implements gateway.Appended.
func (n note) Appended(_ uint64, err error) {
	defer n.w.left.Done()
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	switch {
	case err == nil:
		n.w.stored = append(n.w.stored, n.id)
	case kindOf(err) == gateway.Moved:
		n.w.moved = append(n.w.moved, n.id)
	default:
		n.w.unknown[n.id] = true
	}
}

func (w *writer) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.stored)
}

func (w *writer) run(ctx context.Context, all []*member, shard int) {
	for i := 0; ctx.Err() == nil; i++ {
		var j gateway.Journal
		for _, m := range all {
			if j = m.journal(shard); j != nil {
				break
			}
		}
		if j == nil || i%64 == 0 { // bounded by what was answered
			w.left.Wait()
			time.Sleep(time.Millisecond)
		}
		if j != nil {
			w.left.Add(1)
			append1(j, fmt.Sprintf("m%06d", i), note{w, fmt.Sprintf("m%06d", i)})
		}
	}
}

// verify compares what was answered with what is there.
func (w *writer) verify(t *testing.T, j gateway.Journal) {
	t.Helper()
	w.left.Wait()
	there := contents(t, j)
	require.True(t, slices.IsSorted(there), "out of order")
	require.Len(t, slices.Compact(slices.Clone(there)), len(there), "twice")
	for _, id := range w.stored {
		_, found := slices.BinarySearch(there, id)
		require.True(t, found, "%s was confirmed and is not there", id)
	}
	for _, id := range w.moved {
		_, found := slices.BinarySearch(there, id)
		require.False(t, found, "%s was refused and is there", id)
	}
	sure := slices.DeleteFunc(there, func(id string) bool { return w.unknown[id] })
	require.ElementsMatch(t, w.stored, sure)
	t.Logf("%d records stored, %d refused, of %d nothing was known", len(w.stored), len(w.moved), len(w.unknown))
}

func TestEveryRecordIsAnsweredRightlyWhileOwnersChange(t *testing.T) {
	t.Parallel()
	all := cluster(t, nil)
	w := &writer{unknown: make(map[string]bool)}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var done sync.WaitGroup
	done.Go(func() { w.run(ctx, all, 0) })
	for range 8 {
		goal := w.count() + 300
		gatewaytest.Eventually(t, func() bool { return w.count() >= goal }, "progress")
		require.NoError(t, owner(t, all, 0).server.StepDown("Q_00"))
	}
	goal := w.count() + 300
	gatewaytest.Eventually(t, func() bool { return w.count() >= goal }, "progress")
	stop()
	done.Wait()
	require.Empty(t, w.unknown)
	w.verify(t, owner(t, all, 0).journal(0))
}

func TestConfirmedRecordsOutliveTheirOwner(t *testing.T) {
	t.Parallel()
	all := cluster(t, nil)
	w := &writer{unknown: make(map[string]bool)}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var done sync.WaitGroup
	done.Go(func() { w.run(ctx, all, 0) })
	gatewaytest.Eventually(t, func() bool { return w.count() >= 500 }, "progress")
	dead := owner(t, all, 0)
	dead.kill()
	goal := w.count() + 500
	gatewaytest.Eventually(t, func() bool { return w.count() >= goal }, "progress after the owner's death")
	stop()
	done.Wait()
	rest := slices.DeleteFunc(slices.Clone(all), func(m *member) bool { return m == dead })
	w.verify(t, owner(t, rest, 0).journal(0))
	require.NoError(t, dead.start())
	w.verify(t, owner(t, all, 0).journal(0))
}

// A node that nobody hears may not deliver.
func TestANodeAloneIsNotCurrent(t *testing.T) {
	t.Parallel()
	all := cluster(t, nil)
	for _, m := range all {
		gatewaytest.Eventually(t, m.store.Current, "contact with the others")
	}
	gatewaytest.Eventually(t, all[2].store.CaughtUp, "all that there is")
	all[0].kill()
	require.True(t, all[1].store.Current())
	all[1].kill()
	gatewaytest.Eventually(t, func() bool { return !all[2].store.Current() }, "the loss of contact")
	gatewaytest.Eventually(t, func() bool { return !all[2].store.CaughtUp() }, "it may have missed something, and does not count")
	require.NoError(t, all[0].start())
	gatewaytest.Eventually(t, all[2].store.Current, "contact again")
	gatewaytest.Eventually(t, all[2].store.CaughtUp, "all that there is")
}
