package core_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// picky is a store whose journals refuse some messages.
type picky struct{ gateway.Store }

type pickyJournal struct{ gateway.Journal }

func (p picky) Journal(i int) gateway.Journal { return pickyJournal{p.Store.Journal(i)} }

// refusable is what such a body begins with.
const refusable = "refused "

var errPicky = gateway.Errorf(gateway.Internal, "the journal refuses it")

// Append implements gateway.Journal.
func (j pickyJournal) Append(r *gateway.Record, a gateway.Appended) {
	bad := func(m *gateway.Message) bool { return m != nil && strings.HasPrefix(string(m.Body), refusable) }
	if bad(r.Message) || slices.ContainsFunc(r.Messages, bad) {
		go a.Appended(0, errPicky)
		return
	}
	j.Journal.Append(r, a)
}

// newPicky is a world with a registry, whose journals refuse some messages.
func newPicky(t *testing.T) *world {
	w := newLasting(t)
	w.wrap = func(s gateway.Store) gateway.Store { return picky{s} }
	w.restart()
	return w
}

// prepared counts the records of transactions on a disk.
func (w *world) prepared() (n int) {
	for i := range w.store.Shards() {
		require.NoError(w, w.store.Journal(i).Replay(context.Background(), func(_ uint64, _ int, r *gateway.Record) error {
			if r.Type == gateway.RecordPrepare {
				n++
			}
			return nil
		}))
	}
	return n
}

// Composites of one session are prepared while those before them are: many share a sync. Nothing of them is seen before, and all order is kept, also
// with what is sent between them, and after a crash in the middle.
func TestCompositesAreUnderWayTogether(t *testing.T) {
	for _, crash := range []bool{false, true} {
		w := newLasting(t)
		s := w.as("c")
		w.lasting(s, durably("t", "d")).Close()
		live, between := w.subscribe(s, topic("t"), 1000, true), w.subscribe(s, topic("between"), 1000, true)
		goOn := w.store.StopSyncs()
		var d door
		for i, b := range numbers(0, 100) {
			to := []gateway.Destination{queue("a" + strconv.Itoa(i%5)), queue("all"), topic("t")}
			s.Send(composite(b, true, to...), &d, uint64(2*i))
			s.Send(message(topic("between"), b, false), &d, uint64(2*i+1))
		}
		gatewaytest.Eventually(t, func() bool { return w.prepared() == 100 }, "all are on their way at once")
		require.Zero(t, d.outcomes())
		live.none()
		between.none()
		if crash {
			w.crash()
			goOn()
		} else {
			goOn()
			for _, err := range d.wait(t, 200) {
				require.NoError(t, err)
			}
			require.Equal(t, numbers(0, 100), bodies(live.next(100)))
			require.Equal(t, numbers(0, 100), bodies(between.next(100)))
			w.restart()
		}
		s = w.as("c")
		c := w.lasting(s, durably("t", "d"))
		require.Equal(t, numbers(0, 100), bodies(c.next(100)))
		require.Equal(t, numbers(0, 100), bodies(w.subscribe(s, queue("all"), 1000, true).next(100)))
		for i := range 5 {
			require.Equal(t, []string{strconv.Itoa(i), strconv.Itoa(i + 5)}, bodies(w.subscribe(s, queue("a"+strconv.Itoa(i)), 2, false).next(2)))
		}
	}
}

// What the journal refuses in the middle has its error, nobody sees anything of it, and what is behind it goes on in order.
func TestARefusedCompositeHindersNobody(t *testing.T) {
	w := newPicky(t)
	s := w.as("c")
	live := w.subscribe(s, topic("t"), 1000, true)
	all := w.subscribe(s, queue("all"), 1000, true)
	var d door
	var want []string
	for i, b := range numbers(0, 100) {
		if i%7 == 3 {
			b = refusable + b
		} else {
			want = append(want, b)
		}
		s.Send(composite(b, true, queue("a"), queue("all"), topic("t")), &d, uint64(i))
	}
	for token, err := range d.wait(t, 100) {
		if token%7 == 3 {
			require.ErrorIs(t, err, errPicky)
		} else {
			require.NoError(t, err)
		}
	}
	require.Equal(t, want, bodies(live.next(len(want))))
	require.Equal(t, want, bodies(all.next(len(want))))
	live.none()
	all.none()
}

// A session that is closed in the middle has sent what it has sent, in order.
func TestWhatIsUnderWaySurvivesItsSession(t *testing.T) {
	w := newLasting(t)
	s := w.as("c")
	all := w.subscribe(w.session(), queue("all"), 1000, true)
	goOn := w.store.StopSyncs()
	var d door
	for i, b := range numbers(0, 50) {
		s.Send(composite(b, true, queue("a"), queue("all")), &d, uint64(i))
	}
	s.Close()
	s.Send(composite("late", true, queue("a"), queue("all")), &d, 50)
	goOn()
	for token, err := range d.wait(t, 51) {
		require.Equal(t, token == 50, err != nil)
	}
	require.Equal(t, numbers(0, 50), bodies(all.next(50)))
	gatewaytest.Eventually(t, func() bool { return w.broker.Stats().Sessions == 1 }, "the session is forgotten")
}

// stage is a broker with subscribers of all kinds, and what producers sent.
type stage struct {
	*world
	rt   *rapid.T
	subs map[string]*consumer
	// sent are the bodies with a promise by subscriber, in order; refused have an error.
	heard   map[string][]string
	sent    map[string][]string
	refused map[string]bool
}

// listeners says which subscribers hear what is sent to a destination.
func listeners(d gateway.Destination) []string {
	switch d {
	case topic("kept"):
		return []string{"live", "durable", "selected"}
	case topic("live"):
		return []string{"other"}
	}
	return []string{d.Name}
}

func (x *stage) take() {
	for name, c := range x.subs {
		x.heard[name] = append(x.heard[name], bodies(take(c.Subscription))...)
	}
}

// Random streams of a producer: to topics that are kept and that are not, to queues, to several of them, in transactions, while the store stands, is full or
// refuses some. Each subscriber hears in order, with each delivery mode, exactly what has a promise, and of the rest nothing it must not.
func TestStreamsAsTheModelHasThem(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := newPicky(t)
		defer w.store.Full.Store(false)
		x := &stage{world: w, rt: rt, subs: map[string]*consumer{}, heard: map[string][]string{}, sent: map[string][]string{}, refused: map[string]bool{}}
		reader := w.as("c")
		x.subs["live"], x.subs["other"] = w.subscribe(reader, topic("kept"), 1000, true), w.subscribe(reader, topic("live"), 1000, true)
		durable, selected := durably("kept", "d"), durably("kept", "s")
		selected.Selector = "n IS NOT NULL"
		durable.Prefetch, selected.Prefetch = 10_000, 10_000
		x.subs["durable"], x.subs["selected"] = w.lasting(reader, durable), w.lasting(reader, selected)
		for _, q := range []string{"q", "r"} {
			x.subs[q] = w.subscribe(reader, queue(q), 10_000, true)
		}
		places := []gateway.Destination{topic("kept"), topic("live"), queue("q"), queue("r")}
		s := w.as("producer")
		var d door
		var each [][]*gateway.Message // by token
		var goOn func()
		let := func() {
			if goOn != nil {
				goOn()
				goOn = nil
			}
		}
		defer func() { let() }()
		n := 0
		new := func() *gateway.Message {
			body := fmt.Sprint(n)
			n++
			if rapid.IntRange(0, 9).Draw(rt, "refused") == 0 {
				body = refusable + body
			}
			to := rapid.Permutation(places).Draw(rt, "to")[:rapid.SampledFrom([]int{1, 1, 2, 3}).Draw(rt, "many")]
			m := composite(body, rapid.IntRange(0, 3).Draw(rt, "mode") > 0, to...)
			m.Header = gateway.Header{{Name: "n", Value: "1"}}
			return m
		}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			switch rapid.IntRange(0, 11).Draw(rt, "what") {
			case 0:
				if let(); rapid.Bool().Draw(rt, "stop") {
					goOn = w.store.StopSyncs()
				}
			case 1:
				w.store.Full.Store(rapid.IntRange(0, 2).Draw(rt, "full") == 0)
			case 2, 3:
				tx := &gateway.Transaction{}
				for range rapid.IntRange(1, 3).Draw(rt, "messages") {
					tx.Sends = append(tx.Sends, new())
				}
				each = append(each, copiesOf(tx.Sends))
				s.Commit(tx, &d, uint64(len(each)-1))
			default:
				m := new()
				each = append(each, copiesOf([]*gateway.Message{m}))
				s.Send(m, &d, uint64(len(each)-1))
			}
		}
		if rapid.Bool().Draw(rt, "closed") {
			s.Close()
		}
		let()
		w.store.Full.Store(false)
		outcomes := d.wait(w, len(each))
		x.expect(each, outcomes)
	})
}

// copiesOf keeps what the broker is given and changes.
func copiesOf(all []*gateway.Message) (kept []*gateway.Message) {
	for _, m := range all {
		c := m.Copy()
		c.Also = slices.Clone(m.Also)
		kept = append(kept, c)
	}
	return kept
}

// expect compares what was heard with what has a promise.
func (x *stage) expect(each [][]*gateway.Message, outcomes map[uint64]error) {
	want := map[string][]string{} // by subscriber and mode
	mode := map[string]string{}
	for i, all := range each {
		for _, m := range all {
			mode[string(m.Body)] = strconv.FormatBool(m.Persistent)
			if outcomes[uint64(i)] != nil {
				x.refused[string(m.Body)] = true
				continue
			}
			for _, to := range append([]gateway.Destination{m.Destination}, m.Also...) {
				for _, name := range listeners(to) {
					key := name + mode[string(m.Body)]
					want[key] = append(want[key], string(m.Body))
				}
			}
		}
	}
	sorted := func(name string) map[string][]string {
		got := map[string][]string{}
		for _, b := range x.heard[name] {
			if !x.refused[b] {
				got[name+mode[b]] = append(got[name+mode[b]], b)
			}
		}
		return got
	}
	gatewaytest.Eventually(x, func() bool {
		x.take()
		for name := range x.subs {
			got := sorted(name)
			for _, m := range []string{"true", "false"} {
				if len(got[name+m]) < len(want[name+m]) {
					return false
				}
			}
		}
		return true
	}, "all that was promised comes")
	for name := range x.subs {
		got := sorted(name)
		for _, m := range []string{"true", "false"} {
			require.Equal(x.rt, want[name+m], got[name+m], "%s %s", name, m)
		}
	}
}

// What a transaction sends to a topic is heard in its order, whether it is for that topic alone or for others as well.
func TestATransactionsCompositesKeepTheirPlace(t *testing.T) {
	w := newWorld(t)
	s := w.session()
	live := w.subscribe(s, topic("t"), 10, true)
	var d door
	s.Commit(&gateway.Transaction{Sends: []*gateway.Message{
		composite("1", false, topic("t"), queue("q")), message(topic("t"), "2", false), composite("3", false, queue("q"), topic("t")), message(topic("t"), "4", false),
	}}, &d, 1)
	require.NoError(t, d.wait(t, 1)[1])
	require.Equal(t, numbers(1, 5), bodies(live.next(4)))
}
