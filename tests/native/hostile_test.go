package native_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/nats"
)

func work() may {
	all := map[gateway.Action][]string{gateway.Write: {"queue://a", "topic://x"}, gateway.Read: {"queue://a", "topic://x"}}
	return may{"alice": all, "bob": all}
}

// Who may do nothing hears nothing, whatever it listens to, while others work with queues, topics, streams and requests.
func TestAStrangerHearsNothing(t *testing.T) {
	g := newGuarded(t, guardedOptions{rules: allow(work())})
	eve := g.as("eve")
	var ears []*natsgo.Subscription
	for _, subject := range []string{">", "*", "*.*", "_INBOX.>", "$SYS.>", "$JS.>", "$JS.ACK.>", "$JS.API.>", "$MQTT.>", "$KV.>", "sluice.>", "sluice.n1.>", "queue.>", "topic.>", "_R_.>", "_GR_.>", "queue.a", "topic.x"} {
		ears = append(ears, listen(t, eve, subject))
	}
	ears = append(ears, func() *natsgo.Subscription {
		sub, err := eve.QueueSubscribeSync(">", "workers")
		require.NoError(t, err)
		require.NoError(t, eve.Flush())
		return sub
	}())
	alice, bob := g.js("alice"), g.js("bob")
	for range 5 {
		_, err := alice.Publish(ctx(t), "queue.a", []byte("secret"))
		require.NoError(t, err)
		require.NoError(t, alice.Conn().Publish("topic.x", []byte("secret")))
	}
	w, err := bob.CreateOrUpdateConsumer(ctx(t), "QUEUES", jetstream.ConsumerConfig{Durable: "w", FilterSubject: "queue.a"})
	require.NoError(t, err)
	for _, m := range fetch(t, w, 5) {
		require.NoError(t, m.DoubleAck(ctx(t)))
	}
	kv, err := bob.CreateKeyValue(ctx(t), jetstream.KeyValueConfig{Bucket: "b"})
	require.NoError(t, err)
	_, err = kv.PutString(ctx(t), "k", "secret")
	require.NoError(t, err)
	require.NoError(t, send(g.other("alice"), topic("x"), "secret"))
	g.as("alice").Close()
	empty(t, ears...)
	_, err = eve.Request("queue.a", nil, patience) // which is answered, to her alone
	require.NoError(t, err)
	require.Equal(t, "queue.a", hear(t, ears[0]).Subject)
}

// With all that a worker was told a stranger can neither take, settle nor give back what the worker has, nor touch its consumer.
func TestAStrangerCannotTouchQueues(t *testing.T) {
	g := newGuarded(t, guardedOptions{rules: allow(work())})
	bob := g.js("bob")
	for range 3 {
		_, err := bob.Publish(ctx(t), "queue.a", []byte("work"))
		require.NoError(t, err)
	}
	w, err := bob.CreateOrUpdateConsumer(ctx(t), "QUEUES", jetstream.ConsumerConfig{Durable: "w", FilterSubject: "queue.a", AckWait: time.Minute})
	require.NoError(t, err)
	m := fetch(t, w, 1)[0]
	stolen := nats.TokenOf(gateway.Principal{Name: "bob"})
	eve := g.as("eve")
	for _, word := range []string{"+ACK", "-NAK", "+TERM"} {
		for _, prefix := range []string{"", "sluice.n1." + stolen + ".", "sluice.n1.anonymous."} {
			_, err := eve.Request(prefix+m.Reply(), []byte(word), 300*time.Millisecond)
			require.ErrorIs(t, err, natsgo.ErrNoResponders, prefix+word)
		}
	}
	for _, verb := range []string{"CONSUMER.MSG.NEXT.QUEUES.w", "CONSUMER.DELETE.QUEUES.w", "CONSUMER.INFO.QUEUES.w", "CONSUMER.CREATE.QUEUES.w"} {
		for _, prefix := range []string{"$JS.API.", "sluice.n1." + stolen + ".api.", "sluice.n1." + stolen + ".$JS.API.", "$JS.ASKED.", "$JS.PARTED."} {
			answer, err := eve.Request(prefix+verb, []byte(`{"batch":5,"no_wait":true}`), 300*time.Millisecond)
			if err == nil && len(answer.Data) == 0 {
				require.NotEmpty(t, answer.Header.Get("Status"), "%s%s gave a message", prefix, verb)
			} else if err == nil {
				require.Contains(t, string(answer.Data), `"error"`, prefix+verb)
			}
		}
	}
	id, err := bob.Conn().GetClientID()
	require.NoError(t, err)
	require.NoError(t, eve.Publish("$JS.PARTED."+itoa(id), nil))
	require.NoError(t, eve.Publish("sluice.n1."+stolen+".$JS.PARTED."+itoa(id), nil))
	require.NoError(t, eve.Publish("sluice.doors."+stolen+".changes", []byte(`[{"config":{"name":"w"},"gone":true,"changed":99999999999999999}]`)))
	require.NoError(t, eve.Flush())
	info, err := w.Info(ctx(t))
	require.NoError(t, err)
	require.Equal(t, 1, info.NumAckPending)
	require.NoError(t, m.DoubleAck(ctx(t)), "it is still bob's")
	require.Len(t, fetch(t, w, 2), 2)
	_, err = bob.Publish(ctx(t), "queue.a", []byte("work"))
	require.NoError(t, err)
	answer, err := eve.Request("$JS.API.CONSUMER.MSG.NEXT.QUEUES.a", []byte(`{"batch":1,"no_wait":true}`), patience)
	require.NoError(t, err)
	require.Empty(t, answer.Data)
	require.Equal(t, "409", answer.Header.Get("Status"), answer.Header)
}

// A user's streams and buckets are not there for others.
func TestStreamsOfOthersAreNotThere(t *testing.T) {
	g := newGuarded(t, guardedOptions{})
	alice, eve := g.js("alice"), g.js("eve")
	makeStream(t, alice, jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
	publish(t, alice, "ORDERS", "orders.x", 3)
	_, err := eve.Stream(ctx(t), "ORDERS")
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
	require.ErrorIs(t, eve.DeleteStream(ctx(t), "ORDERS"), jetstream.ErrStreamNotFound)
	_, err = eve.Publish(ctx(t), "orders.x", nil)
	require.Error(t, err, "nobody takes it")
	names := eve.StreamNames(ctx(t))
	var all []string
	for name := range names.Name() {
		all = append(all, name)
	}
	require.NoError(t, names.Err())
	require.Equal(t, []string{"QUEUES"}, all)
	// The same names are free for her, and hold what is hers.
	makeStream(t, eve, jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
	publish(t, eve, "ORDERS", "orders.x", 1)
	for js, n := range map[jetstream.JetStream]uint64{alice: 3, eve: 1} {
		s, err := js.Stream(ctx(t), "ORDERS")
		require.NoError(t, err)
		require.Equal(t, n, s.CachedInfo().State.Msgs)
	}
	for _, external := range []jetstream.StreamSource{
		{Name: "ORDERS", External: &jetstream.ExternalStream{APIPrefix: "sluice.n1." + nats.TokenOf(gateway.Principal{Name: "alice"}) + ".api"}},
		{Name: "ORDERS", Domain: "n1"},
	} {
		_, err = eve.CreateStream(ctx(t), jetstream.StreamConfig{Name: "COPY", Sources: []*jetstream.StreamSource{&external}})
		require.ErrorContains(t, err, "other accounts")
	}
}

// Who logs in twice on one connection is whom it said last, and hears nothing of the first any more.
func TestTwoLoginsOnOneConnection(t *testing.T) {
	g := newGuarded(t, guardedOptions{})
	conn, err := net.Dial("tcp", g.gate.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	in := bufio.NewReader(conn)
	say := func(what, want string) {
		t.Helper()
		_, err := conn.Write([]byte(what + "PING\r\n"))
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
		for line := ""; !strings.HasPrefix(line, want); {
			line, err = in.ReadString('\n')
			require.NoError(t, err, what)
			require.NotContains(t, line, "secret")
		}
	}
	before := g.sessions()
	_, err = in.ReadString('\n') // INFO
	require.NoError(t, err)
	say("CONNECT {\"user\":\"alice\",\"pass\":\"of alice\"}\r\nSUB > 1\r\n", "PONG")
	say("CONNECT {\"user\":\"eve\",\"pass\":\"of eve\"}\r\nSUB > 2\r\n", "PONG")
	require.NoError(t, g.as("alice").Publish("anything", []byte("secret")))
	require.NoError(t, g.as("alice").Publish("topic.x", []byte("what all may read")))
	say("", "MSG topic.x 2")
	require.Eventually(t, func() bool { return g.sessions() == before+5 }, patience, time.Millisecond, "two doors, alice twice, eve once")
	_, err = conn.Write([]byte("CONNECT {\"user\":\"alice\",\"pass\":\"x\"}\r\n"))
	require.NoError(t, err)
	for err == nil {
		_, err = in.ReadString('\n')
	}
	require.ErrorIs(t, err, io.EOF)
	require.Eventually(t, func() bool { return g.sessions() == before+4 }, patience, time.Millisecond)
}

// A queue that one may not read looks like one that is not there.
func TestQueuesThatOneMayNotReadAreNotThere(t *testing.T) {
	g := newGuarded(t, guardedOptions{rules: allow(work())})
	_, err := g.js("alice").Publish(ctx(t), "queue.a", nil)
	require.NoError(t, err)
	eve := g.as("eve")
	for _, verb := range []string{"CONSUMER.INFO.QUEUES.", "CONSUMER.MSG.NEXT.QUEUES.", "CONSUMER.DELETE.QUEUES."} {
		var said []string
		for _, name := range []string{"a", "nothing"} {
			m, err := eve.Request("$JS.API."+verb+name, []byte(`{"batch":1,"no_wait":true}`), time.Second)
			if err != nil {
				said = append(said, err.Error())
				continue
			}
			said = append(said, string(m.Data)+m.Header.Get("Status")+strings.TrimSuffix(m.Header.Get("Description"), name))
		}
		require.Equal(t, said[1], said[0], verb)
	}
}
