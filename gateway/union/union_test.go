package union_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/union"
)

// works makes subscriptions of which the test says what they have.
type works struct {
	all   map[string]*part
	ended int
}

func (w *works) Make(o gateway.SubscribeOptions, _ gateway.Rights, wild bool) union.Source {
	p := &part{name: o.Destination.Name, wake: o.Wake, credit: o.Prefetch, wild: wild}
	w.all[p.name] = p
	return p
}

func (w *works) Seek(u *union.Union, _ string) {
	for _, name := range []string{"w.a", "w.b"} {
		u.Join(gateway.Destination{Kind: gateway.KindQueue, Name: name}, true)
	}
}
func (w *works) SeekAgain(*union.Union) {}
func (w *works) Unseek(*union.Union)    {}
func (w *works) Spawn(f func()) bool    { f(); return true }
func (w *works) Ended(*union.Union)     { w.ended++ }

// part is a subscription to one queue: it hands out what waits as far as it has credit, and an acknowledgement gives credit back.
type part struct {
	name                 string
	wake                 func()
	wild, closed, opened bool
	waiting              []*gateway.Message
	credit               int
	last                 uint64
	out                  map[uint64]bool
	settled              int
}

func (p *part) Open() { p.opened = true }

func (p *part) Next(dst []gateway.Delivery, _ int) (n int) {
	for n < len(dst) && p.credit > 0 && len(p.waiting) > 0 {
		p.last++
		dst[n] = gateway.Delivery{Message: p.waiting[0], Tag: p.last}
		p.waiting = p.waiting[1:]
		p.credit--
		p.out[p.last] = true
		n++
	}
	return n
}
func (p *part) Written(int) {}
func (p *part) Ack(tags []uint64, c gateway.Completion, token uint64) {
	for _, tag := range tags {
		if !p.out[tag] {
			panic("it is settled twice, or was never handed out")
		}
		delete(p.out, tag)
		p.credit++
		p.settled++
	}
	if c != nil {
		c.Complete(token, nil)
	}
}
func (p *part) Nack(tags []uint64, c gateway.Completion, token uint64) { p.Ack(tags, c, token) }
func (p *part) SettleNow(tags []uint64, _ bool, c gateway.Completion, token uint64) {
	p.Ack(tags, c, token)
}
func (p *part) Release(tags []uint64, _ gateway.Return) error { p.Ack(tags, nil, 0); return nil }
func (p *part) Extend(n int)                                  { p.credit += n }
func (p *part) Close()                                        { p.closed = true }

// outcome counts what completes.
type outcome struct{ n, failed int }

func (o *outcome) Complete(_ uint64, err error) {
	if o.n++; err != nil {
		o.failed++
	}
}

// Whatever comes, and in whichever order it is settled: the client has no more than its prefetch, gets all in the end, and every tag is its own.
func TestAPrefetchIsShared(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &works{all: map[string]*part{}}
		most := rapid.IntRange(1, 40).Draw(t, "prefetch")
		hungry := true
		u := union.New(w, &union.Company{}, gatewayRights{}, gateway.SubscribeOptions{
			Destination: gateway.Destination{Kind: gateway.KindQueue, Name: "w.*"}, Also: []gateway.Destination{{Kind: gateway.KindQueue, Name: "c"}},
			Prefetch: most, Wake: func() { hungry = true },
		})
		u.Open()
		require.Len(t, w.all, 3)
		for _, p := range w.all {
			p.out = map[uint64]bool{}
			require.True(t, p.opened)
			require.Equal(t, p.name != "c", p.wild)
		}
		sent, got := 0, 0
		held := map[uint64]bool{}
		take := func(t *rapid.T) {
			buf := make([]gateway.Delivery, 7)
			for hungry {
				n := u.Next(buf, 1<<20)
				hungry = n > 0
				for _, d := range buf[:n] {
					require.False(t, held[d.Tag], "a tag of its own")
					held[d.Tag] = true
				}
				got += n
			}
			require.LessOrEqual(t, len(held), most)
		}
		settle := func(t *rapid.T, how int, n int) {
			var tags []uint64
			for tag := range held {
				if len(tags) < n {
					tags = append(tags, tag)
				}
			}
			for _, tag := range tags {
				delete(held, tag)
			}
			var o outcome
			switch how {
			case 0:
				u.Ack(tags, &o, 0)
			case 1:
				u.Nack(tags, &o, 0)
			case 2:
				u.SettleNow(tags, false, &o, 0)
			}
			require.Equal(t, outcome{n: 1}, o)
		}
		t.Repeat(map[string]func(*rapid.T){
			"send": func(t *rapid.T) {
				p := w.all[rapid.SampledFrom([]string{"w.a", "w.b", "c"}).Draw(t, "queue")]
				for range rapid.IntRange(1, 30).Draw(t, "n") {
					sent++
					p.waiting = append(p.waiting, &gateway.Message{Body: []byte("x")})
				}
				p.wake()
			},
			"take":   take,
			"settle": func(t *rapid.T) { settle(t, rapid.IntRange(0, 2).Draw(t, "how"), rapid.IntRange(1, 20).Draw(t, "n")) },
			"twice": func(t *rapid.T) {
				for tag := range held {
					var o outcome
					u.Ack([]uint64{tag, tag}, &o, 0)
					require.Equal(t, outcome{1, 1}, o)
					break
				}
			},
		})
		for range 10 * (sent + 1) {
			take(t)
			settle(t, 0, most)
		}
		require.Equal(t, sent, got)
		settled := 0
		for _, p := range w.all {
			settled += p.settled
			require.Empty(t, p.out)
		}
		require.Equal(t, sent, settled)
		u.Close()
		u.Close()
		require.Equal(t, 1, w.ended)
		for _, p := range w.all {
			require.True(t, p.closed)
		}
	})
}

// gatewayRights may do all.
type gatewayRights struct{ gateway.Rights }

func (gatewayRights) May(gateway.Action, gateway.Destination) error { return nil }

// What was left comes back, and is not the client's any more; who may not read a queue is not joined to it.
func TestWhoMayNotReadIsLeft(t *testing.T) {
	w := &works{all: map[string]*part{}}
	u := union.New(w, &union.Company{}, gatewayRights{}, gateway.SubscribeOptions{Destination: gateway.Destination{Kind: gateway.KindQueue, Name: "w.*"}, Prefetch: 10, Wake: func() {}})
	u.Open()
	p := w.all["w.a"]
	p.out = map[uint64]bool{}
	p.waiting = []*gateway.Message{{}, {}}
	p.wake()
	buf := make([]gateway.Delivery, 5)
	require.Equal(t, 2, u.Next(buf, 1<<20))
	u.Judge(nobody{}, func(d gateway.Destination, _ union.Source) bool { return d.Name == "w.b" })
	require.True(t, p.closed)
	require.False(t, w.all["w.b"].closed, "that one guards itself")
	var o outcome
	u.Ack([]uint64{buf[0].Tag}, &o, 0)
	require.Equal(t, outcome{1, 1}, o)
	u.Join(gateway.Destination{Kind: gateway.KindQueue, Name: "w.c"}, true)
	require.Nil(t, w.all["w.c"])
}

// nobody may do nothing.
type nobody struct{ gateway.Rights }

func (nobody) May(_ gateway.Action, d gateway.Destination) error { return fmt.Errorf("not %s", d) }

// A client's subscriptions are bounded together: many of them to one pattern are as many in each of its queues.
func TestACompanyIsBoundedTogether(t *testing.T) {
	var company union.Company
	var ended []*gateway.Error
	open := func(name string, joins int) *union.Union {
		u := union.New(&works{all: make(map[string]*part)}, &company, gatewayRights{}, gateway.SubscribeOptions{
			Destination: gateway.Destination{Kind: gateway.KindQueue, Name: name}, Prefetch: 1, Wake: func() {}, Ended: func(e *gateway.Error) { ended = append(ended, e) },
		})
		for i := range joins {
			u.Join(gateway.Destination{Kind: gateway.KindQueue, Name: fmt.Sprint(name, i)}, true)
		}
		return u
	}
	var all []*union.Union
	for range 4 {
		all = append(all, open("a.*", 16384))
	}
	require.Empty(t, ended)
	require.Equal(t, 65536, company.Joined())
	late := open("b.*", 2)
	require.Len(t, ended, 1)
	require.Equal(t, "the subscriptions of the connection join more than 65536 destinations", ended[0].Text)
	require.True(t, late.Closed())
	all[0].Leave(gateway.Destination{Kind: gateway.KindQueue, Name: "a.*7"})
	all[0].Leave(gateway.Destination{Kind: gateway.KindQueue, Name: "a.*7"})
	require.Equal(t, 65535, company.Joined())
	open("c.*", 1)
	require.Len(t, ended, 1)
	for _, u := range all {
		u.Close()
		u.Close()
	}
	require.Equal(t, 1, company.Joined(), "the places of what ended are free")
}
