package embed_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

const patience = gatewaytest.Wait

// node is a server and where native clients connect to it.
type node struct {
	*embed.Server
	addr net.Addr
}

func (n *node) Addr() net.Addr { return n.addr }

func startServer(t *testing.T) *node {
	s, err := embed.Start(t.Context(), embed.Config{
		Name: "n1", Dir: t.TempDir(), Address: "127.0.0.1:0", MaxPayload: 1 << 20, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	addr, err := s.Listen()
	require.NoError(t, err)
	return &node{s, addr}
}

func connect(t *testing.T, s *node, a embed.Account) *nats.Conn {
	nc, err := s.Connect(a, "test")
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// everything is a subscription to all that an account hears.
func everything(t *testing.T, nc *nats.Conn) *nats.Subscription {
	sub, err := nc.SubscribeSync(">")
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	return sub
}

// next is the subject and the reply subject of the next message.
func next(t *testing.T, sub *nats.Subscription) [2]string {
	t.Helper()
	m, err := sub.NextMsg(patience)
	require.NoError(t, err)
	return [2]string{m.Subject, m.Reply}
}

// What goes from which account to which others, and what never does.
func TestAccountsKeepTheWaysApart(t *testing.T) {
	s := startServer(t)
	native, err := nats.Connect("nats://" + s.Addr().String())
	require.NoError(t, err)
	t.Cleanup(native.Close)
	inbound, outbound, store := connect(t, s, embed.Inbound), connect(t, s, embed.Outbound), connect(t, s, embed.Store)
	atNative, atInbound := everything(t, native), everything(t, inbound)
	atOutbound, atStore := everything(t, outbound), everything(t, store)

	for _, nc := range []*nats.Conn{native, inbound, outbound, store} {
		for _, subject := range []string{"queue.a", "topic.a", "_INBOX.a", "other"} {
			require.NoError(t, nc.PublishRequest(subject, "_INBOX.reply", nil))
		}
		require.NoError(t, nc.Flush())
	}
	all := [][2]string{{"queue.a", "_INBOX.reply"}, {"topic.a", "_INBOX.reply"}, {"_INBOX.a", "_INBOX.reply"}, {"other", "_INBOX.reply"}}
	for _, c := range []struct {
		of   *nats.Conn
		at   *nats.Subscription
		want [][2]string
	}{
		{native, atNative, append(all[:4:4], all[1])},   // and a topic from Outbound
		{inbound, atInbound, append(all[:2:2], all...)}, // queue and topic of native clients
		{outbound, atOutbound, all},
		{store, atStore, all},
	} {
		var got [][2]string
		for range c.want {
			got = append(got, next(t, c.at))
		}
		require.Equal(t, c.want, got)
		require.NoError(t, c.of.Publish("end", nil)) // which comes after all that was routed before
		require.Equal(t, [2]string{"end", ""}, next(t, c.at))
	}
}

func TestInterestIsThatOfNativeClientsAlone(t *testing.T) {
	s := startServer(t)
	everything(t, connect(t, s, embed.Inbound))
	require.False(t, s.Interest(embed.Outbound, "topic.a"))
	native := connect(t, s, embed.Users)
	require.False(t, s.Interest(embed.Outbound, "topic.a"))
	for subscribed, subjects := range map[string]map[string]bool{
		"topic.a":   {"topic.a": true, "topic.a.b": false, "topic.b": false},
		"topic.*.b": {"topic.a.b": true, "topic.a": false},
		"*.a":       {"topic.a": true, "topic.b": false},
		">":         {"topic.a": true},
		"queue.a":   {"topic.a": false},
	} {
		sub, err := native.QueueSubscribeSync(subscribed, "group")
		require.NoError(t, err)
		require.NoError(t, native.Flush())
		for subject, want := range subjects {
			require.Equal(t, want, s.Interest(embed.Outbound, subject), "%s for %s", subscribed, subject)
		}
		require.NoError(t, sub.Unsubscribe())
		require.NoError(t, native.Flush())
		require.False(t, s.Interest(embed.Outbound, "topic.a"))
	}
}

// Native clients cannot log in to any account but theirs.
func TestTheOtherAccountsAreClosed(t *testing.T) {
	s := startServer(t)
	for _, a := range []embed.Account{embed.Store, embed.Users, embed.Inbound, embed.Outbound} {
		for _, password := range []string{"", string(a), "x"} {
			_, err := nats.Connect("nats://"+s.Addr().String(), nats.UserInfo(string(a), password))
			require.ErrorIs(t, err, nats.ErrAuthorization, a)
		}
	}
}

// What our door for native clients leans on: it hears when one of their connections ends, knows
// which are there, and may join them as a leaf node.
func TestEndsOfConnectionsAreTold(t *testing.T) {
	s := startServer(t)
	told, err := connect(t, s, embed.Inbound).SubscribeSync("$SYS.ACCOUNT.USERS.DISCONNECT")
	require.NoError(t, err)
	require.NoError(t, told.SetPendingLimits(-1, -1))
	native, err := nats.Connect("nats://" + s.Addr().String())
	require.NoError(t, err)
	id, err := native.GetClientID()
	require.NoError(t, err)
	require.True(t, s.Connected(id))
	hidden := everything(t, native)
	require.NoError(t, connect(t, s, embed.Inbound).Flush())
	other, err := nats.Connect("nats://" + s.Addr().String())
	require.NoError(t, err)
	otherID, err := other.GetClientID()
	require.NoError(t, err)
	other.Close()
	m, err := told.NextMsg(patience)
	require.NoError(t, err)
	var event struct {
		Client struct {
			ID uint64 `json:"id"`
		} `json:"client"`
	}
	require.NoError(t, json.Unmarshal(m.Data, &event))
	require.Equal(t, otherID, event.Client.ID)
	require.Eventually(t, func() bool { return !s.Connected(otherID) }, patience, time.Millisecond)
	_, err = hidden.NextMsg(10 * time.Millisecond)
	require.ErrorIs(t, err, nats.ErrTimeout, "native clients do not hear of each other")
	native.Close()
}

func TestLeafNodesNeedThePassword(t *testing.T) {
	s := startServer(t)
	addr, user, password, err := s.Leaf()
	require.NoError(t, err)
	for _, c := range []struct{ user, password, want string }{{user, "x", "-ERR"}, {"", "", "-ERR"}, {"anonymous", "", "-ERR"}, {user, password, "INFO"}} {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		in := bufio.NewReader(conn)
		_, err = in.ReadString('\n')
		require.NoError(t, err)
		_, err = fmt.Fprintf(conn, "CONNECT {\"user\":%q,\"pass\":%q}\r\n", c.user, c.password)
		require.NoError(t, err)
		line, err := in.ReadString('\n')
		require.NoError(t, err)
		require.Contains(t, line, c.want, c.user)
		require.NoError(t, conn.Close())
	}
}

// Requests to JetStream are for our door alone: the server answers none of native clients, also not
// after its storage was started again.
func TestTheServerAnswersNoJetStreamRequests(t *testing.T) {
	s := startServer(t)
	native := connect(t, s, embed.Users)
	silent := func() {
		for _, subject := range []string{"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.CREATE.X", "$JS.API.CONSUMER.INFO.QUEUES.w"} {
			_, err := native.Request(subject, nil, patience)
			require.ErrorIs(t, err, nats.ErrNoResponders, subject)
		}
	}
	silent()
	require.NoError(t, s.Revive())
	silent()
}

// Before somebody is there to answer them native clients are refused, and not told that there is nobody.
func TestNobodyConnectsBeforeListen(t *testing.T) {
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := probe.Addr().String()
	s, err := embed.Start(t.Context(), embed.Config{Name: "n1", Dir: t.TempDir(), Address: address, MaxPayload: 1 << 20, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	_, err = s.Listen()
	require.ErrorContains(t, err, "cannot listen on "+address)
	require.NoError(t, probe.Close())
	_, err = nats.Connect("nats://" + address)
	require.ErrorIs(t, err, nats.ErrNoServers)
	_, err = s.Listen()
	require.NoError(t, err)
	nc, err := nats.Connect("nats://" + address)
	require.NoError(t, err)
	nc.Close()
}
