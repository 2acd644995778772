package route_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/gateway/route"
)

// fate is what becomes of something that a leader does.
type fate int

const (
	// happens: it is done and answered; vanishes: it is not done; unheard: it is done, and the answer is lost; drifts: it is done some time later, and has no answer.
	happens fate = iota
	vanishes
	unheard
	drifts
	// dies: whoever does it is dead.
	dies
)

var errLost = gateway.Errorf(gateway.Unavailable, "nobody knows")

// world is what several leaders of one route share.
type world struct {
	t      *rapid.T
	logs   *gatewaytest.Logs
	facts  *gatewaytest.Registry
	topics map[string]struct{}
	// strict topics refuse bodies that are marked.
	strict map[string]struct{}

	mu       sync.Mutex
	progress route.Progress
	drifting []func()
}

// keep gives a topic a log.
func (w *world) keep(topic string) {
	fact, err := json.Marshal(gateway.LogFact{ID: topic[2:]})
	require.NoError(w.t, err)
	_, err = w.facts.Put(context.Background(), gateway.LogKeys+topic, fact)
	require.NoError(w.t, err)
	w.mu.Lock()
	w.topics[topic] = struct{}{}
	w.mu.Unlock()
	gatewaytestAwait(w.t, func() bool {
		_, err := w.logs.Read(context.Background(), topic, gateway.LogQuery{})
		return err == nil
	})
}

func gatewaytestAwait(t *rapid.T, ok func() bool) {
	for until := time.Now().Add(gatewaytest.Wait); !ok(); time.Sleep(50 * time.Microsecond) {
		if time.Now().After(until) {
			t.Fatal("the log never came")
		}
	}
}

// leader is a node that believes to lead the route. It does nothing that it is not told to, and nothing by itself: between two steps it waits.
type leader struct {
	w     *world
	ctx   context.Context
	kill  context.CancelFunc
	ended chan struct{}
	asks  chan chan fate
	next  chan fate // what it waits for
	clock time.Time
}

// now is a clock that goes on when it is looked at, so that nothing depends on how quick the test is.
func (l *leader) now() time.Time {
	l.clock = l.clock.Add(70 * time.Millisecond)
	return l.clock
}

func (w *world) lead(rule *route.Rule) *leader {
	l := &leader{w: w, asks: make(chan chan fate), ended: make(chan struct{})}
	l.ctx, l.kill = context.WithCancel(context.Background())
	w.mu.Lock()
	next := w.progress.Next
	w.mu.Unlock()
	c := route.New(route.Config{
		ID: "r", Name: "P.r", From: "P.src", Log: "src", DeadLetters: "P.dead", Rule: rule, Page: 5, Logs: l, Session: l, Topics: l, Place: l,
		Now: l.now,
	}, next)
	go func() {
		defer close(l.ended)
		for l.ctx.Err() == nil {
			_, _ = c.Step(l.ctx)
		}
	}()
	l.next = <-l.asks
	return l
}

// fate asks what becomes of the next thing.
func (l *leader) fate() fate {
	answer := make(chan fate)
	select {
	case l.asks <- answer:
		return <-answer
	case <-l.ctx.Done():
		return dies
	}
}

// step has the leader do one thing more.
func (l *leader) step(f fate) {
	l.next <- f
	l.next = <-l.asks
}

func (l *leader) end() {
	l.kill()
	l.next <- dies
	<-l.ended
}

func (l *leader) Read(ctx context.Context, topic string, q gateway.LogQuery) (gateway.LogPage, error) {
	if f := l.fate(); f != happens {
		return gateway.LogPage{}, errLost
	}
	return l.w.logs.Read(ctx, topic, q)
}

func (l *leader) Commit(tx *gateway.Transaction, c gateway.Completion, token uint64) {
	f, topic := l.fate(), tx.Sends[0].Destination.Name
	do := func() (err error) {
		l.w.mu.Lock()
		_, strict := l.w.strict[topic]
		l.w.mu.Unlock()
		for _, m := range tx.Sends {
			if strict && string(m.Body) == "odd" {
				return gateway.Errorf(gateway.Invalid, "the schema does not let it in")
			}
		}
		done := make(chan error, 1)
		l.w.logs.Append(topic, tx.Sends, answered(done), 0)
		return <-done
	}
	err := error(errLost)
	switch f {
	case happens:
		err = do()
	case unheard:
		_ = do()
	case drifts:
		l.w.mu.Lock()
		l.w.drifting = append(l.w.drifting, func() { _ = do() })
		l.w.mu.Unlock()
	}
	c.Complete(token, err)
}

type answered chan error

func (a answered) Complete(_ uint64, err error) { a <- err }

func (l *leader) Named(name string) (string, bool) { return "P." + name, name != "no name" }

func (l *leader) Missing(_ context.Context, topics []string) (map[string]struct{}, error) {
	if l.fate() != happens {
		return nil, errLost
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	missing := make(map[string]struct{})
	for _, t := range topics {
		if _, ok := l.w.topics[t]; !ok {
			missing[t] = struct{}{}
		}
	}
	return missing, nil
}

func (l *leader) Move(_ context.Context, change func(p *route.Progress) bool) error {
	f := l.fate()
	if f == vanishes || f == drifts || f == dies {
		return errLost
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	p := l.w.progress
	if change(&p) {
		l.w.progress = p
	}
	if f == unheard {
		return errLost
	}
	return nil
}

// all are the messages of a log.
func (w *world) all(topic string) []*gateway.Message {
	p, err := w.logs.Read(context.Background(), topic, gateway.LogQuery{Messages: 1 << 20, Bytes: 1 << 30})
	if gateway.KindOf(err) == gateway.NotFound && err != nil {
		return nil
	}
	require.NoError(w.t, err)
	return p.Messages
}

// sources are the offsets of what the copies in a log are copies of.
func (w *world) sources(topic string) (offsets []uint64) {
	for _, m := range w.all(topic) {
		offsets = append(offsets, m.Source.Offset)
	}
	return offsets
}

// Whatever becomes of what two leaders do, wherever they stop, pause and die, and whatever is done late: each target has each copy at most once, in order; a target
// that refuses nothing has all; and of what another one refuses, or is not there for, each message is in it or among the dead letters.
func TestCopiesAreMadeOnce(t *testing.T) {
	rule, err := route.Parse(route.Spec{Targets: []string{"every", "{attributes.to}"}})
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		facts := gatewaytest.NewDisk(1).Registry()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		logs, err := gatewaytest.NewLogs(ctx, facts, func() int64 { return 0 })
		require.NoError(t, err)
		w := &world{t: t, logs: logs, facts: facts, topics: make(map[string]struct{}), strict: make(map[string]struct{})}
		for _, topic := range []string{"P.src", "P.every", "P.strict", "P.dead"} {
			w.keep(topic)
		}
		leaders := []*leader{w.lead(rule), w.lead(rule)}
		defer func() {
			for _, l := range leaders {
				l.end()
			}
		}()
		w.wander(rule, leaders)
		for i, l := range leaders {
			l.end()
			leaders[i] = w.lead(rule)
		}
		for _, do := range w.drifting {
			do()
		}
		for i := 0; w.next() < uint64(len(w.all("P.src"))); i++ {
			if i > 10_000 {
				t.Fatal("the route never ends")
			}
			leaders[0].step(happens)
		}
		w.check()
	})
}

func (w *world) next() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.progress.Next
}

// wander has leaders do this and that.
func (w *world) wander(rule *route.Rule, leaders []*leader) {
	fates := rapid.SampledFrom([]fate{happens, happens, happens, happens, happens, happens, vanishes, unheard, drifts})
	w.t.Repeat(map[string]func(*rapid.T){
		"publish": func(t *rapid.T) {
			for range rapid.IntRange(1, 8).Draw(t, "n") {
				m := &gateway.Message{
					Destination: gateway.Destination{Kind: gateway.KindTopic, Name: "P.src"}, Persistent: true,
					Body: []byte(rapid.SampledFrom([]string{"even", "odd"}).Draw(t, "body")),
				}
				if to := rapid.SampledFrom([]string{"", "strict", "late", "no name", "every", "src", "dead"}).Draw(t, "to"); to != "" {
					m.Header = gateway.Header{{Name: "to", Value: to}}
				}
				done := make(chan error, 1)
				w.logs.Append("P.src", []*gateway.Message{m}, answered(done), 0)
				require.NoError(t, <-done)
			}
		},
		"first": func(t *rapid.T) {
			for range rapid.IntRange(1, 6).Draw(t, "steps") {
				leaders[0].step(fates.Draw(t, "fate"))
			}
		},
		"second": func(t *rapid.T) {
			for range rapid.IntRange(1, 6).Draw(t, "steps") {
				leaders[1].step(fates.Draw(t, "fate"))
			}
		},
		"die": func(t *rapid.T) {
			i := rapid.IntRange(0, 1).Draw(t, "who")
			leaders[i].end()
			leaders[i] = w.lead(rule)
		},
		"drift": func(t *rapid.T) {
			if len(w.drifting) == 0 {
				t.Skip("nothing drifts")
			}
			i := rapid.IntRange(0, len(w.drifting)-1).Draw(t, "which")
			do := w.drifting[i]
			w.drifting = slices.Delete(w.drifting, i, i+1)
			do()
		},
		"another schema": func(t *rapid.T) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if _, strict := w.strict["P.strict"]; strict {
				delete(w.strict, "P.strict")
			} else {
				w.strict["P.strict"] = struct{}{}
			}
		},
		"a topic is made": func(t *rapid.T) {
			if _, ok := w.topics["P.late"]; !ok {
				w.keep("P.late")
			}
		},
	})
}

func (w *world) check() {
	w.t.Helper()
	for _, topic := range []string{"P.every", "P.strict", "P.late", "P.dead"} {
		got := w.sources(topic)
		for i := 1; i < len(got); i++ {
			require.Less(w.t, got[i-1], got[i], "%s has each once and in order: %v", topic, got)
		}
	}
	every, dead := w.sources("P.every"), w.sources("P.dead")
	for i, m := range w.all("P.src") {
		offset := uint64(i)
		require.Contains(w.t, every, offset)
		is := fmt.Sprintf("offset %d, %v %s", offset, m.Header, m.Body)
		switch to, _ := m.Header.Get("to"); to {
		case "", "every":
			require.NotContains(w.t, dead, offset, is)
		case "strict":
			in := slices.Contains(w.sources("P.strict"), offset)
			require.True(w.t, in || slices.Contains(dead, offset), is)
			if string(m.Body) == "even" {
				require.True(w.t, in, is)
			}
		case "late":
			require.True(w.t, slices.Contains(w.sources("P.late"), offset) || slices.Contains(dead, offset), is)
		default:
			require.Contains(w.t, dead, offset, is)
		}
	}
	for _, m := range w.all("P.dead") {
		why, ok := m.Header.Get(route.RefusedField)
		require.True(w.t, ok && why != "")
	}
	require.Zero(w.t, w.progress.Missed)
}
