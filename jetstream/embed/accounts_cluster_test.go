package embed_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/jetstream/embed"
	"github.com/sluice-mq/sluice/tests/ports"
)

// three are servers joined by routes; guarded ones ask who clients are.
func three(t *testing.T, guarded bool) (nodes []*node) {
	t.Helper()
	at := ports.Of(t, 3).Addresses()
	for i, name := range []string{"n1", "n2", "n3"} {
		s, err := embed.Start(context.Background(), embed.Config{
			Name: name, Dir: t.TempDir(), MaxPayload: 1 << 20, Logger: slog.New(slog.DiscardHandler), Address: "127.0.0.1:0", Guarded: guarded,
			Streams: embed.Streams{Storage: 1 << 30, Memory: 1 << 20},
			Cluster: &embed.Cluster{Name: "c", Address: at[i], Routes: at, TLS: trust(t, "the secret of the cluster")},
		})
		require.NoError(t, err)
		t.Cleanup(s.Stop)
		if guarded {
			s.Guard((&byName{Server: s}).judge)
		}
		addr, err := s.Listen()
		require.NoError(t, err)
		nodes = append(nodes, &node{s, addr})
	}
	for _, n := range nodes {
		require.Eventually(t, func() bool { return n.Peers() == 3 }, patience, 10*time.Millisecond)
	}
	return nodes
}

// What native clients say to queues, to topics and to JetStream is heard by the door of the node that they are connected
// to, once and in order, and by no other, also while that one is not there; what they say to topics is heard
// by native clients of all nodes once.
func TestInAClusterEachNodeHearsItsOwnClients(t *testing.T) {
	t.Parallel()
	nodes := three(t, false)
	var heard, told []*nats.Subscription
	var clients, inbounds []*nats.Conn
	for _, n := range nodes {
		nc, err := nats.Connect("nats://" + n.Addr().String())
		require.NoError(t, err)
		t.Cleanup(nc.Close)
		clients = append(clients, nc)
		sub, err := nc.SubscribeSync("topic.>")
		require.NoError(t, err)
		told = append(told, sub)
		in := connect(t, n, embed.Inbound)
		inbounds = append(inbounds, in)
		for _, s := range []struct {
			conn    *nats.Conn
			subject string
		}{{in, "queue.>"}, {in, "topic.>"}, {in, "$JS.>"}} {
			sub, err := s.conn.SubscribeSync(n.Prefix() + s.subject)
			require.NoError(t, err)
			heard = append(heard, sub)
		}
	}
	settle(t, nodes, clients)
	const rounds = 20
	for i, nc := range clients {
		for range rounds {
			require.NoError(t, nc.PublishRequest("queue.a", "_INBOX.puback", nil))
			require.NoError(t, nc.PublishRequest("topic.a", "_INBOX.answer", nil))
			require.NoError(t, nc.Publish("topic.b", nil))
			require.NoError(t, nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT.QUEUES.w", "_INBOX.pull", nil))
			require.NoError(t, nc.Publish("$JS.ACK.QUEUES.w.1.1.1.1.1", nil))
		}
		require.NoError(t, nc.Flush())
		p := nodes[i].Prefix()
		for range rounds {
			require.Equal(t, [2]string{p + "queue.a", "_INBOX.puback"}, next(t, heard[3*i]))
			require.Equal(t, p+"topic.a", next(t, heard[3*i+1])[0])
			require.Equal(t, [2]string{p + "topic.b", ""}, next(t, heard[3*i+1]))
			require.Equal(t, [2]string{p + "$JS.API.CONSUMER.MSG.NEXT.QUEUES.w", "_INBOX.pull"}, next(t, heard[3*i+2]))
			require.Equal(t, p+"$JS.ACK.QUEUES.w.1.1.1.1.1", next(t, heard[3*i+2])[0])
			for j := range clients {
				require.Equal(t, [2]string{"topic.a", "_INBOX.answer"}, next(t, told[j]))
				require.Equal(t, [2]string{"topic.b", ""}, next(t, told[j]))
			}
		}
	}
	time.Sleep(100 * time.Millisecond) // what would come too often is on its way
	for _, sub := range append(heard, told...) {
		n, _, err := sub.Pending()
		require.NoError(t, err)
		require.Zero(t, n, sub.Subject)
	}
	// A node without its door has no other node's door.
	require.NoError(t, heard[2].Unsubscribe())
	require.NoError(t, heard[0].Unsubscribe())
	require.NoError(t, inbounds[0].Flush())
	for _, subject := range []string{"queue.a", "$JS.API.INFO"} {
		_, err := clients[0].Request(subject, nil, patience)
		require.ErrorIs(t, err, nats.ErrNoResponders)
	}
}

// settle waits until what native clients of one node say to topics reaches those of all others.
func settle(t *testing.T, nodes []*node, clients []*nats.Conn) {
	t.Helper()
	for range nodes {
		for i, from := range clients {
			for j, to := range clients {
				if i == j {
					continue
				}
				sub, err := to.SubscribeSync("probe")
				require.NoError(t, err)
				require.NoError(t, to.Flush())
				require.Eventually(t, func() bool {
					require.NoError(t, from.Publish("probe", nil))
					_, err := sub.NextMsg(10 * time.Millisecond)
					return err == nil
				}, patience, time.Millisecond)
				require.NoError(t, sub.Unsubscribe())
			}
		}
	}
}

// An answer to a request to a topic finds its client from any node, and there may be several.
func TestAnswersToTopicRequestsComeFromAnyNode(t *testing.T) {
	nodes := three(t, false)
	nc, err := nats.Connect("nats://" + nodes[0].Addr().String())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	in, err := connect(t, nodes[0], embed.Inbound).SubscribeSync(nodes[0].Prefix() + "topic.>")
	require.NoError(t, err)
	require.NoError(t, connect(t, nodes[0], embed.Inbound).Flush())
	answers, err := nc.SubscribeSync("_INBOX.x")
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	require.Eventually(t, func() bool {
		require.NoError(t, nc.PublishRequest("topic.svc", "_INBOX.x", nil))
		_, err := in.NextMsg(50 * time.Millisecond)
		return err == nil
	}, patience, time.Millisecond)
	require.NoError(t, nc.PublishRequest("topic.svc", "_INBOX.x", nil))
	reply := next(t, in)[1]
	for _, n := range nodes {
		from := connect(t, n, embed.Inbound)
		require.Eventually(t, func() bool {
			require.NoError(t, from.Publish(reply, []byte("yes")))
			m, err := answers.NextMsg(50 * time.Millisecond)
			return err == nil && string(m.Data) == "yes"
		}, patience, time.Millisecond)
	}
}

// What native clients say to streams of their own goes to the server that leads them, wherever it is, and to no door; requests to the API go to the
// door of the client's node alone.
func TestOwnStreamsSpanTheCluster(t *testing.T) {
	t.Parallel()
	nodes := three(t, false)
	var clients, systems []*nats.Conn
	var heard []*nats.Subscription
	for _, n := range nodes {
		nc, err := nats.Connect("nats://" + n.Addr().String())
		require.NoError(t, err)
		t.Cleanup(nc.Close)
		clients, systems = append(clients, nc), append(systems, connect(t, n, embed.System))
		acks, err := connect(t, n, embed.Inbound).SubscribeSync(n.Own() + "$JS.>")
		require.NoError(t, err)
		asked, err := systems[len(systems)-1].SubscribeSync(n.Own() + "api.STREAM.>")
		require.NoError(t, err)
		heard = append(heard, acks, asked)
	}
	settle(t, nodes, clients)
	ask := func(of *nats.Conn, subject, body string) {
		t.Helper()
		require.Eventually(t, func() bool {
			m, err := of.RequestMsg(&nats.Msg{Subject: subject, Data: []byte(body), Header: nats.Header{"Nats-Request-Info": {`{"acc":"USERS","cluster":"c"}`}}}, 5*time.Second)
			return err == nil && !strings.Contains(string(m.Data), `"error"`)
		}, time.Minute, 50*time.Millisecond)
	}
	for i, replicas := range []string{"1", "3"} {
		ask(systems[i], "$JS.API.STREAM.CREATE.S"+replicas, `{"name":"S`+replicas+`","subjects":["s`+replicas+`"],"storage":"file","num_replicas":`+replicas+`}`)
		ask(systems[2], "$JS.API.CONSUMER.CREATE.S"+replicas+".c", `{"stream_name":"S`+replicas+`","config":{"durable_name":"c","name":"c","ack_policy":"explicit"}}`)
		for _, nc := range clients {
			require.Eventually(t, func() bool {
				m, err := nc.Request("s"+replicas, []byte("x"), time.Second)
				return err == nil && strings.Contains(string(m.Data), `"seq"`)
			}, time.Minute, 10*time.Millisecond)
		}
		for _, nc := range clients {
			m, err := nc.Request("$JS.API.CONSUMER.MSG.NEXT.S"+replicas+".c", nil, patience)
			require.NoError(t, err)
			require.Equal(t, "x", string(m.Data))
			_, err = nc.Request(m.Reply, []byte("+ACK"), patience)
			require.NoError(t, err)
		}
	}
	for i, nc := range clients { // what a door hears of its own clients, it hears after nothing else
		require.NoError(t, nc.Publish("$JS.ACK.QUEUES.w.1.1.1.1.1", nil))
		require.NoError(t, nc.PublishRequest("$JS.API.STREAM.INFO.S1", "_INBOX.x", nil))
		require.Equal(t, nodes[i].Own()+"$JS.ACK.QUEUES.w.1.1.1.1.1", next(t, heard[2*i])[0])
		require.Equal(t, nodes[i].Own()+"api.STREAM.INFO.S1", next(t, heard[2*i+1])[0])
	}
	for _, sub := range heard {
		_, err := sub.NextMsg(50 * time.Millisecond)
		require.ErrorIs(t, err, nats.ErrTimeout)
	}
	// Without space on every node, whoever leads, nobody publishes.
	for _, n := range nodes {
		require.NoError(t, n.Admit(false))
	}
	for _, nc := range clients {
		m, err := nc.Request("s3", []byte("y"), patience)
		require.NoError(t, err)
		require.Contains(t, string(m.Data), "resource limits exceeded for account")
	}
}
