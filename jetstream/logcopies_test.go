package jetstream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/jetstream"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

// copyInto appends the copies that a route makes of the messages from an offset on.
func copyInto(l gateway.Logs, topic, route string, from, n int) error {
	var batch []*gateway.Message
	for i := from; i < from+n; i++ {
		batch = append(batch, &gateway.Message{
			Destination: gateway.Destination{Kind: gateway.KindTopic, Name: topic}, Body: fmt.Append(nil, route, i), Persistent: true,
			Source: &gateway.Source{Route: route, Log: "source", Offset: uint64(i), Hops: 1, Once: true},
		})
	}
	c := make(landed, 1)
	l.Append(topic, batch, c, 0)
	return <-c
}

// A log whose stream was made before there were routes takes copies, and what it had stays.
func TestALogMadeBeforeThereWereRoutesTakesCopies(t *testing.T) {
	dir := t.TempDir()
	ns, err := embed.Start(t.Context(), embed.Config{Name: "n1", Dir: dir, MaxPayload: jetstream.MaxRecord, Logger: quiet()})
	require.NoError(t, err)
	s, err := jetstream.Open(t.Context(), jetstream.Config{Dir: dir, Server: ns, Node: "n1", Shards: 1, Logger: quiet(), Sync: true})
	require.NoError(t, err)
	keepLog(t, s, "P.T", "one", time.Hour) // before there is a stream: one that nobody wants is taken away
	nc, err := ns.Connect(embed.Store, "test")
	require.NoError(t, err)
	_, err = nc.RequestWithContext(t.Context(), "$JS.API.STREAM.CREATE.L_one", []byte(`{"name":"L_one","subjects":["l.one"],"storage":"file","num_replicas":1,"allow_direct":true,"allow_atomic":true}`))
	require.NoError(t, err)
	nc.Close()
	require.NoError(t, logIt(s.Logs(), "P.T", "a"))
	for range 2 {
		require.NoError(t, copyInto(s.Logs(), "P.T", "r", 4, 3))
	}
	require.Equal(t, []string{"a", "r4", "r5", "r6"}, logged(t, s.Logs(), "P.T"))
	require.NoError(t, s.Close(context.Background()))
	ns.Stop()
}

// Copies of which a crash has cut off the slots are there, and not made again.
func TestCopiesThatACrashHasCutOffAreThere(t *testing.T) {
	for there := 1; there <= 4; there++ {
		b := newBundles(t)
		require.NoError(t, copyInto(b.store.Logs(), "P.T", "r", 0, 2))
		batch := messagesOf("r2", "r3", "r4", "r5")
		for i, m := range batch {
			m.Source = &gateway.Source{Route: "r", Log: "source", Offset: uint64(i + 2)}
		}
		b.raw(func(nc *nats.Conn) {
			for i, record := range jetstream.Bundled(batch)[:there] {
				m, err := nc.RequestWithContext(t.Context(), []string{"l.one.r.r.source", "l.one"}[min(i, 1)], record)
				require.NoError(t, err)
				require.NotContains(t, string(m.Data), "error")
			}
		})
		b.close()
		b.open()
		require.NoError(t, copyInto(b.store.Logs(), "P.T", "r", 1, 3))
		require.NoError(t, copyInto(b.store.Logs(), "P.T", "r", 4, 4))
		require.Equal(t, []string{"r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7"}, logged(t, b.store.Logs(), "P.T"))
	}
}

// leaderOf is the name of the node that leads a stream.
func leaderOf(t testing.TB, server *embed.Server, stream string) (name string) {
	nc, err := server.Connect(embed.Store, "test")
	require.NoError(t, err)
	defer nc.Close()
	gatewaytest.Eventually(t, func() bool {
		m, err := nc.RequestWithContext(t.Context(), "$JS.API.STREAM.INFO."+stream, nil)
		require.NoError(t, err)
		var info struct{ Cluster struct{ Leader string } }
		require.NoError(t, json.Unmarshal(m.Data, &info))
		name = info.Cluster.Leader
		return name != ""
	}, "somebody leads %s", stream)
	return name
}

// Two nodes append the same copies at the same time, in batches of their own, among what others publish, while the log's leader dies and comes back: the log has
// each once, and in order, whatever they were told of those that were under way.
func TestTwoNodesAppendTheSameCopies(t *testing.T) {
	t.Parallel()
	const most = 600
	nodes := cluster(t, nil)
	keepLog(t, nodes[0].store, "P.T", "one", time.Hour)
	for _, m := range nodes {
		gatewaytest.Eventually(t, func() bool { return logged(t, m.store.Logs(), "P.T") != nil }, "%s knows of the log", m.name)
	}
	require.NoError(t, logIt(nodes[0].store.Logs(), "P.T", "x"))
	leader := leaderOf(t, nodes[0].server, "L_one")
	at := slices.IndexFunc(nodes, func(m *member) bool { return m.name == leader })
	nodes[at], nodes[2] = nodes[2], nodes[at]
	require.Equal(t, leader, nodes[2].name)
	var all sync.WaitGroup
	half := make(chan struct{})
	for w, n := range []int{1, 7} {
		l := nodes[w].store.Logs()
		all.Go(func() {
			for at := 0; at < most && t.Context().Err() == nil; {
				if copyInto(l, "P.T", "r", at, n) != nil {
					continue // nobody knows, and it is said again
				}
				if at += n; w == 1 && at >= most/2 && at < most/2+n {
					close(half)
				}
			}
		})
		all.Go(func() {
			for range 50 {
				_ = logIt(l, "P.T", "x")
			}
		})
	}
	<-half
	nodes[2].kill()
	require.NoError(t, nodes[2].start())
	all.Wait()
	for _, m := range nodes {
		var copies []string
		gatewaytest.Eventually(t, func() bool {
			copies = slices.DeleteFunc(logged(t, m.store.Logs(), "P.T"), func(s string) bool { return s == "x" })
			return len(copies) >= most
		}, "%s has them all", m.name)
		for i, body := range copies {
			require.Equal(t, fmt.Sprint("r", i), body)
		}
	}
}
