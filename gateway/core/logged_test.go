package core_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/gateway/policy"
)

// slowLogs are logs whose answers can be kept back.
type slowLogs struct {
	*gatewaytest.Logs
	mu      sync.Mutex
	held    bool
	working bool
	late    []func()
	batches [][]string
}

func (l *slowLogs) Append(topic string, batch []*gateway.Message, c gateway.Completion, token uint64) {
	var b []string
	for _, m := range batch {
		b = append(b, string(m.Body))
	}
	l.mu.Lock()
	l.batches = append(l.batches, b)
	l.late = append(l.late, func() { l.Logs.Append(topic, batch, c, token) })
	l.mu.Unlock()
	l.work()
}

// work answers what waits, one after another, unless it is kept back or somebody does so.
func (l *slowLogs) work() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.working {
		return
	}
	l.working = true
	for !l.held && len(l.late) > 0 {
		do := l.late[0]
		l.late = l.late[1:]
		l.mu.Unlock()
		do()
		l.mu.Lock()
	}
	l.working = false
}

// hold keeps answers back until the returned function is called.
func (l *slowLogs) hold() func() {
	l.mu.Lock()
	l.held = true
	l.mu.Unlock()
	return l.release
}

func (l *slowLogs) release() {
	l.mu.Lock()
	l.held = false
	l.mu.Unlock()
	l.work()
}

// loggedWorld has logs for the topics P.t and P.u.
type loggedWorld struct {
	*world
	logs     *slowLogs
	registry *gatewaytest.Registry
}

func newLogged(t *testing.T, change ...func(*core.Config)) *loggedWorld {
	disk := gatewaytest.NewDisk(3)
	l := &loggedWorld{registry: disk.Registry()}
	logs, err := gatewaytest.NewLogs(t.Context(), l.registry, func() int64 { return time.Now().UnixMilli() })
	require.NoError(t, err)
	l.logs = &slowLogs{Logs: logs}
	l.world = newWorldOn(t, disk, append(change, func(c *core.Config) { c.Registry, c.Logs = disk.Registry(), l.logs })...)
	t.Cleanup(l.logs.release) // before the broker waits for it
	for _, name := range []string{"P.t", "P.u"} {
		_, err := l.registry.Put(t.Context(), gateway.LogKeys+name, []byte(`{"id":"`+name[2:]+`"}`))
		require.NoError(t, err)
	}
	return l
}

// log is what a topic's log has.
func (l *loggedWorld) log(name string) (all []string) {
	page, err := l.logs.Read(context.Background(), name, gateway.LogQuery{Messages: 10_000, Bytes: 1 << 30})
	require.NoError(l, err)
	for _, m := range page.Messages {
		all = append(all, string(m.Body))
	}
	return all
}

// What is sent to a topic with a log is stored there first: nobody hears it before, and nobody is told that it is there. Then it has its offset, and all have it in
// the order of the log.
func TestWhatIsSentToATopicWithALogIsStoredThereFirst(t *testing.T) {
	w := newLogged(t)
	s := w.as("c")
	live := w.subscribe(s, topic("P.*"), 100, true)
	kept := w.lasting(w.as("d"), durably("P.t", "sub"))
	goOn := w.logs.hold()
	var o outcome
	var all []*gateway.Message
	for i, b := range numbers(0, 20) {
		m := message(topic("P.t"), b, i%2 == 0)
		all = append(all, m)
		s.Send(m, &o, uint64(i))
	}
	w.send(s, topic("P"), true, "elsewhere")
	live.none()
	kept.none()
	require.Empty(t, o.done)
	goOn()
	for _, err := range o.wait(t, 20) {
		require.NoError(t, err)
	}
	for i, m := range all {
		require.EqualValues(t, i, m.Offset)
	}
	require.Equal(t, numbers(0, 20), w.log("P.t"))
	require.Equal(t, numbers(0, 20), bodies(live.next(20)))
	require.ElementsMatch(t, numbers(0, 20), bodies(kept.next(20)), "what is persistent may be later than what is not, as in every queue")
}

// Who is told that the log has not taken a message has sent it to nobody.
func TestWhatALogDoesNotTakeNobodyHears(t *testing.T) {
	w := newLogged(t)
	s := w.as("c")
	live := w.subscribe(s, topic("P.t"), 100, true)
	kept := w.lasting(w.as("d"), durably("P.t", "sub"))
	w.send(s, queue("in"), true, "1")
	in := w.subscribe(s, queue("in"), 10, false)
	got := in.next(1)
	w.logs.Break(gateway.Errorf(gateway.Unavailable, "away"))
	var o outcome
	s.Send(message(topic("P.t"), "lost", true), &o, 0)
	s.Commit(&gateway.Transaction{Sends: []*gateway.Message{message(topic("P.t"), "lost", true), message(topic("P.t"), "too", true)}}, &o, 1)
	s.Commit(&gateway.Transaction{
		Sends: []*gateway.Message{message(topic("P.t"), "lost", true)}, Acks: []gateway.TransactionAck{{Subscription: in.Subscription, Tags: tags(got)}},
	}, &o, 2)
	for i, err := range o.wait(t, 3) {
		require.Equal(t, gateway.Unavailable, gateway.KindOf(err), i)
	}
	w.logs.Break(nil)
	w.send(s, topic("P.t"), true, "found")
	require.Equal(t, []string{"found"}, bodies(live.next(1)))
	require.Equal(t, []string{"found"}, bodies(kept.next(1)))
	require.Equal(t, []string{"found"}, w.log("P.t"))
	in.Close()
	require.Equal(t, []string{"1"}, bodies(w.subscribe(s, queue("in"), 10, false).next(1)), "nothing was settled")
}

// The messages of a transaction stand side by side in the log; what else it does it does after that.
func TestATransactionToALog(t *testing.T) {
	w := newLogged(t)
	s := w.as("c")
	w.send(s, queue("in"), true, "1")
	in := w.subscribe(s, queue("in"), 10, false)
	got := in.next(1)
	live := w.subscribe(s, topic("P.t"), 100, true)
	var o outcome
	three := func(from int) (all []*gateway.Message) {
		for _, b := range numbers(from, from+3) {
			all = append(all, message(topic("P.t"), b, true))
		}
		return all
	}
	goOn := w.logs.hold()
	s.Commit(&gateway.Transaction{Sends: three(0)}, &o, 0)
	s.Send(message(topic("P.t"), "3", true), &o, 1)
	s.Commit(&gateway.Transaction{Sends: three(4)}, &o, 2)
	require.Equal(t, [][]string{numbers(0, 3), {"3"}, numbers(4, 7)}, w.logs.batches, "none waits for the one before")
	s.Commit(&gateway.Transaction{Sends: three(7), Acks: []gateway.TransactionAck{{Subscription: in.Subscription, Tags: tags(got)}}}, &o, 3)
	s.Send(message(topic("P.t"), "10", true), &o, 4)
	require.Equal(t, 1, w.broker.Stats().InFlight, "it is not acknowledged before the log has what it became")
	goOn()
	for _, err := range o.wait(t, 5) {
		require.NoError(t, err)
	}
	require.Equal(t, numbers(0, 11), w.log("P.t"))
	require.Equal(t, numbers(0, 11), bodies(live.next(11)))
	gatewaytest.Eventually(t, func() bool { return w.broker.Stats().InFlight == 0 }, "it is acknowledged")
	kept := w.lasting(w.as("d"), durably("P.t", "sub"))
	s.Commit(&gateway.Transaction{Sends: three(11)}, &o, 5)
	s.Send(message(topic("P.t"), "14", true), &o, 6)
	o.wait(t, 7)
	require.Equal(t, numbers(11, 15), bodies(kept.next(4)))
	require.Equal(t, numbers(11, 15), bodies(live.next(4)))
}

// A log and a queue cannot be written as one: who wants that hears so, and nothing is done.
func TestALogAndAQueueAreNotStoredAsOne(t *testing.T) {
	w := newLogged(t)
	s := w.as("c")
	var o outcome
	s.Commit(&gateway.Transaction{Sends: []*gateway.Message{message(topic("P.t"), "x", true), message(queue("q"), "x", true)}}, &o, 0)
	s.Commit(&gateway.Transaction{Sends: []*gateway.Message{message(topic("P.t"), "x", true), message(topic("P.u"), "x", true)}}, &o, 1)
	both := message(topic("P.t"), "x", true)
	both.Also = []gateway.Destination{queue("q")}
	s.Send(both, &o, 2)
	for i, err := range o.wait(t, 3) {
		require.Equal(t, gateway.Invalid, gateway.KindOf(err), i)
		require.Contains(t, gateway.TextOf(err), "which has a log")
	}
	require.Empty(t, w.log("P.t"))
	require.Zero(t, w.waiting())
	fleeting := message(topic("P.t"), "y", false)
	fleeting.Also = []gateway.Destination{queue("q"), topic("P.u")}
	s.Send(fleeting, &o, 3)
	require.NoError(t, o.wait(t, 4)[3])
	require.Equal(t, []string{"y"}, w.log("P.t"))
	require.Equal(t, []string{"y"}, w.log("P.u"))
	require.Equal(t, []string{"y"}, bodies(w.subscribe(s, queue("q"), 10, true).next(1)))
}

// What a policy forwards is behind the log; the sender knows where his message stands.
func TestALogWhoseMessagesAreForwarded(t *testing.T) {
	w := newLogged(t, func(c *core.Config) {
		c.Policies = policy.NewTable([]policy.Policy{
			{On: []gateway.Destination{topic("P.t")}, ForwardTo: []gateway.Destination{queue("audit"), topic("P.u")}, DefaultTTL: time.Hour},
			{On: []gateway.Destination{queue("in")}, ForwardTo: []gateway.Destination{topic("P.u")}},
		})
	})
	s := w.as("c")
	var o outcome
	w.send(s, topic("P.t"), true, "0")
	m := message(topic("P.t"), "1", true)
	s.Send(m, &o, 0)
	require.NoError(t, o.wait(t, 1)[0])
	require.EqualValues(t, 1, m.Offset)
	require.NotZero(t, m.Expires)
	w.send(s, queue("in"), true, "2")
	require.Equal(t, numbers(0, 2), w.log("P.t"))
	require.Equal(t, numbers(0, 3), w.log("P.u"))
	require.Equal(t, numbers(0, 2), bodies(w.subscribe(s, queue("audit"), 10, true).next(2)))
}

// A topic that has its log no more is one like any other.
func TestATopicLosesItsLog(t *testing.T) {
	w := newLogged(t)
	s := w.as("c")
	live := w.subscribe(s, topic("P.t"), 100, true)
	w.send(s, topic("P.t"), true, "1")
	_, err := w.registry.Put(t.Context(), gateway.LogKeys+"P.t", nil)
	require.NoError(t, err)
	m := message(topic("P.t"), "2", true)
	m.Offset = 77
	var o outcome
	s.Send(m, &o, 0)
	require.NoError(t, o.wait(t, 1)[0])
	require.EqualValues(t, 77, m.Offset)
	require.Equal(t, []string{"1", "2"}, bodies(live.next(2)))
	require.Len(t, w.logs.batches, 1)
}

// Whatever is sent in whatever way, the log has what was promised, once, in the order of each sender, and whoever subscribes hears what the log has: of each sender in
// its order.
func TestLogModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		w := newLogged(t)
		defer w.stopAll()
		senders := []gateway.Session{w.as("a"), w.as("b")}
		live := w.subscribe(w.session(), topic("P.t"), 10_000, true)
		var kept *consumer
		var o outcome
		n, calls := 0, 0
		of := 0
		next := func() *gateway.Message {
			n++
			return message(topic("P.t"), fmt.Sprint(of, ":", n-1), rapid.IntRange(0, 3).Draw(r, "persistent") > 0)
		}
		keptFrom := -1
		goOn := func() {}
		for range rapid.IntRange(1, 25).Draw(r, "steps") {
			of = rapid.IntRange(0, 1).Draw(r, "sender")
			s := senders[of]
			switch rapid.SampledFrom([]string{"send", "send", "commit", "hold", "go on", "keep"}).Draw(r, "do") {
			case "send":
				s.Send(next(), &o, uint64(calls))
				calls++
			case "commit":
				tx := &gateway.Transaction{}
				for range rapid.IntRange(1, 4).Draw(r, "messages") {
					tx.Sends = append(tx.Sends, next())
				}
				s.Commit(tx, &o, uint64(calls))
				calls++
			case "hold":
				goOn()
				goOn = w.logs.hold()
			case "go on":
				goOn()
				goOn = func() {}
			case "keep":
				if kept == nil {
					goOn()
					goOn = func() {}
					o.wait(t, calls)
					keptFrom = n
					kept = w.lasting(w.as("d"), durably("P.t", "sub"))
				}
			}
		}
		goOn()
		for _, err := range o.wait(t, calls) {
			require.NoError(t, err)
		}
		gatewaytest.Eventually(t, func() bool { return len(w.log("P.t")) == n }, "what is not persistent comes, too")
		log := w.log("P.t")
		require.Len(t, log, n)
		heard := bodies(live.next(n))
		for i := range senders {
			require.Equal(t, sentBy(i, log), sentBy(i, heard))
		}
		if kept != nil {
			require.ElementsMatch(t, log[keptFrom:], bodies(kept.next(n-keptFrom)))
		}
	})
}

// sentBy are those of one sender.
func sentBy(sender int, bodies []string) (some []string) {
	for _, b := range bodies {
		if strings.HasPrefix(b, fmt.Sprint(sender, ":")) {
			some = append(some, b)
		}
	}
	return some
}

// stopAll ends a world of a model before its test is over.
func (l *loggedWorld) stopAll() { _ = l.broker.Close(context.Background()) }
