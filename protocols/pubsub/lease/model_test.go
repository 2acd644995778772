package lease_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/protocols/pubsub/lease"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// clock stands still unless it is told to go on.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	c.mu.Unlock()
}

// appender is a session that appends to logs.
type appender struct {
	gateway.Session
	logs *gatewaytest.Logs
}

func (a appender) Send(m *gateway.Message, c gateway.Completion, token uint64) {
	a.logs.Append(m.Destination.Name, []*gateway.Message{m}, c, token)
}

func (a appender) Close() {}

// gate is a registry whose changes can be held up.
type gate struct {
	*gatewaytest.Registry
	mu sync.Mutex
	// began hears of each change that waits for pass; nil: none waits.
	began, pass chan struct{}
}

func (g *gate) Change(ctx context.Context, key string, value []byte, since uint64) (uint64, error) {
	g.mu.Lock()
	began, pass := g.began, g.pass
	g.mu.Unlock()
	if began != nil {
		began <- struct{}{}
		<-pass
	}
	return g.Registry.Change(ctx, key, value, since)
}

// shut has changes wait; open ends that.
func (g *gate) shut() (open func()) {
	g.mu.Lock()
	g.began, g.pass = make(chan struct{}, 16), make(chan struct{})
	pass := g.pass
	g.mu.Unlock()
	return func() {
		g.mu.Lock()
		g.began = nil
		g.mu.Unlock()
		close(pass)
	}
}

// bench is what a keeper works on, and the keeper.
type bench struct {
	clock     *clock
	facts     *gate
	directory *resource.Directory
	logs      *gatewaytest.Logs
	keeper    *lease.Keeper
	stop      func()
	nodes     int
	sub       *resource.Subscription
	of        *resource.Topic
}

type checked interface {
	require.TestingT
	Helper()
}

// newBench has a topic P.t, another one for dead letters, and a subscription P.s with leases.
func newBench(t checked, l *resource.Lease) (*bench, func()) {
	b := &bench{clock: &clock{now: time.Date(2026, 11, 20, 20, 33, 1, 0, time.UTC)}, facts: &gate{Registry: gatewaytest.NewDisk(1).Registry()}}
	ctx, cancel := context.WithCancel(context.Background())
	var err error
	b.directory, err = resource.Open(ctx, resource.Config{Facts: b.facts, Now: b.clock.Now})
	require.NoError(t, err)
	b.logs, err = gatewaytest.NewLogs(ctx, b.facts, func() int64 { return b.clock.Now().UnixMilli() })
	require.NoError(t, err)
	_, err = b.directory.CreateProject(ctx, "P", "", "")
	require.NoError(t, err)
	for _, name := range []string{"dead", "t"} {
		b.of, err = b.directory.CreateTopic(ctx, resource.Topic{Name: resource.Name{Project: "P", Name: name}, Retention: int64(1000 * time.Hour / time.Millisecond)}, "")
		require.NoError(t, err)
	}
	l.Secret = "a secret"
	b.sub, err = b.directory.CreateSubscription(ctx, resource.Subscription{
		Name: resource.Name{Project: "P", Name: "s"}, Topic: "t", Log: b.of.ID, Deadline: 10, Lease: l,
	}, "")
	require.NoError(t, err)
	b.start(t)
	return b, func() {
		b.stop()
		cancel()
	}
}

// start begins to keep leases on a new node.
func (b *bench) start(t checked) {
	b.nodes++
	var err error
	b.keeper, err = lease.New(lease.Config{
		Directory: b.directory, Logs: b.logs, Node: fmt.Sprint("n", b.nodes), Now: b.clock.Now, Look: 5 * time.Millisecond,
		Translate: func(m *gateway.Message) wire.Message { return wire.Message{ID: strconv.FormatUint(m.Offset, 10)} },
		Open:      func(context.Context) (gateway.Session, error) { return appender{logs: b.logs}, nil },
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	keeper := b.keeper
	go func() { ended <- keeper.Run(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
}

func (b *bench) publish(t checked, key string) {
	m := &gateway.Message{Destination: gateway.Destination{Kind: gateway.KindTopic, Name: "P.t"}, Timestamp: b.clock.Now().UnixMilli()}
	if key != "" {
		m.Header = gateway.Header{{Name: lease.KeyField, Value: key}}
	}
	done := make(chan error, 1)
	b.logs.Append("P.t", []*gateway.Message{m}, completion(done), 0)
	require.NoError(t, <-done)
}

type completion chan error

func (c completion) Complete(_ uint64, err error) { c <- err }

// known is what the model knows of a message.
type known struct {
	key         string
	acked, dead bool
	// returns are how often it came back and was counted; loosely: perhaps fewer.
	returns int
	loosely bool
	// held: somebody has it until then, by that pull. rests: nobody gets it before.
	held  bool
	until time.Time
	pull  int
	rests time.Time
}

// handed is an ack id that somebody has, or had.
type handed struct {
	id     string
	offset int
	pull   int
	lost   bool // with its node
}

type model struct {
	*bench
	l     *resource.Lease
	all   []*known
	ids   []handed
	pulls int
}

// backoff is how long a message rests that came back so often.
func (m *model) backoff(returns int) time.Duration {
	d := m.l.LeastBackoff
	for range returns - 1 {
		d = min(d*2, m.l.MostBackoff)
	}
	return time.Duration(d) * time.Millisecond
}

// back has a message come back, and those behind it of its key that the same pull has.
func (m *model) back(offset int) {
	k := m.all[offset]
	k.held = false
	k.returns++
	if k.rests = m.clock.Now().Add(m.backoff(k.returns)); m.l.DeadLetters != "" && k.returns >= int(m.l.Attempts) {
		k.dead = true
	}
	for i := offset + 1; m.l.Ordered && k.key != "" && i < len(m.all); i++ {
		if o := m.all[i]; o.key == k.key && o.held && o.pull == k.pull {
			o.held = false
		}
	}
}

// pass lets time pass: what nobody acknowledged in time comes back, the one that was due first before others.
func (m *model) pass(t *rapid.T, d time.Duration) {
	m.clock.pass(d)
	_, err := m.keeper.Extend(t.Context(), m.sub, m.of, []string{"none"}, time.Second) // the keeper looks at the clock
	require.NoError(t, err)
	m.expire()
}

func (m *model) expire() {
	for {
		first := -1
		for i, k := range m.all {
			if k.held && !k.until.After(m.clock.Now()) && (first < 0 || k.until.Before(m.all[first].until)) {
				first = i
			}
		}
		if first < 0 {
			return
		}
		m.back(first)
	}
}

// available are the first messages that anybody may get.
func (m *model) available(most int) (offsets []int) {
	barred := map[string]bool{}
	for _, k := range m.all {
		if m.l.Ordered && k.key != "" && !k.acked && !k.dead && (k.held || k.rests.After(m.clock.Now())) {
			barred[k.key] = true
		}
	}
	for i, k := range m.all {
		if !k.acked && !k.dead && !k.held && !k.rests.After(m.clock.Now()) && !barred[k.key] && len(offsets) < most {
			offsets = append(offsets, i)
		}
	}
	return offsets
}

func (m *model) pullSome(t *rapid.T, most int) {
	got, err := m.keeper.Pull(t.Context(), m.sub, m.of, most, 0)
	require.NoError(t, err)
	m.pulls++
	offsets := []int{}
	for _, r := range got {
		offset, err := strconv.Atoi(r.Message.ID)
		require.NoError(t, err)
		k := m.all[offset]
		if k.loosely {
			require.LessOrEqual(t, int(r.Attempt), k.returns+1)
			k.returns, k.loosely = int(r.Attempt)-1, false
		}
		require.Equal(t, k.returns+1, int(r.Attempt), "attempts of %d", offset)
		offsets = append(offsets, offset)
		m.ids = append(m.ids, handed{r.AckID, offset, m.pulls, false})
	}
	want := m.available(most)
	require.Equal(t, append([]int{}, want...), offsets)
	for _, offset := range want {
		k := m.all[offset]
		k.held, k.until, k.pull = true, m.clock.Now().Add(10*time.Second), m.pulls
	}
}

// some are ack ids of whatever age, but none of dead letters.
func (m *model) some(t *rapid.T) (all []handed) {
	live := slices.DeleteFunc(slices.Clone(m.ids), func(h handed) bool { return m.all[h.offset].dead })
	if len(live) == 0 {
		t.Skip("nobody has anything")
	}
	for range rapid.IntRange(1, 4).Draw(t, "ids") {
		h := rapid.SampledFrom(live).Draw(t, "id")
		if !slices.ContainsFunc(all, func(o handed) bool { return o.offset == h.offset }) {
			all = append(all, h)
		}
	}
	return all
}

// holds reports whether an ack id is the one of who has its message.
func (m *model) holds(h handed) bool {
	k := m.all[h.offset]
	return k.held && k.pull == h.pull && !h.lost
}

func texts(all []handed) (ids []string) {
	for _, h := range all {
		ids = append(ids, h.id)
	}
	return ids
}

// acknowledge acknowledges some.
func (m *model) acknowledge(t *rapid.T) {
	all := m.some(t)
	faults, err := m.keeper.Acknowledge(t.Context(), m.sub, m.of, texts(all))
	require.NoError(t, err)
	var want []wire.AckFault
	for _, h := range all {
		k := m.all[h.offset]
		switch {
		case k.acked:
		case m.holds(h), !k.held && !m.l.Ordered:
			k.acked, k.held = true, false
		default:
			want = append(want, wire.AckFault{AckID: h.id, Reason: wire.FaultLate})
		}
	}
	require.Equal(t, want, faults)
}

// extend gives some another deadline, or gives them back.
func (m *model) extend(t *rapid.T) {
	all := m.some(t)
	seconds := rapid.SampledFrom([]int{0, 0, 5, 30}).Draw(t, "seconds")
	var want []wire.AckFault
	var named []handed
	for _, h := range all {
		switch k := m.all[h.offset]; {
		case k.acked || k.dead:
		case !m.holds(h):
			want = append(want, wire.AckFault{AckID: h.id, Reason: wire.FaultLate})
		default:
			named = append(named, h)
		}
	}
	for _, h := range named {
		switch {
		case seconds > 0:
			m.all[h.offset].until = m.clock.Now().Add(time.Duration(seconds) * time.Second)
		case m.holds(h): // else it came back with the one before it
			m.back(h.offset)
		}
	}
	faults, err := m.keeper.Extend(t.Context(), m.sub, m.of, texts(all), time.Duration(seconds)*time.Second)
	require.NoError(t, err)
	require.Equal(t, want, faults)
}

// restart has another node keep the leases: after this one has left them to it, or without a word.
func (m *model) restart(t *rapid.T) {
	gone := m.stop
	crash := rapid.Bool().Draw(t, "crash")
	if !crash {
		gone()
	}
	m.start(t)
	_, err := m.keeper.Extend(t.Context(), m.sub, m.of, []string{"none"}, time.Second) // it takes over
	require.NoError(t, err)
	if crash {
		gone()
	}
	for _, k := range m.all {
		k.held, k.rests, k.loosely = false, time.Time{}, k.loosely || crash
		if crash && k.dead {
			k.dead = false // it may have come too late to be gone
			k.loosely = true
		}
	}
	for i := range m.ids {
		m.ids[i].lost = true
	}
}

// The keeper does what the model does: nothing that was acknowledged is shown again, what somebody has nobody else gets, all else comes in its order once its time
// has come, and is counted.
func TestModel(t *testing.T) {
	for _, l := range []resource.Lease{
		{}, {Ordered: true}, {LeastBackoff: 3000, MostBackoff: 20_000}, {Ordered: true, LeastBackoff: 3000, MostBackoff: 20_000},
		{DeadLetters: "dead", Attempts: 3}, {Ordered: true, DeadLetters: "dead", Attempts: 2, LeastBackoff: 1000, MostBackoff: 1000},
	} {
		t.Run(fmt.Sprintf("%+v", l), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				l := l
				b, end := newBench(t, &l)
				defer end()
				m := &model{bench: b, l: &l}
				steps := map[string]func(*rapid.T){
					"publish": func(t *rapid.T) {
						for range rapid.IntRange(1, 6).Draw(t, "messages") {
							key := rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "key")
							m.all = append(m.all, &known{key: key})
							b.publish(t, key)
						}
					},
					"pull":        func(t *rapid.T) { m.pullSome(t, rapid.IntRange(1, 8).Draw(t, "most")) },
					"acknowledge": m.acknowledge,
					"extend":      m.extend,
					"pass":        func(t *rapid.T) { m.pass(t, time.Duration(rapid.IntRange(1, 12).Draw(t, "seconds"))*time.Second) },
				}
				if l.DeadLetters == "" { // else nobody knows how many letters were written
					steps["restart"] = m.restart
				}
				t.Repeat(steps)
				m.drain(t)
			})
		})
	}
}

// drain acknowledges whatever comes, until nothing is left.
func (m *model) drain(t *rapid.T) {
	for range 3 * (len(m.all) + 1) {
		m.pass(t, 30*time.Second)
		before := len(m.ids)
		m.pullSome(t, 1000)
		got := m.ids[before:]
		if len(got) == 0 {
			continue
		}
		faults, err := m.keeper.Acknowledge(t.Context(), m.sub, m.of, texts(got))
		require.NoError(t, err)
		require.Empty(t, faults)
		for _, h := range got {
			m.all[h.offset].acked, m.all[h.offset].held = true, false
		}
	}
	letters := 0
	for i, k := range m.all {
		require.True(t, k.acked || k.dead, "message %d was never shown again", i)
		if k.dead {
			letters++
		}
	}
	require.Eventually(t, func() bool {
		if _, err := m.keeper.Acknowledge(context.Background(), m.sub, m.of, []string{"none"}); err != nil { // it writes down what is so
			return false
		}
		page, err := m.logs.Read(context.Background(), "P.dead", gateway.LogQuery{})
		c, _ := m.directory.Standing(m.sub, m.of)
		return err == nil && int(page.Next) == letters && c.Offset == uint64(len(m.all))
	}, 10*time.Second, time.Millisecond)
}
