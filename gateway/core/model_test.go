package core_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/gateway/policy"
)

// letter is what the model knows of one message.
type letter struct {
	body       string
	queue      string
	persistent bool
	promised   bool // its completion came without an error
	settled    bool // its acknowledgement completed
	touched    bool // acknowledged or refused, outcome unknown after a crash
	refused    bool
	held       int // subscriptions that have it now
	parity     string
}

// office drives a broker with random sessions and compares it with letters.
type office struct {
	*world
	rt       *rapid.T
	letters  map[string]*letter
	sessions []*desk
	crashed  bool
	n        int
	scratch  func() // what remains of killed processes
}

// desk is a session and its subscriptions.
type desk struct {
	gateway.Session
	subs []*slot
}

// slot is a subscription and what it holds.
type slot struct {
	gateway.Subscription
	queue  string
	parity string // what its selector selects; empty: all
	held   []gateway.Delivery
}

var modelQueues = []string{"a", "b", "c", "d"}

func (o *office) letter(persistent bool) (*letter, *gateway.Message) {
	o.n++
	l := &letter{body: fmt.Sprint(o.n), queue: rapid.SampledFrom(modelQueues).Draw(o.rt, "queue"), persistent: persistent}
	o.letters[l.body] = l
	m := message(queue(l.queue), l.body, persistent)
	m.Priority = uint8(o.n % 10)
	l.parity = fmt.Sprint(o.n % 2)
	m.Header = gateway.Header{{Name: "parity", Value: l.parity}}
	if o.n%3 == 0 {
		m.Header = append(m.Header, gateway.Field{Name: "JMSXGroupID", Value: fmt.Sprint(o.n % 4)})
	}
	return l, m
}

func (o *office) desk() *desk {
	if len(o.sessions) == 0 || len(o.sessions) < 4 && rapid.IntRange(0, 3).Draw(o.rt, "new") == 0 {
		o.sessions = append(o.sessions, &desk{Session: o.session()})
	}
	return rapid.SampledFrom(o.sessions).Draw(o.rt, "desk")
}

func (o *office) slot() *slot {
	var all []*slot
	for _, d := range o.sessions {
		all = append(all, d.subs...)
	}
	if len(all) == 0 {
		o.rt.Skip("no subscription")
	}
	return rapid.SampledFrom(all).Draw(o.rt, "slot")
}

func (o *office) send(*rapid.T) {
	d := o.desk()
	n := rapid.IntRange(1, 20).Draw(o.rt, "n")
	var done outcome
	var sent []*letter
	for i := range n {
		l, m := o.letter(rapid.Bool().Draw(o.rt, "persistent"))
		sent = append(sent, l)
		d.Send(m, &done, uint64(i))
	}
	for i, err := range done.wait(o.world, n) {
		require.NoError(o.rt, err)
		sent[i].promised = true
	}
}

func (o *office) subscribe(*rapid.T) {
	d := o.desk()
	s := &slot{queue: rapid.SampledFrom(modelQueues).Draw(o.rt, "queue")}
	s.parity = rapid.SampledFrom([]string{"", "", "0", "1"}).Draw(o.rt, "parity")
	options := gateway.SubscribeOptions{
		Destination: queue(s.queue), Prefetch: rapid.IntRange(1, 10).Draw(o.rt, "prefetch"), Exclusive: rapid.IntRange(0, 5).Draw(o.rt, "exclusive") == 0,
		Priority: int8(rapid.IntRange(0, 1).Draw(o.rt, "priority")), Wake: func() {},
	}
	if s.parity != "" {
		options.Selector = "parity = '" + s.parity + "'"
	}
	sub, err := d.Subscribe(options)
	require.NoError(o.rt, err)
	s.Subscription = sub
	d.subs = append(d.subs, s)
}

// take pulls what is there and checks that nobody else has it.
func (o *office) take(*rapid.T) { o.pull(o.slot()) }

func (o *office) pull(s *slot) {
	buf := make([]gateway.Delivery, 10)
	for _, d := range buf[:s.Next(buf, 1<<20)] {
		l := o.letters[string(d.Message.Body)]
		require.NotNil(o.rt, l)
		require.True(o.rt, s.parity == "" || s.parity == l.parity, "message %s was not selected", l.body)
		require.Zero(o.rt, l.held, "message %s is with two consumers", l.body)
		require.False(o.rt, l.settled && !o.crashed, "message %s was acknowledged", l.body)
		l.held++
		s.held = append(s.held, d)
	}
}

// settle acknowledges or refuses some of what a subscription holds.
func (o *office) settle(nack bool) {
	s := o.slot()
	if len(s.held) == 0 {
		o.rt.Skip("holds nothing")
	}
	i := rapid.IntRange(0, len(s.held)-1).Draw(o.rt, "which")
	d := s.held[i]
	s.held = slices.Delete(s.held, i, i+1)
	l := o.letters[string(d.Message.Body)]
	l.held--
	l.touched = true
	var done outcome
	if nack {
		l.refused = true
		s.Nack([]uint64{d.Tag}, &done, 0)
	} else {
		s.Ack([]uint64{d.Tag}, &done, 0)
	}
	require.NoError(o.rt, done.wait(o.world, 1)[0])
	l.settled = !nack
}

func (o *office) ack(*rapid.T)  { o.settle(false) }
func (o *office) nack(*rapid.T) { o.settle(true) }

// giveBack has some of what a subscription holds wait again, while it lives.
func (o *office) giveBack(*rapid.T) {
	s := o.slot()
	if len(s.held) == 0 {
		o.rt.Skip("holds nothing")
	}
	n := rapid.IntRange(1, len(s.held)).Draw(o.rt, "how many")
	require.NoError(o.rt, s.Release(tags(s.held[:n]), gateway.Return{Redelivered: rapid.Bool().Draw(o.rt, "redelivered")}))
	require.Equal(o.rt, gateway.NotFound, gateway.KindOf(s.Release([]uint64{1 << 60}, gateway.Return{Redelivered: true})))
	for _, d := range s.held[:n] {
		o.letters[string(d.Message.Body)].held--
	}
	s.held = s.held[n:]
}

func (o *office) transact(*rapid.T) {
	d := o.desk()
	tx := &gateway.Transaction{}
	var parts []*letter
	for range rapid.IntRange(0, 4).Draw(o.rt, "sends") {
		l, m := o.letter(rapid.IntRange(0, 3).Draw(o.rt, "kind") > 0)
		parts = append(parts, l)
		tx.Sends = append(tx.Sends, m)
	}
	var acked []*letter
	for _, s := range d.subs {
		if len(s.held) > 0 {
			l := o.letters[string(s.held[0].Message.Body)]
			acked = append(acked, l)
			l.held--
			l.touched = true
			tx.Acks = append(tx.Acks, gateway.TransactionAck{Subscription: s.Subscription, Tags: []uint64{s.held[0].Tag}})
			s.held = s.held[1:]
		}
	}
	var done outcome
	d.Commit(tx, &done, 0)
	require.NoError(o.rt, done.wait(o.world, 1)[0])
	for _, l := range parts {
		l.promised = true
	}
	for _, l := range acked {
		l.settled = true
	}
}

func (o *office) drop(s *slot) {
	for _, d := range s.held {
		o.letters[string(d.Message.Body)].held--
	}
	s.held = nil
}

func (o *office) unsubscribe(*rapid.T) {
	s := o.slot()
	s.Close()
	o.drop(s)
	for _, d := range o.sessions {
		d.subs = slices.DeleteFunc(d.subs, func(other *slot) bool { return other == s })
	}
}

func (o *office) leave(*rapid.T) {
	d := o.desk()
	d.Close()
	for _, s := range d.subs {
		o.drop(s)
	}
	o.sessions = slices.DeleteFunc(o.sessions, func(other *desk) bool { return other == d })
}

func (o *office) stopAndStart(*rapid.T) {
	o.forgetSessions()
	o.restart()
}

// crash kills the process: what is only in memory is gone.
func (o *office) crash(*rapid.T) {
	o.forgetSessions()
	o.store.Crash()
	old, rest := o.broker, o.scratch
	o.scratch = func() {
		if rest != nil {
			rest()
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = old.Close(ctx)
	}
	for _, l := range o.letters {
		if !l.persistent || l.touched {
			l.promised = false // may be there or not: an acknowledgement may be repeated, a refusal be carried out
		}
	}
	o.crashed = true
	o.start()
}

func (o *office) forgetSessions() {
	for _, d := range o.sessions {
		for _, s := range d.subs {
			o.drop(s)
		}
	}
	o.sessions = nil
}

// audit drains everything and compares.
func (o *office) audit() {
	o.forgetSessions()
	o.restart()
	s := o.session()
	found := map[string]int{}
	for _, name := range append(slices.Clone(modelQueues), "ActiveMQ.DLQ") {
		sub, err := s.Subscribe(gateway.SubscribeOptions{Destination: queue(name), Prefetch: 100, AutoAck: true, Wake: func() {}})
		require.NoError(o.rt, err)
		o.drain(sub, name, found)
	}
	for _, l := range o.letters {
		there := found[l.body] > 0
		switch {
		case l.settled && !o.crashed:
			require.False(o.rt, there, "message %s was acknowledged and is back", l.body)
		case l.promised && !l.settled && (l.persistent || !l.refused):
			require.True(o.rt, there, "message %s is lost: %+v", l.body, l)
		}
	}
}

func (o *office) drain(sub gateway.Subscription, name string, found map[string]int) {
	buf := make([]gateway.Delivery, 50)
	gatewaytest.Eventually(o.world, func() bool {
		n := sub.Next(buf, 1<<20)
		sub.Written(n)
		for _, d := range buf[:n] {
			body := string(d.Message.Body)
			if found[body]++; !o.crashed {
				require.Equal(o.rt, 1, found[body], "message %s is there twice", body)
			}
			require.Equal(o.rt, o.letters[body].refused && name == "ActiveMQ.DLQ" || name != "ActiveMQ.DLQ", true)
		}
		st := o.broker.Stats()
		return n == 0 && st.Waiting+st.InFlight+st.Delayed == o.left(name)
	}, "queue %s drained", name)
}

// left is how many messages are in queues that drain has not come to yet.
func (o *office) left(name string) int {
	total := 0
	for _, other := range append(slices.Clone(modelQueues), "ActiveMQ.DLQ") {
		if other > name && name != "ActiveMQ.DLQ" || other == "ActiveMQ.DLQ" && name != other {
			total += o.broker.Depth(other)
		}
	}
	return total
}

// TestBrokerKeepsEveryPromise drives the broker through random schedules of
// clients, transactions, stops and crashes on a store in memory. A promised
// message is there until its acknowledgement completed, with one consumer at a
// time; after crashes acknowledged ones may come back, but nothing is lost.
func TestBrokerKeepsEveryPromise(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		o := &office{world: &world{T: t, disk: gatewaytest.NewDisk(2)}, rt: rt, letters: map[string]*letter{}}
		o.config.QueueMemory = int64(rapid.SampledFrom([]int{500, 5000, 1 << 20}).Draw(rt, "memory"))
		if rapid.Bool().Draw(rt, "policies") {
			o.config.Policies = table(
				on("a", policy.Policy{Priorities: true, Redelivery: &gateway.Redelivery{Maximum: -1, Delay: time.Millisecond}}),
				on("b", policy.Policy{Exclusive: true, Priorities: true}),
				on("c", policy.Policy{Limits: policy.Limits{Bytes: 1 << 30}}),
			)
		}
		o.start()
		defer func() {
			o.stop()
			if o.scratch != nil {
				o.scratch()
			}
		}()
		rt.Repeat(map[string]func(*rapid.T){
			"send": o.send, "subscribe": o.subscribe, "take": o.take, "take2": o.take, "take3": o.take, "ack": o.ack, "ack2": o.ack, "nack": o.nack, "give back": o.giveBack,
			"transact": o.transact, "unsubscribe": o.unsubscribe, "leave": o.leave, "stop and start": o.stopAndStart, "crash": o.crash,
		})
		o.audit()
	})
}
