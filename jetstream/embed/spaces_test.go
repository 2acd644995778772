package embed_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/jetstream/embed"
)

// byName lets everybody in whose password is that of the name, each into a space of that name.
type byName struct {
	*embed.Server
	mu   sync.Mutex
	seen []embed.Newcomer
	wait chan struct{} // for the user "slow"
}

func (b *byName) judge(ctx context.Context, n embed.Newcomer) (embed.Place, error) {
	b.mu.Lock()
	b.seen = append(b.seen, n)
	b.mu.Unlock()
	if n.User == "slow" {
		select {
		case <-b.wait:
		case <-ctx.Done():
			return embed.Place{}, ctx.Err()
		}
	}
	if n.Password != "of "+n.User {
		return embed.Place{}, errors.New("wrong")
	}
	space, err := b.Space(n.User)
	return embed.Place{Space: space, Name: n.User}, err
}

func (b *byName) last() embed.Newcomer {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seen[len(b.seen)-1]
}

// guarded starts a server that asks who clients are.
func guarded(t *testing.T, change func(*embed.Config)) (*node, *byName) {
	cfg := embed.Config{
		Name: "n1", Dir: t.TempDir(), Address: "127.0.0.1:0", MaxPayload: 1 << 20, Logger: slog.New(slog.DiscardHandler),
		Guarded: true, Streams: embed.Streams{Storage: 1 << 30, Memory: 64 << 20},
	}
	if change != nil {
		change(&cfg)
	}
	s, err := embed.Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	b := &byName{Server: s, wait: make(chan struct{})}
	s.Guard(b.judge)
	addr, err := s.Listen()
	require.NoError(t, err)
	return &node{s, addr}, b
}

func login(t *testing.T, n *node, user string) *nats.Conn {
	nc, err := nats.Connect("nats://"+n.Addr().String(), nats.UserInfo(user, "of "+user))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// Users hear nothing of one another: each has subjects of its own, and the node hears them apart.
func TestUsersAreKeptApart(t *testing.T) {
	s, _ := guarded(t, nil)
	alice, bob := login(t, s, "alice"), login(t, s, "bob")
	inbound, outbound := connect(t, s, embed.Inbound), connect(t, s, embed.Outbound)
	atAlice, atBob, atStore := everything(t, alice), everything(t, bob), everything(t, connect(t, s, embed.Store))
	own := map[*nats.Conn]string{alice: "sluice.n1.alice.", bob: "sluice.n1.bob."}
	heard := map[*nats.Conn]map[string]*nats.Subscription{}
	for nc, prefix := range own {
		heard[nc] = map[string]*nats.Subscription{}
		for _, subject := range []string{"queue.>", "topic.>", "$JS.>"} {
			sub, err := inbound.SubscribeSync(prefix + subject)
			require.NoError(t, err)
			heard[nc][subject] = sub
		}
	}
	require.NoError(t, inbound.Flush())
	subjects := []string{"queue.a", "topic.a", "$JS.ACK.QUEUES.w.1", "$JS.API.CONSUMER.MSG.NEXT.QUEUES.w", "other", "_INBOX.a", "sluice.n1.bob.queue.a", "sluice.n1.alice.topic.a"}
	for _, subject := range subjects {
		require.NoError(t, alice.PublishRequest(subject, "_INBOX.reply", nil))
	}
	require.NoError(t, alice.Flush())
	for _, want := range subjects {
		require.Equal(t, [2]string{want, "_INBOX.reply"}, next(t, atAlice))
	}
	require.Equal(t, [2]string{"sluice.n1.alice.queue.a", "_INBOX.reply"}, next(t, heard[alice]["queue.>"]))
	require.Equal(t, [2]string{"sluice.n1.alice.topic.a", "_INBOX.reply"}, next(t, heard[alice]["topic.>"]))
	require.Equal(t, [2]string{"sluice.n1.alice.$JS.ACK.QUEUES.w.1", "_INBOX.reply"}, next(t, heard[alice]["$JS.>"]))
	require.Equal(t, [2]string{"sluice.n1.alice.$JS.API.CONSUMER.MSG.NEXT.QUEUES.w", "_INBOX.reply"}, next(t, heard[alice]["$JS.>"]))
	// What the node says to one user another does not hear.
	require.True(t, s.Interest(embed.Outbound, "sluice.n1.bob.topic.a"))
	require.NoError(t, outbound.PublishRequest("sluice.n1.bob.topic.a", "topic.answer", nil))
	require.NoError(t, outbound.Flush())
	require.Equal(t, [2]string{"topic.a", "topic.answer"}, next(t, atBob))
	require.NoError(t, bob.Publish("topic.end", nil))
	require.Equal(t, [2]string{"topic.end", ""}, next(t, atBob))
	require.Equal(t, [2]string{"sluice.n1.bob.topic.end", ""}, next(t, heard[bob]["topic.>"]))
	require.NoError(t, inbound.Flush())
	for _, sub := range []*nats.Subscription{atAlice, atBob, atStore, heard[alice]["queue.>"], heard[alice]["topic.>"], heard[alice]["$JS.>"], heard[bob]["queue.>"], heard[bob]["topic.>"]} {
		n, _, err := sub.Pending()
		require.NoError(t, err)
		require.Zero(t, n, sub.Subject)
	}
	require.NoError(t, atBob.Unsubscribe())
	require.NoError(t, bob.Flush())
	require.False(t, s.Interest(embed.Outbound, "sluice.n1.bob.topic.a"))
}

// Requests to the JetStream API come to the node with the name of the user, and nobody else answers.
func TestRequestsOfUsersComeApart(t *testing.T) {
	s, _ := guarded(t, nil)
	alice := login(t, s, "alice")
	_, err := alice.Request("$JS.API.INFO", nil, patience)
	require.ErrorIs(t, err, nats.ErrNoResponders)
	system := connect(t, s, embed.System)
	_, err = system.Subscribe("sluice.n1.*.api.>", func(m *nats.Msg) { _ = m.Respond([]byte(m.Subject)) })
	require.NoError(t, err)
	require.NoError(t, system.Flush())
	m, err := alice.Request("$JS.API.STREAM.INFO.X", nil, patience)
	require.NoError(t, err)
	require.Equal(t, "sluice.n1.alice.api.STREAM.INFO.X", string(m.Data))
	require.NoError(t, s.Revive())
	m, err = alice.Request("$JS.API.STREAM.INFO.X", nil, patience)
	require.NoError(t, err)
	require.Equal(t, "sluice.n1.alice.api.STREAM.INFO.X", string(m.Data))
}

// Who is not let in comes into no account: not those of the node, not another user's.
func TestOnlyWhoIsLetInComesIn(t *testing.T) {
	s, b := guarded(t, nil)
	for _, option := range []nats.Option{
		nats.UserInfo("alice", "x"), nats.UserInfo("", ""), nats.Token("of alice"), nats.UserInfo("SLUICE", ""), nats.UserInfo("$SYS", "x"),
		nats.UserInfo("LEAF.U_alice", ""), nats.UserInfo("INBOUND", "INBOUND"),
	} {
		_, err := nats.Connect("nats://"+s.Addr().String(), option)
		require.ErrorIs(t, err, nats.ErrAuthorization)
	}
	_, err := nats.Connect("nats://"+s.Addr().String(), nats.UserInfo("a.b", "of a.b"))
	require.ErrorIs(t, err, nats.ErrAuthorization, "a user without a space")
	nc := login(t, s, "alice")
	seen := b.last()
	require.Equal(t, "alice", seen.User)
	require.Equal(t, "nats", seen.Protocol)
	require.Equal(t, s.Addr().String(), seen.Listener)
	local, _ := nc.GetClientIP()
	require.Contains(t, seen.Remote, local.String())
	require.Contains(t, seen.Library, "go 1.")
}

// A login that takes its time keeps nobody else waiting, and what was said too early waits until the node listens.
func TestASlowLoginKeepsNobodyWaiting(t *testing.T) {
	s, b := guarded(t, nil)
	came := make(chan error, 1)
	go func() {
		nc, err := nats.Connect("nats://"+s.Addr().String(), nats.UserInfo("slow", "of slow"), nats.Timeout(patience))
		if err == nil {
			nc.Close()
		}
		came <- err
	}()
	require.Eventually(t, func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.seen) == 1 }, patience, time.Millisecond)
	login(t, s, "alice")
	select {
	case <-came:
		t.Fatal("the slow one came in before it was judged")
	default:
	}
	close(b.wait)
	require.NoError(t, <-came)
}

func TestMoreConnectionsThanThereMayBeAreRefused(t *testing.T) {
	s, _ := guarded(t, func(c *embed.Config) { c.MaxConnections = 2 })
	first := login(t, s, "alice")
	login(t, s, "bob")
	_, err := nats.Connect("nats://"+s.Addr().String(), nats.UserInfo("eve", "of eve"))
	require.ErrorIs(t, err, nats.ErrAuthorization)
	first.Close()
	require.Eventually(t, func() bool {
		nc, err := nats.Connect("nats://"+s.Addr().String(), nats.UserInfo("eve", "of eve"))
		if err == nil {
			nc.Close()
		}
		return err == nil
	}, patience, 10*time.Millisecond)
	n, err := s.Dismiss()
	require.NoError(t, err)
	require.GreaterOrEqual(t, n, 1)
}
