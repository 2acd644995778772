package embed_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/jetstream/embed"
)

// What a user's clients say to queues, to topics and to JetStream is heard by the door of their node alone, whoever else listens to whatever; their other
// subjects, inboxes among them, span the nodes. What a node says to a user reaches the clients on that node alone.
func TestInAGuardedClusterEachNodeHearsItsOwnClients(t *testing.T) {
	nodes := three(t, true)
	var heard, all, topics, free []*nats.Subscription
	var clients, outbounds []*nats.Conn
	for _, n := range nodes {
		nc := login(t, n, "alice")
		clients = append(clients, nc)
		all = append(all, everything(t, nc))
		for _, subject := range []string{"topic.>", "free.*"} {
			sub, err := nc.SubscribeSync(subject)
			require.NoError(t, err)
			if subject == "topic.>" {
				topics = append(topics, sub)
			} else {
				free = append(free, sub)
			}
		}
		in := connect(t, n, embed.Inbound)
		outbounds = append(outbounds, connect(t, n, embed.Outbound))
		for _, subject := range []string{"queue.>", "topic.>", "$JS.>"} {
			sub, err := in.SubscribeSync(n.Own() + "alice." + subject)
			require.NoError(t, err)
			heard = append(heard, sub)
		}
		require.NoError(t, in.Flush())
		require.NoError(t, nc.Flush())
	}
	// What goes between the nodes is there when it has come once, from each to each.
	for i, nc := range clients {
		require.Eventually(t, func() bool {
			require.NoError(t, nc.Publish("free.ready", nil))
			for j := range clients {
				if n, _, _ := free[j].Pending(); i != j && n == 0 {
					return false
				}
			}
			return true
		}, patience, time.Millisecond)
		for j, sub := range free {
			for n, _, _ := sub.Pending(); n > 0; n, _, _ = sub.Pending() {
				_, err := sub.NextMsg(patience)
				require.NoError(t, err, j)
			}
		}
	}
	for i, nc := range clients {
		for _, subject := range []string{"queue.a", "topic.a", "$JS.ACK.QUEUES.w.1", "$JS.API.CONSUMER.MSG.NEXT.QUEUES.w", "free.end"} {
			require.NoError(t, nc.PublishRequest(subject, "_INBOX.r", nil))
		}
		own := nodes[i].Own() + "alice."
		require.NoError(t, outbounds[i].Publish(own+"topic.told", nil))
		require.NoError(t, outbounds[i].Flush())
		require.Equal(t, own+"queue.a", next(t, heard[3*i])[0])
		require.Equal(t, own+"topic.a", next(t, heard[3*i+1])[0])
		require.Equal(t, own+"$JS.ACK.QUEUES.w.1", next(t, heard[3*i+2])[0])
		require.Equal(t, own+"$JS.API.CONSUMER.MSG.NEXT.QUEUES.w", next(t, heard[3*i+2])[0])
		require.ElementsMatch(t, []string{"topic.a", "topic.told"}, []string{next(t, topics[i])[0], next(t, topics[i])[0]})
		for j := range clients {
			for next(t, free[j])[0] != "free.end" {
			}
			var got []string
			for len(got) == 0 || got[len(got)-1] != "free.end" {
				if s := next(t, all[j])[0]; s != "free.ready" {
					got = append(got, s)
				}
			}
			if i != j {
				require.Equal(t, []string{"free.end"}, got, "what alice says at %d is heard at %d", i, j)
			}
		}
		for n, _, _ := all[i].Pending(); n > 0; n, _, _ = all[i].Pending() {
			require.Contains(t, []string{"topic.told", "free.ready"}, next(t, all[i])[0])
		}
	}
	for _, nc := range clients {
		require.NoError(t, nc.Flush())
	}
	for _, sub := range append(heard, topics...) {
		n, _, err := sub.Pending()
		require.NoError(t, err)
		require.Zero(t, n, sub.Subject)
	}
}
