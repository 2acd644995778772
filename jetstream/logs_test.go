package jetstream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/jetstream"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

func TestLogsKeepTheContract(t *testing.T) {
	t.Parallel()
	for name, sync := range map[string]bool{"synced": true, "relaxed": false} {
		t.Run(name, func(t *testing.T) {
			gatewaytest.LogsContract(t, func(t *testing.T, dir string) (gateway.Logs, gateway.Registry, func()) {
				s, shut := openStore(t, dir, sync, 1)
				return s.Logs(), s.Registry(), shut
			})
		})
	}
}

type landed chan error

// Complete implements gateway.Completion.
func (l landed) Complete(_ uint64, err error) { l <- err }

// logIt appends messages to a topic's log.
func logIt(l gateway.Logs, topic string, bodies ...string) error {
	var batch []*gateway.Message
	for _, b := range bodies {
		batch = append(batch, &gateway.Message{Destination: gateway.Destination{Kind: gateway.KindTopic, Name: topic}, Body: []byte(b), Persistent: true})
	}
	c := make(landed, 1)
	l.Append(topic, batch, c, 0)
	return <-c
}

// logged are the bodies of a log from its front; nil if it cannot be read.
func logged(t testing.TB, l gateway.Logs, topic string) (bodies []string) {
	p, err := l.Read(t.Context(), topic, gateway.LogQuery{Messages: 10_000, Bytes: 1 << 20})
	if err != nil {
		return nil
	}
	bodies = []string{}
	for i, m := range p.Messages {
		require.Equal(t, p.At+uint64(i), m.Offset)
		bodies = append(bodies, string(m.Body))
	}
	return bodies
}

// keepLog gives a topic a log.
func keepLog(t testing.TB, s *jetstream.Store, topic, id string, retention time.Duration) {
	fact, err := json.Marshal(gateway.LogFact{ID: id, Retention: retention.Milliseconds()})
	require.NoError(t, err)
	_, err = s.Registry().Put(t.Context(), gateway.LogKeys+topic, fact)
	require.NoError(t, err)
	gatewaytest.Eventually(t, func() bool { return logged(t, s.Logs(), topic) != nil }, "the fact is known")
}

// logStreams are the streams of logs that there are.
func logStreams(t testing.TB, server *embed.Server) []string {
	nc, err := server.Connect(embed.Store, "test")
	require.NoError(t, err)
	defer nc.Close()
	m, err := nc.RequestWithContext(t.Context(), "$JS.API.STREAM.NAMES", nil)
	require.NoError(t, err)
	var answer struct {
		Streams []string `json:"streams"`
	}
	require.NoError(t, json.Unmarshal(m.Data, &answer))
	return slices.DeleteFunc(answer.Streams, func(s string) bool { return !strings.HasPrefix(s, "L_") })
}

// A log is gone with its fact, also if the node was away when that went, and no other log goes with it.
func TestALogGoesWithItsFact(t *testing.T) {
	dir := t.TempDir()
	server := func() *embed.Server {
		ns, err := embed.Start(t.Context(), embed.Config{Name: "n1", Dir: dir, MaxPayload: jetstream.MaxRecord, Logger: quiet()})
		require.NoError(t, err)
		return ns
	}
	open := func(ns *embed.Server, now time.Duration) *jetstream.Store {
		s, err := jetstream.Open(t.Context(), jetstream.Config{Dir: dir, Server: ns, Node: "n1", Shards: 1, Logger: quiet(), Sync: true, Now: func() time.Time { return time.Now().Add(now) }})
		require.NoError(t, err)
		return s
	}
	ns := server()
	s := open(ns, 0)
	for _, id := range []string{"a", "b", "c"} {
		keepLog(t, s, "P."+id, id, time.Hour)
		require.NoError(t, logIt(s.Logs(), "P."+id, "1", "2"))
	}
	keepLog(t, s, "P.silent", "silent", 0)
	require.Equal(t, []string{"L_a", "L_b", "L_c"}, logStreams(t, ns), "made with its first message")
	_, err := s.Registry().Put(t.Context(), gateway.LogKeys+"P.a", nil)
	require.NoError(t, err)
	gatewaytest.Eventually(t, func() bool { return slices.Equal(logStreams(t, ns), []string{"L_b", "L_c"}) }, "the log is gone")
	require.NoError(t, s.Close(context.Background()))

	nc, err := ns.Connect(embed.Store, "test")
	require.NoError(t, err)
	_, err = nc.RequestWithContext(t.Context(), "$JS.API.STREAM.CREATE.L_orphan", []byte(`{"name":"L_orphan","subjects":["l.orphan"],"storage":"file","num_replicas":1}`))
	require.NoError(t, err)
	nc.Close()
	require.Len(t, logStreams(t, ns), 3)
	s = open(ns, 2*time.Hour)
	gatewaytest.Eventually(t, func() bool { return slices.Equal(logStreams(t, ns), []string{"L_b", "L_c"}) }, "what was left behind is gone")
	p, err := s.Logs().Read(t.Context(), "P.b", gateway.LogQuery{Messages: 10, Bytes: 1000})
	require.NoError(t, err)
	require.Equal(t, gateway.LogPage{Log: "b", First: 2, Next: 2, At: 2}, p, "what is too old is not there")
	require.NoError(t, logIt(s.Logs(), "P.b", "3"))
	p, err = s.Logs().Read(t.Context(), "P.b", gateway.LogQuery{})
	require.NoError(t, err)
	require.Equal(t, uint64(3), p.Next, "offsets go on")
	require.NoError(t, s.Close(context.Background()))
	ns.Stop()
}

// Any node of a cluster appends to a log and reads it, whoever leads the stream, and as long as there is a majority.
func TestLogsOfACluster(t *testing.T) {
	t.Parallel()
	nodes := cluster(t, nil)
	keepLog(t, nodes[0].store, "P.T", "one", time.Hour)
	var want []string
	for i, m := range nodes {
		gatewaytest.Eventually(t, func() bool { return logged(t, m.store.Logs(), "P.T") != nil }, "%s knows of the log", m.name)
		bodies := []string{fmt.Sprint(i, "a"), fmt.Sprint(i, "b"), fmt.Sprint(i, "c")}
		require.NoError(t, logIt(m.store.Logs(), "P.T", bodies...))
		require.NoError(t, logIt(m.store.Logs(), "P.T", fmt.Sprint(i, "d")))
		want = append(append(want, bodies...), fmt.Sprint(i, "d"))
	}
	same := func(all ...*member) {
		t.Helper()
		for _, m := range all {
			gatewaytest.Eventually(t, func() bool { return slices.Equal(want, logged(t, m.store.Logs(), "P.T")) }, "whole on %s", m.name)
		}
	}
	same(nodes...)
	nodes[0].kill()
	gatewaytest.Eventually(t, func() bool {
		err := logIt(nodes[1].store.Logs(), "P.T", "later")
		require.True(t, err == nil || gateway.KindOf(err) == gateway.Unavailable, "%v", err)
		return err == nil
	}, "a majority is enough")
	// An answer that was lost may have left another one behind.
	var got []string
	gatewaytest.Eventually(t, func() bool { got = logged(t, nodes[1].store.Logs(), "P.T"); return len(got) > len(want) }, "it can be read")
	require.Equal(t, want, got[:len(want)])
	for _, later := range got[len(want):] {
		require.Equal(t, "later", later)
	}
	want = got
	require.NoError(t, nodes[0].start())
	same(nodes...)
	_, err := nodes[2].store.Registry().Put(t.Context(), gateway.LogKeys+"P.T", nil)
	require.NoError(t, err)
	gatewaytest.Eventually(t, func() bool { return len(logStreams(t, nodes[1].server)) == 0 }, "the log is gone everywhere")
}

// A log is read again soon after the node has died that led it: a question that only the dead one could have answered is not waited for.
func TestALogIsReadSoonAfterItsLeaderDied(t *testing.T) {
	t.Parallel()
	nodes := cluster(t, nil)
	keepLog(t, nodes[0].store, "P.T", "one", time.Hour)
	gatewaytest.Eventually(t, func() bool { return logged(t, nodes[0].store.Logs(), "P.T") != nil }, "it is known")
	require.NoError(t, logIt(nodes[0].store.Logs(), "P.T", "a"))
	for i, m := range nodes { // one of them leads
		m.kill()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		began := time.Now()
		for { // an error is an answer, too
			p, err := nodes[(i+1)%3].store.Logs().Read(ctx, "P.T", gateway.LogQuery{Messages: 1, Bytes: 1})
			if err == nil && len(p.Messages) == 1 {
				break
			}
			require.NoError(t, ctx.Err())
		}
		cancel()
		require.Less(t, time.Since(began), 20*time.Second)
		require.NoError(t, m.start())
		gatewaytest.Eventually(t, func() bool { return slices.Equal([]string{"a"}, logged(t, m.store.Logs(), "P.T")) }, "it is whole")
	}
}

// What is published to a topic the moment after it was made is taken, by whichever node: a stream that nobody has heard of yet is asked again.
func TestTheFirstMessageOfATopicIsTaken(t *testing.T) {
	t.Parallel()
	nodes := cluster(t, nil)
	for i := range 12 {
		name := fmt.Sprint("P.T", i)
		keepLog(t, nodes[i%3].store, name, fmt.Sprint("id", i), time.Hour)
		at := nodes[(i+1)%3].store.Logs()
		gatewaytest.Eventually(t, func() bool { return logged(t, at, name) != nil }, "it is known")
		require.NoError(t, logIt(at, name, "a"), name)
		require.NoError(t, logIt(nodes[(i+2)%3].store.Logs(), name, "b"), name)
		gatewaytest.Eventually(t, func() bool { return slices.Equal([]string{"a", "b"}, logged(t, at, name)) }, "both are there")
	}
}

// A log of a cluster that goes on for another one begins where its fact says, on all nodes, whether or not they were there when it was made, and goes on there after all were away.
func TestALogOfAClusterBeginsLater(t *testing.T) {
	t.Parallel()
	const first = 5_000_000
	nodes := cluster(t, nil)
	fact, err := json.Marshal(gateway.LogFact{ID: "later", First: first})
	require.NoError(t, err)
	nodes[2].kill()
	_, err = nodes[0].store.Registry().Put(t.Context(), gateway.LogKeys+"P.T", fact)
	require.NoError(t, err)
	ends := func(m *member, next uint64) {
		t.Helper()
		gatewaytest.Eventually(t, func() bool {
			p, err := m.store.Logs().Read(t.Context(), "P.T", gateway.LogQuery{})
			return err == nil && p.First == first && p.Next == next
		}, "%s: to %d", m.name, next)
	}
	ends(nodes[0], first)
	ends(nodes[1], first)
	require.NoError(t, logIt(nodes[1].store.Logs(), "P.T", "a"))
	require.NoError(t, logIt(nodes[0].store.Logs(), "P.T", "b", "c"))
	require.NoError(t, nodes[2].start())
	for _, m := range nodes {
		ends(m, first+3)
		gatewaytest.Eventually(t, func() bool { return slices.Equal([]string{"a", "b", "c"}, logged(t, m.store.Logs(), "P.T")) }, "whole on %s", m.name)
	}
	for _, m := range nodes {
		m.kill()
	}
	var starts sync.WaitGroup
	for _, m := range nodes {
		starts.Go(func() {
			if err := m.start(); err != nil {
				t.Error(err)
			}
		})
	}
	starts.Wait()
	gatewaytest.Eventually(t, func() bool { return logIt(nodes[2].store.Logs(), "P.T", "d") == nil }, "it goes on")
	for _, m := range nodes {
		var got []string // an answer that was lost may have left another d behind
		gatewaytest.Eventually(t, func() bool { got = logged(t, m.store.Logs(), "P.T"); return len(got) > 3 }, "everywhere")
		require.Equal(t, []string{"a", "b", "c", "d"}, got[:4])
	}
}
