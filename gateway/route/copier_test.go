package route_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/gateway/route"
)

// bench is what one Copier has around it.
type bench struct {
	t      *testing.T
	now    time.Time
	facts  *gatewaytest.Registry
	logs   *gatewaytest.Logs
	topics []string
	// refuse is the answer to what is sent.
	refuse   func(m *gateway.Message) error
	commits  int
	progress route.Progress
	writes   int
}

// newBench has topics P.src, P.a, P.b and P.dead.
func newBench(t *testing.T) *bench {
	b := &bench{t: t, now: time.UnixMilli(1_000_000), facts: gatewaytest.NewDisk(1).Registry(), refuse: func(*gateway.Message) error { return nil }}
	var err error
	b.logs, err = gatewaytest.NewLogs(t.Context(), b.facts, func() int64 { return b.now.UnixMilli() })
	require.NoError(t, err)
	for _, topic := range []string{"P.src", "P.a", "P.b", "P.dead"} {
		b.keep(topic, topic[2:], 0)
	}
	return b
}

func (b *bench) keep(topic, id string, retention time.Duration) {
	fact, err := json.Marshal(gateway.LogFact{ID: id, Retention: retention.Milliseconds()})
	require.NoError(b.t, err)
	_, err = b.facts.Put(b.t.Context(), gateway.LogKeys+topic, fact)
	require.NoError(b.t, err)
	b.topics = append(b.topics, topic)
	gatewaytest.Eventually(b.t, func() bool {
		p, err := b.logs.Read(b.t.Context(), topic, gateway.LogQuery{})
		return err == nil && p.Log == id
	}, "the log is there")
}

func (b *bench) Commit(tx *gateway.Transaction, c gateway.Completion, token uint64) {
	b.commits++
	for _, m := range tx.Sends {
		if err := b.refuse(m); err != nil {
			c.Complete(token, err)
			return
		}
	}
	b.logs.Append(tx.Sends[0].Destination.Name, tx.Sends, c, token)
}

func (b *bench) Named(name string) (string, bool) { return "P." + name, !strings.Contains(name, " ") }

func (b *bench) Missing(_ context.Context, topics []string) (map[string]struct{}, error) {
	missing := make(map[string]struct{})
	for _, t := range topics {
		if !slices.Contains(b.topics, t) {
			missing[t] = struct{}{}
		}
	}
	return missing, nil
}

func (b *bench) Move(_ context.Context, change func(p *route.Progress) bool) error {
	if p := b.progress; change(&p) {
		b.progress = p
		b.writes++
	}
	return nil
}

func (b *bench) publish(all ...*gateway.Message) {
	for _, m := range all {
		m.Destination = gateway.Destination{Kind: gateway.KindTopic, Name: "P.src"}
		c := make(answered, 1)
		b.logs.Append("P.src", []*gateway.Message{m}, c, 0)
		require.NoError(b.t, <-c)
	}
}

// plain is a message that is no copy.
func plain(body string, attributes ...string) *gateway.Message {
	m := message(body, attributes...)
	m.Source = nil
	return m
}

func (b *bench) copier(dead string, s route.Spec) *route.Copier {
	return route.New(route.Config{
		ID: "r", Name: "P.r", From: "P.src", Log: "src", DeadLetters: dead, Rule: parse(b.t, s), Logs: b.logs, Session: b, Topics: b, Place: b,
		Now: func() time.Time { return b.now },
	}, 0)
}

// has are the offsets of the sources and the bodies of a topic's messages.
func (b *bench) has(topic string) (all []string) {
	p, err := b.logs.Read(b.t.Context(), topic, gateway.LogQuery{Messages: 10_000, Bytes: 1 << 30})
	require.NoError(b.t, err)
	for _, m := range p.Messages {
		all = append(all, fmt.Sprint(m.Source.Offset, " ", string(m.Body)))
	}
	return all
}

func (b *bench) step(c *route.Copier) {
	b.t.Helper()
	idle, err := c.Step(b.t.Context())
	require.NoError(b.t, err)
	require.True(b.t, idle)
}

func TestWhatCannotBeCopied(t *testing.T) {
	b := newBench(t)
	c := b.copier("P.dead", route.Spec{Targets: []string{"a", "{attributes.to}"}, Pointer: "/x"})
	b.refuse = func(m *gateway.Message) error {
		if string(m.Body) == "odd" {
			return gateway.Errorf(gateway.Invalid, "it is odd")
		}
		return nil
	}
	around := plain(`{"x":"0"}`)
	around.Source = &gateway.Source{Route: "another", Log: "log", Offset: 1, Hops: route.MaxHops}
	almost := plain(`{"x":"1"}`)
	almost.Source = &gateway.Source{Route: "another", Log: "log", Offset: 2, Hops: route.MaxHops - 1}
	b.publish(around, almost, plain(`{"x":"2"}`, "to", "b"), plain("not JSON", "k", "v"), plain(`{"x":"odd"}`, "to", "b"), plain(`{"x":"5"}`, "to", "c"), plain(`{"x":"6"}`, "to", "no name"),
		plain(`{"x":"7"}`, "to", "src"), plain(`{"x":"8"}`, "to", "dead"), plain(`{"x":"9"}`, "to", "a"))
	b.step(c)
	require.Equal(t, []string{"1 1", "2 2", "5 5", "6 6", "7 7", "8 8", "9 9"}, b.has("P.a"))
	require.Equal(t, []string{"2 2"}, b.has("P.b"))
	require.Equal(t, []string{"3 not JSON", `4 {"x":"odd"}`, `5 {"x":"5"}`, `6 {"x":"6"}`, `7 {"x":"7"}`, `8 {"x":"8"}`}, b.has("P.dead"))
	p, err := b.logs.Read(t.Context(), "P.dead", gateway.LogQuery{Messages: 10, Bytes: 1 << 20})
	require.NoError(t, err)
	require.Equal(t, gateway.Header{{Name: "k", Value: "v"}, {Name: route.RouteField, Value: "P.r"}, {Name: route.RefusedField, Value: "the data is not JSON"}}, p.Messages[0].Header)
	for i, why := range []string{"the data is not JSON", "P.a: it is odd; P.b: it is odd", "P.c: there is no such topic", "no name: no topic can have that name", "P.src: it comes from there", "P.dead: that is for dead letters"} {
		got, _ := p.Messages[i].Header.Get(route.RefusedField)
		require.Equal(t, why, got)
	}
	require.Equal(t, uint64(10), b.progress.Next)
	require.Equal(t, uint64(7), b.progress.Refused, "with what went in a circle")
	require.Equal(t, uint64(14), b.progress.Copies)
	require.Equal(t, &route.Refusal{Offset: 8, Text: "P.dead: that is for dead letters", At: 1_000_000}, b.progress.Refusal)
	m, err := b.logs.Read(t.Context(), "P.a", gateway.LogQuery{Messages: 1, Bytes: 1})
	require.NoError(t, err)
	require.Equal(t, &gateway.Source{Route: "r", Log: "src", Offset: 1, Hops: route.MaxHops}, m.Messages[0].Source)
}

// Without a topic for dead letters what is refused is passed over, and counted.
func TestRefusedMessagesArePassedOver(t *testing.T) {
	b := newBench(t)
	c := b.copier("", route.Spec{Targets: []string{"a", "gone"}})
	b.refuse = func(m *gateway.Message) error {
		if string(m.Body) == "1" {
			return gateway.Errorf(gateway.Limit, "it is too long")
		}
		return nil
	}
	b.publish(plain("0"), plain("1"), plain("2"))
	b.step(c)
	require.Equal(t, []string{"0 0", "2 2"}, b.has("P.a"))
	require.Empty(t, b.has("P.dead"))
	require.Equal(t, route.Progress{Next: 3, Copies: 2, Refused: 3, Refusal: &route.Refusal{Offset: 2, Text: "P.gone: there is no such topic", At: 1_000_000}}, b.progress)
	require.Equal(t, route.State{Next: 3, End: 3, Copies: 2, Refused: 3}, c.State())
}

// Of many messages those that are refused are found soon, and what others are for is sent no more than once.
func TestAFewOfManyAreRefused(t *testing.T) {
	b := newBench(t)
	c := b.copier("P.dead", route.Spec{Targets: []string{"a", "b"}})
	sent := make(map[string]int)
	b.refuse = func(m *gateway.Message) error {
		if m.Destination.Name == "P.b" && (string(m.Body) == "77" || string(m.Body) == "300") {
			return gateway.Errorf(gateway.Invalid, "no")
		}
		sent[m.Destination.Name+string(m.Body)]++
		return nil
	}
	for i := range 500 {
		b.publish(plain(fmt.Sprint(i)))
	}
	b.step(c)
	require.Len(t, b.has("P.a"), 500)
	require.Len(t, b.has("P.b"), 498)
	require.Equal(t, []string{"77 77", "300 300"}, b.has("P.dead"))
	require.Less(t, b.commits, 100)
	for i := range 500 {
		require.Equal(t, 1, sent[fmt.Sprint("P.a", i)])
	}
}

// What may pass by itself is waited for, and said after a while; then everything goes on.
func TestARouteWaits(t *testing.T) {
	b := newBench(t)
	c := b.copier("P.later", route.Spec{Targets: []string{"a"}})
	down := true
	b.refuse = func(m *gateway.Message) error {
		if down {
			return gateway.Errorf(gateway.Unavailable, "the log does not answer")
		}
		return nil
	}
	b.publish(plain("0"), plain("1"))
	step := func() error {
		_, err := c.Step(t.Context())
		return err
	}
	require.Error(t, step())
	require.Empty(t, b.progress.Fault, "it may be over in a moment")
	b.now = b.now.Add(6 * time.Second)
	require.Error(t, step())
	require.Equal(t, route.Progress{Fault: "the log does not answer", Since: 1_000_000}, b.progress)
	down = false
	b.now = b.now.Add(time.Second)
	b.step(c)
	require.Equal(t, route.Progress{Next: 2, Copies: 2}, b.progress)
	require.Equal(t, []string{"0 0", "1 1"}, b.has("P.a"))

	b.publish(plain("2"), plain("3"))
	b.refuse = func(m *gateway.Message) error {
		if string(m.Body) == "3" && m.Destination.Name == "P.a" {
			return gateway.Errorf(gateway.Invalid, "no")
		}
		return nil
	}
	require.ErrorContains(t, step(), "there is no topic P.later for dead letters")
	require.Equal(t, uint64(3), b.progress.Next, "what was done is done")
	b.keep("P.later", "later", 0)
	b.step(c)
	require.Equal(t, []string{"3 3"}, b.has("P.later"))
	require.Equal(t, []string{"0 0", "1 1", "2 2"}, b.has("P.a"))

	b.keep("P.src", "made-again", 0)
	b.publish(plain("x"), plain("x"), plain("x"), plain("x"), plain("x"))
	require.ErrorContains(t, step(), "topic P.src has another log now")
}

// Messages that became too old before they were copied are counted, and not waited for.
func TestMessagesThatAreTooOldAreMissed(t *testing.T) {
	b := newBench(t)
	b.keep("P.src", "src", time.Minute)
	c := b.copier("", route.Spec{Targets: []string{"a"}})
	b.publish(plain("0"), plain("1"))
	b.now = b.now.Add(2 * time.Minute)
	b.publish(plain("2"))
	b.step(c)
	require.Equal(t, []string{"2 2"}, b.has("P.a"))
	require.Equal(t, route.Progress{Next: 3, Copies: 1, Missed: 2}, b.progress)
}

// The progress is written now and then, and not backwards: who hears that another one has come further goes on there.
func TestProgressIsKept(t *testing.T) {
	b := newBench(t)
	c := b.copier("", route.Spec{Targets: []string{"a"}, Selector: "k = 'v'"})
	for range 1100 {
		b.publish(plain("x"))
	}
	for range 3 { // at the beginning, and at the end
		_, err := c.Step(t.Context())
		require.NoError(t, err)
	}
	require.Equal(t, []int{2, 1100}, []int{b.writes, int(b.progress.Next)})
	b.step(c)
	require.Equal(t, 2, b.writes, "nothing is new")
	b.publish(plain("y", "k", "v"))
	b.progress.Next = 1105
	b.step(c)
	require.Equal(t, uint64(1105), b.progress.Next)
	require.Equal(t, uint64(1105), c.State().Next)
	b.publish(plain("y"), plain("y"), plain("y"), plain("y"), plain("z", "k", "v"))
	b.step(c)
	require.Equal(t, []string{"1100 y", "1105 z"}, b.has("P.a"))
	require.NoError(t, c.Keep(t.Context()))
	require.Equal(t, uint64(1106), b.progress.Next)
}
