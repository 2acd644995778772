package nats_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/tests/ports"
)

// clustered lays the accounts out as the embedded server does in a cluster.
func clustered(name string) string {
	s := strings.NewReplacer(
		`exports: [ { stream: "queue.>", accounts: [ INBOUND ] }, { stream: "topic.>", accounts: [ INBOUND ] }, { stream: "$JS.ACK.QUEUES.>", accounts: [ INBOUND ] }, { stream: "$JS.API.CONSUMER.MSG.NEXT.QUEUES.>", accounts: [ INBOUND ] } ]`,
		`mappings: { "queue.>": "sluice.N.queue.>", "$JS.ACK.QUEUES.>": "sluice.N.$JS.ACK.QUEUES.>", "$JS.API.CONSUMER.MSG.NEXT.QUEUES.>": "sluice.N.$JS.API.CONSUMER.MSG.NEXT.QUEUES.>" }
    exports: [ { stream: "sluice.N.queue.>", accounts: [ INBOUND ] }, { stream: "sluice.N.$JS.>", accounts: [ INBOUND ] } ]`,
		`to: "$JS.API.>" } ]`, `to: "$JS.API.>" }, { service: { account: INBOUND, subject: "sluice.N.topic.>" }, to: "topic.>" } ]`,
		`exports: []`, `exports: [ { service: "sluice.N.topic.>", response: stream, accounts: [ USERS ] } ]`,
		`{ stream: { account: USERS, subject: "queue.>" } }, { stream: { account: USERS, subject: "topic.>" } }, { stream: { account: USERS, subject: "$JS.ACK.QUEUES.>" } }, { stream: { account: USERS, subject: "$JS.API.CONSUMER.MSG.NEXT.QUEUES.>" } }`,
		`{ stream: { account: USERS, subject: "sluice.N.queue.>" } }, { stream: { account: USERS, subject: "sluice.N.$JS.>" } }`,
	).Replace(accounts)
	return strings.ReplaceAll(s, "sluice.N.", "sluice."+name+".")
}

// servers are joined by routes.
func servers(t *testing.T, n int) []*server.Server {
	t.Helper()
	all := started(t, n)
	for _, s := range all {
		require.Eventually(t, func() bool {
			z, err := s.Routez(nil)
			require.NoError(t, err)
			others := map[string]bool{}
			for _, r := range z.Routes {
				others[r.RemoteID] = true
			}
			return len(others) == n-1
		}, patience, time.Millisecond)
	}
	return all
}

// started are servers of which each has the port that the others know.
func started(t *testing.T, n int) (all []*server.Server) {
	t.Helper()
	taken := ports.Of(t, n)
	var routes []*url.URL
	for _, at := range taken.Addresses() {
		routes = append(routes, &url.URL{Scheme: "nats-route", Host: at})
	}
	for i := range n {
		o := &server.Options{
			ServerName: fmt.Sprintf("n%d", i+1), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, MaxPayload: 1 << 20, NoFastProducerStall: true,
			JetStream: true, StoreDir: t.TempDir(),
			Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: taken.Ports[i]}, Routes: routes,
		}
		require.NoError(t, o.ProcessConfigString(clustered(o.ServerName)))
		s, err := server.NewServer(o)
		require.NoError(t, err)
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		require.True(t, s.ReadyForConnections(patience))
		all = append(all, s)
	}
	return all
}

// street is a house on each server, each with a broker of its own, as if no link carried anything between them.
func street(t *testing.T, all []*server.Server, dir string) (houses []*house) {
	t.Helper()
	for i, s := range all {
		name := fmt.Sprintf("n%d", i+1)
		houses = append(houses, newHouse(t, options{node: name, server: s, book: filepath.Join(dir, name)}))
	}
	return houses
}

// acquainted waits until each server knows what native clients of all others listen to, in both accounts
// from which topic messages reach them.
func acquainted(t *testing.T, houses []*house) {
	t.Helper()
	for _, at := range houses {
		native := at.connect()
		for _, subject := range []string{"ready", "topic.ready"} {
			sub := listen(t, native, subject)
			missing := map[string]*natsgo.Conn{}
			for _, from := range houses {
				nc := from.connect()
				if subject == "topic.ready" {
					nc = from.connect(natsgo.UserInfo("outbound", "x"))
				}
				missing[from.server.Name()] = nc
			}
			require.Eventually(t, func() bool {
				for name, nc := range missing {
					require.NoError(t, nc.Publish(subject, []byte(name)))
				}
				for m, err := sub.NextMsg(10 * time.Millisecond); err == nil; m, err = sub.NextMsg(time.Millisecond) {
					delete(missing, string(m.Data))
				}
				return len(missing) == 0
			}, patience, time.Millisecond)
		}
		native.Close()
	}
}

// empty checks that nothing more comes.
func empty(t *testing.T, subs ...*natsgo.Subscription) {
	t.Helper()
	for _, s := range subs {
		_, err := s.NextMsg(30 * time.Millisecond)
		require.ErrorIs(t, err, natsgo.ErrTimeout)
	}
}

// What is sent to a topic anywhere reaches native clients of all nodes and STOMP clients of its own node once; what other
// nodes' STOMP clients hear is carried by the brokers. A PubAck comes once, and messages keep their order.
func TestClusterTopicsAndQueuesAreHandledOnce(t *testing.T) {
	t.Parallel()
	houses := street(t, servers(t, 3), t.TempDir())
	var natives []*natsgo.Subscription
	var stomp []*reader
	for _, h := range houses {
		natives = append(natives, listen(t, h.connect(), "topic.site.*"))
		stomp = append(stomp, h.subscribe(h.session(), topic("site.>")))
	}
	acquainted(t, houses)
	const n = 30
	for i, h := range houses {
		js, s := h.jetStream(), h.session()
		acks := listen(t, js.Conn(), "_INBOX.acks")
		for j := range n {
			body := fmt.Appendf(nil, "native %d", j)
			require.NoError(t, js.Conn().PublishMsg(&natsgo.Msg{Subject: "topic.site.a", Reply: "_INBOX.acks", Header: natsgo.Header{"Nats-Expected-Stream": {"TOPICS"}}, Data: body}))
			_, err := js.Publish(ctx(t), "queue.q", body)
			require.NoError(t, err)
			require.Contains(t, string(hear(t, acks).Data), `"stream":"TOPICS"`)
		}
		for j, m := range stomp[i].next(n) {
			require.Equal(t, fmt.Sprintf("native %d", j), string(m.Body))
		}
		heard := func(who string) { // by each, in order; what different senders say may come in any
			t.Helper()
			for _, sub := range natives {
				for j := range n {
					require.Equal(t, fmt.Sprintf("%s %d", who, j), string(hear(t, sub).Data))
				}
			}
		}
		heard("native")
		for j := range n {
			require.NoError(t, h.send(s, &gateway.Message{Destination: topic("site.b"), Body: fmt.Appendf(nil, "stomp %d", j)}))
		}
		stomp[i].next(n)
		heard("stomp")
		h.settled("q", n, 0)
		empty(t, acks)
	}
	empty(t, natives...)
	for i, h := range houses {
		require.Zero(t, stomp[i].sub.Next(make([]gateway.Delivery, 1), 1))
		require.EqualValues(t, 2*n, h.door.Stats().Received)
		h.settled("q", n, 0)
	}
}

// A worker is served by the node that it is connected to. Numbers of connections are each server's own: what ends on
// one node takes nothing from workers of another, and whose an inbox is says the server of the client.
func TestClusterWorkersBelongToTheirNode(t *testing.T) {
	t.Parallel()
	houses := street(t, servers(t, 3), t.TempDir())
	a, b := houses[0], houses[1]
	worker := a.connect()
	id, err := worker.GetClientID()
	require.NoError(t, err)
	js, err := jetstream.New(worker)
	require.NoError(t, err)
	a.fill("q", 5)
	got := fetch(t, a.consumer(js, "w", "q"), 5)
	ended := 0
	for ended < 5 { // connections of all numbers up to the worker's, and beyond, end on the other node
		nc, err := natsgo.Connect("nats://in-process", natsgo.InProcessServer(b.server))
		require.NoError(t, err)
		n, err := nc.GetClientID()
		require.NoError(t, err)
		nc.Close()
		if n >= id {
			ended++
		}
	}
	listen(t, b.connect(), ">") // hears all inboxes, of whatever node
	_, err = js.Consumer(ctx(t), "QUEUES", "w")
	require.NoError(t, err)
	for _, m := range got {
		require.NoError(t, m.DoubleAck(ctx(t)))
	}
	a.fill("q", 1)
	require.NoError(t, fetch(t, a.consumer(js, "w", "q"), 1)[0].Nak())
	held := fetch(t, a.consumer(js, "w", "q"), 1)[0]
	require.EqualValues(t, 2, deliveries(t, held))
	require.Zero(t, b.door.Stats().Workers)
	// Who asks another node's door is not served there.
	inbox := listen(t, worker, "_INBOX.elsewhere.x")
	b.consumer(b.jetStream(), "w", "q")
	b.fill("q", 1)
	require.NoError(t, worker.PublishRequest("sluice.n2.$JS.API.CONSUMER.MSG.NEXT.QUEUES.w", "_INBOX.elsewhere.x", nil))
	empty(t, inbox)
	b.settled("q", 1, 0)
	worker.Close()
	a.settled("q", 1, 0)
}

// STOMP answers on any node to what a native client of another node asked, and the answer comes once.
func TestClusterAnswersFindTheirInbox(t *testing.T) {
	t.Parallel()
	houses := street(t, servers(t, 3), t.TempDir())
	a := houses[0]
	r := a.subscribe(a.session(), topic("svc"))
	nc := a.connect()
	answers := listen(t, nc, "_INBOX.answers")
	require.NoError(t, nc.PublishRequest("topic.svc", "_INBOX.answers", nil))
	to := destination(t, replyTo(t, r.next(1)[0]))
	sent := 0
	for _, h := range houses {
		s := h.session()
		require.Eventually(t, func() bool { // as soon as the doors know one another; what was slow comes before the last one
			sent++
			last := strconv.Itoa(sent)
			require.NoError(t, h.send(s, &gateway.Message{Destination: to, Body: []byte(last)}))
			m, err := answers.NextMsg(100 * time.Millisecond)
			for err == nil && string(m.Data) != last {
				m, err = answers.NextMsg(100 * time.Millisecond)
			}
			return err == nil
		}, patience, time.Millisecond)
		empty(t, answers)
	}
}

// Consumers are known on all nodes, whoever came late, and the last change counts.
func TestClusterConsumersAreKnownEverywhere(t *testing.T) {
	t.Parallel()
	all := servers(t, 3)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "n1"), []byte(`[{"created":"2026-01-02T03:04:05Z","config":{"name":"old","durable_name":"old","filter_subject":"queue.q"}}]`), 0o600))
	houses := street(t, all[:2], dir)
	durable := func(h *house, deliver int) jetstream.Consumer {
		return h.consumer(h.jetStream(), "w", "q", func(c *jetstream.ConsumerConfig) { c.MaxDeliver = deliver })
	}
	settings := func(h *house, want int) {
		t.Helper()
		js := h.jetStream()
		require.Eventually(t, func() bool {
			c, err := js.Consumer(ctx(t), "QUEUES", "w")
			if want == 0 {
				return err != nil
			}
			return err == nil && c.CachedInfo().Config.MaxDeliver == want
		}, patience, time.Millisecond)
	}
	durable(houses[0], 3)
	settings(houses[1], 3)
	durable(houses[1], 4)
	settings(houses[0], 4)
	late := newHouse(t, options{node: "n3", server: all[2], book: filepath.Join(t.TempDir(), "late")})
	settings(late, 4)
	require.Eventually(t, func() bool { _, ok := late.infos()["old"]; return ok }, patience, 10*time.Millisecond, "it was made before there was a cluster")
	require.NoError(t, late.jetStream().DeleteConsumer(ctx(t), "QUEUES", "w"))
	settings(houses[0], 0)
	settings(houses[1], 0)
	durable(houses[1], 5)
	settings(late, 5)
	// One that goes when nobody uses it is kept everywhere as long as somebody uses it somewhere.
	short, err := houses[0].jetStream().CreateConsumer(ctx(t), "QUEUES", jetstream.ConsumerConfig{Name: "short", FilterSubject: "queue.q", InactiveThreshold: 10 * time.Millisecond})
	require.NoError(t, err)
	using, err := short.Consume(func(jetstream.Msg) {})
	require.NoError(t, err)
	there := func(h *house) bool { _, ok := h.infos()["short"]; return ok }
	require.Eventually(t, func() bool { return there(late) }, patience, time.Millisecond)
	for began := time.Now(); time.Since(began) < 4200*time.Millisecond; time.Sleep(100 * time.Millisecond) { // longer than it lives unused
		require.True(t, there(late) && there(houses[0]) && there(houses[1]))
	}
	using.Stop()
	for _, h := range append(houses, late) {
		require.Eventually(t, func() bool { return !there(h) }, patience, 10*time.Millisecond)
	}
}

// Each server that a trace passes reports, and numbers connections for itself: only the word of the door's own counts.
func TestReportsOfOtherServersAreNotHeeded(t *testing.T) {
	h := newHouse(t, options{})
	nc := h.connect()
	h.consumer(h.jetStream(), "w", "a")
	listen(t, nc, "_INBOX.a.b")
	id, err := nc.GetClientID()
	require.NoError(t, err)
	report := func(server string) []byte {
		return fmt.Appendf(nil, `{"server":{"id":%q},"events":[{"type":"eg","kind":0,"cid":%d,"sub":"_INBOX.a.b"}]}`, server, id)
	}
	require.True(t, h.door.Traced("w", "_INBOX.a.b", report("another")))
	require.Zero(t, h.infos()["w"])
	require.False(t, h.door.Traced("w", "_INBOX.a.b", report(h.server.ID())))
	require.Equal(t, 1, h.infos()["w"])
}
