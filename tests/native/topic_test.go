package native_test

import (
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

type may = map[string]map[gateway.Action][]string

// Topics go from user to user as the rules say: who may not write is heard by nobody else, who may not read hears nobody else, each message comes once.
func TestTopicsBetweenUsers(t *testing.T) {
	g := newGuarded(t, guardedOptions{rules: allow(may{
		"alice": {gateway.Write: {"topic://x", "topic://y"}, gateway.Read: {"topic://x"}},
		"bob":   {gateway.Read: {"topic://x", "topic://y"}, gateway.Write: {"topic://x"}},
	})})
	alice, bob, eve := g.as("alice"), g.as("bob"), g.as("eve")
	atAlice, atBob, atEve := listen(t, alice, "topic.>"), listen(t, bob, ">"), listen(t, eve, ">")
	narrow := listen(t, bob, "topic.y")
	stomp := subscribe(t, g.other("bob"), topic("x"))

	require.NoError(t, alice.Publish("topic.y", []byte("from alice")))
	require.NoError(t, alice.Publish("topic.x", []byte("from alice")))
	require.NoError(t, alice.Flush())
	for _, want := range []string{"topic.y", "topic.x"} {
		require.Equal(t, want, hear(t, atAlice).Subject, "what a user says its own connections hear")
		m := hear(t, atBob)
		require.Equal(t, want, m.Subject)
		require.Equal(t, "from alice", string(m.Data))
	}
	require.Equal(t, "topic.y", hear(t, narrow).Subject)
	require.Equal(t, "from alice", string(stomp.next().Body))

	require.NoError(t, eve.Publish("topic.x", []byte("from eve"))) // who may not
	require.NoError(t, bob.Publish("topic.y", []byte("from bob"))) // nor may he
	require.NoError(t, bob.Publish("topic.x", []byte("from bob")))
	require.Equal(t, "from bob", string(hear(t, atAlice).Data))
	require.Equal(t, "from bob", string(stomp.next().Body))
	require.NoError(t, send(g.other("bob"), topic("x"), "from a STOMP client"))
	require.Equal(t, "from a STOMP client", string(hear(t, atAlice).Data))
	for _, want := range []string{"from bob", "from bob", "from a STOMP client"} {
		require.Equal(t, want, string(hear(t, atBob).Data))
	}
	require.Equal(t, "from eve", string(hear(t, atEve).Data))
	require.Equal(t, "from bob", string(hear(t, narrow).Data))
	empty(t, atAlice, atBob, atEve, narrow)
	require.Eventually(t, func() bool { return g.gate.Stats().Refused == 2 }, patience, time.Millisecond)
}

// Request and reply goes between users, and between them and STOMP clients, although nobody hears another's inbox.
func TestUsersAnswerOneAnother(t *testing.T) {
	all := map[gateway.Action][]string{gateway.Write: {"topic://svc"}, gateway.Read: {"topic://svc"}}
	g := newGuarded(t, guardedOptions{rules: allow(may{"alice": all, "bob": all})})
	alice, bob := g.as("alice"), g.as("bob")
	overheard := listen(t, bob, "_INBOX.>")
	_, err := bob.Subscribe("topic.svc", func(m *natsgo.Msg) {
		if m.Reply != "" {
			_ = m.Respond(append([]byte("bob answers "), m.Data...))
		}
	})
	require.NoError(t, err)
	require.NoError(t, bob.Flush())
	for _, text := range []string{"one", "two"} {
		m, err := alice.Request("topic.svc", []byte(text), patience)
		require.NoError(t, err)
		require.Equal(t, "bob answers "+text, string(m.Data))
	}
	empty(t, overheard)
	bobID, err := bob.GetClientID()
	require.NoError(t, err)
	// A STOMP client answers, too.
	bob.Close()
	require.Eventually(t, func() bool { return !g.server.Connected(bobID) }, patience, time.Millisecond)
	s := g.other("bob")
	r := subscribe(t, s, topic("svc"))
	go func() {
		m := r.next()
		_ = send(s, answerTo(t, m), "STOMP answers")
	}()
	m, err := alice.Request("topic.svc", nil, patience)
	require.NoError(t, err)
	require.Equal(t, "STOMP answers", string(m.Data))
	// Nobody reads what is answered to others.
	require.NoError(t, alice.PublishRequest("topic.svc", "_INBOX.x", nil))
	private := answerTo(t, r.next())
	_, err = s.Subscribe(gateway.SubscribeOptions{Destination: private, Wake: func() {}})
	require.Equal(t, gateway.Denied, gateway.KindOf(err))
	_, err = s.Subscribe(gateway.SubscribeOptions{Destination: topic("_reply.>"), Wake: func() {}})
	require.Equal(t, gateway.Denied, gateway.KindOf(err))
}

// mine is a temporary queue of a session, and how messages keep it as a reply-to.
func mine(s gateway.Session) (d gateway.Destination, replyTo gateway.Header) {
	d = gateway.Destination{Kind: gateway.KindTempQueue, Name: s.ID() + ":mine"}
	return d, gateway.Header{{Name: "reply-to", Value: "/remote-temp-queue/" + d.Name}}
}

// asked sends a request and waits for the outcome.
func asked(t testing.TB, s gateway.Session, replyTo gateway.Header) {
	t.Helper()
	done := make(outcome, 1)
	s.Send(&gateway.Message{Destination: topic("svc"), Header: replyTo}, done, 0)
	require.NoError(t, <-done)
}

// answersOf are rules by which all of these may ask and answer, but eve to temporary queues.
func answersOf(p gateway.Principal, a gateway.Action, d gateway.Destination) error {
	if d.Kind == gateway.KindTempQueue && a == gateway.Write && p.Name == "eve" {
		return gateway.Errorf(gateway.Denied, "User eve is not authorized to write to: %s", d)
	}
	return nil
}

// A user's service answers to the temporary queue of a STOMP client, by the rules; the subject that it was told leads nowhere for any other user.
func TestUsersAnswerToTemporaryQueues(t *testing.T) {
	g := newGuarded(t, guardedOptions{rules: answersOf})
	asks := g.other("alice")
	d, replyTo := mine(asks)
	answers := subscribe(t, asks, d)
	bob, eve, alice := g.js("bob"), g.js("eve"), g.js("alice")
	atBob, atEve, overheard := listen(t, bob.Conn(), "topic.svc"), listen(t, eve.Conn(), "topic.svc"), listen(t, alice.Conn(), ">")
	asked(t, asks, replyTo)
	to, toEve := hear(t, atBob).Reply, hear(t, atEve).Reply
	require.Equal(t, "topic.svc", hear(t, overheard).Subject)
	require.NotEqual(t, to, toEve)
	_, err := bob.Publish(ctx(t), to, []byte("bob answers"))
	require.NoError(t, err)
	require.Equal(t, "bob answers", string(answers.next().Body))
	_, err = eve.Publish(ctx(t), toEve, nil)
	require.ErrorContains(t, err, "User eve is not authorized to write to: "+d.String())
	for _, of := range []struct {
		js jetstream.JetStream
		to string
	}{{eve, to}, {bob, toEve}, {alice, to}} {
		_, err = of.js.Publish(ctx(t), of.to, nil)
		require.ErrorContains(t, err, "nobody awaits an answer on this subject")
	}
	m, err := overheard.NextMsg(50 * time.Millisecond)
	for ; err == nil; m, err = overheard.NextMsg(50 * time.Millisecond) {
		require.NotContains(t, string(m.Data), "bob answers")
	}
}

// When rules change what users hear changes with them, without their connecting again.
func TestRulesThatChange(t *testing.T) {
	table := may{"alice": {gateway.Write: {"topic://x"}}, "bob": {}}
	rules := allow(table)
	g := newGuarded(t, guardedOptions{rules: rules})
	alice, bob := g.as("alice"), g.as("bob")
	at := listen(t, bob, "topic.x")
	require.NoError(t, alice.Publish("topic.x", []byte("unheard")))
	require.NoError(t, alice.Flush())
	require.Eventually(t, func() bool { return g.gate.Stats().Received == 1 && g.gate.Stats().Outstanding == 0 }, patience, time.Millisecond)
	g.people.change(func() { table["bob"] = map[gateway.Action][]string{gateway.Read: {"topic://x"}} })
	g.gate.Reauthorize()
	require.Eventually(t, func() bool {
		require.NoError(t, alice.Publish("topic.x", []byte("heard")))
		m, err := at.NextMsg(10 * time.Millisecond)
		return err == nil && string(m.Data) == "heard"
	}, patience, time.Millisecond)
}
