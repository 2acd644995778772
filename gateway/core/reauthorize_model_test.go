package core_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// parliament changes rules while everybody sends and listens, and knows what they must hear.
type parliament struct {
	*world
	rt    *rapid.T
	rules *society
	// may says who may do what, by "user action destination".
	may      map[string]bool
	sessions map[string]gateway.Session
	ears     []*citizen
	sent     int
	// queued is how many messages must be in each queue.
	queued map[gateway.Destination]int
}

// citizen is a subscription, and what it has to hear.
type citizen struct {
	gateway.Subscription
	user  string
	d     gateway.Destination
	ended chan *gateway.Error
	want  []string
}

var (
	citizens = []string{"alice", "bob"}
	places   = []gateway.Destination{topic("a.x"), topic("a.y"), topic("b"), queue("q"), queue("r")}
	patterns = []gateway.Destination{topic("a.>"), topic(">")}
)

func key(user string, a gateway.Action, d gateway.Destination) string {
	return user + " " + a.String() + " " + d.String()
}

// mayRead is the model's own idea of it.
func (p *parliament) mayRead(user string, d gateway.Destination) bool {
	if !d.IsPattern() {
		return p.may[key(user, gateway.Read, d)]
	}
	return slices.ContainsFunc(places, func(x gateway.Destination) bool {
		return x.Kind == gateway.KindTopic && hears(d, x) && p.may[key(user, gateway.Read, x)]
	})
}

func hears(d, place gateway.Destination) bool {
	return d == place || place.Kind == gateway.KindTopic && (d == topic(">") || d == topic("a.>") && place.Name != "b")
}

// vote changes some rules at random, and has them hold.
func (p *parliament) vote() {
	for range rapid.IntRange(1, 6).Draw(p.rt, "changes") {
		k := key(rapid.SampledFrom(citizens).Draw(p.rt, "user"), rapid.SampledFrom([]gateway.Action{gateway.Read, gateway.Read, gateway.Write}).Draw(p.rt, "action"),
			rapid.SampledFrom(places).Draw(p.rt, "place"))
		p.may[k] = !p.may[k]
	}
	rules := []string{"* create *"}
	for k, yes := range p.may {
		if yes {
			rules = append(rules, k)
		}
	}
	p.rules.allow(rules...)
	p.broker.Reauthorize()
	p.ears = slices.DeleteFunc(p.ears, func(e *citizen) bool {
		ends := !p.mayRead(e.user, e.d)
		select {
		case err := <-e.ended:
			require.True(p.rt, ends, "%s to %s was ended: %s", e.user, e.d, err)
			require.Equal(p.rt, fmt.Sprintf("User %s is not authorized to read from: %s", e.user, e.d), err.Text)
		default:
			require.False(p.rt, ends, "%s to %s was not ended", e.user, e.d)
		}
		if ends {
			require.Empty(p.rt, take(e), "%s to %s", e.user, e.d)
		}
		return ends
	})
	for _, e := range p.ears { // what waited and may not be read any more is gone
		if e.d.IsPattern() {
			e.want = slices.DeleteFunc(e.want, func(body string) bool {
				return !p.may[key(e.user, gateway.Read, placeOf(body))]
			})
		}
	}
}

// placeOf is where a message was sent, which its body says.
func placeOf(body string) gateway.Destination {
	var i, n int
	_, _ = fmt.Sscanf(body, "%d/%d", &i, &n)
	return places[i]
}

func (p *parliament) listen() {
	user := rapid.SampledFrom(citizens).Draw(p.rt, "user")
	d := rapid.SampledFrom(append(slices.Clone(places), patterns...)).Draw(p.rt, "where")
	if d.Kind == gateway.KindQueue && slices.ContainsFunc(p.ears, func(e *citizen) bool { return e.d == d }) {
		return // who of two gets a message is not the matter here
	}
	sub, ended, err := trySubscribe(p.sessions[user], d)
	require.Equal(p.rt, p.mayRead(user, d), err == nil, "%s to %s: %v", user, d, err)
	if err == nil {
		p.ears = append(p.ears, &citizen{Subscription: sub, user: user, d: d, ended: ended})
	}
}

func (p *parliament) speak() {
	user, i := rapid.SampledFrom(citizens).Draw(p.rt, "user"), rapid.IntRange(0, len(places)-1).Draw(p.rt, "to")
	p.sent++
	body := fmt.Sprintf("%d/%d", i, p.sent)
	var o outcome
	p.sessions[user].Send(message(places[i], body, false), &o, 1)
	err := o.wait(p.T, 1)[1]
	require.Equal(p.rt, p.may[key(user, gateway.Write, places[i])], err == nil, "%s to %s: %v", user, places[i], err)
	if err != nil {
		return
	}
	if places[i].Kind == gateway.KindQueue {
		p.queued[places[i]]++
	}
	for _, e := range p.ears {
		if places[i].Kind == gateway.KindTopic && hears(e.d, places[i]) && p.may[key(e.user, gateway.Read, places[i])] {
			e.want = append(e.want, body)
		}
	}
}

// hear has a subscription take all that waits: exactly what its principal may read of what was sent.
func (p *parliament) hear(e *citizen) {
	got := take(e)
	e.Ack(tags(got), nil, 0)
	for _, d := range got {
		require.True(p.rt, p.may[key(e.user, gateway.Read, d.Message.Destination)], "%s hears %s", e.user, d.Message.Destination)
	}
	if e.d.Kind == gateway.KindTopic {
		require.Equal(p.rt, append([]string(nil), e.want...), bodies(got), "%s on %s", e.user, e.d)
		e.want = nil
		return
	}
	require.Len(p.rt, got, p.queued[e.d], "%s on %s", e.user, e.d)
	p.queued[e.d] = 0
}

// Whatever rules come and go: nothing is heard that may not be, everything that may be is, and what may not go on has ended.
func TestRulesComeAndGoAsTheModelHasThem(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := &parliament{world: &world{T: t, disk: gatewaytest.NewDisk(2)}, rt: rt, may: make(map[string]bool), sessions: make(map[string]gateway.Session), queued: make(map[gateway.Destination]int)}
		p.rules = &society{}
		p.config = core.Config{Authenticator: p.rules, Authorizer: p.rules}
		p.start()
		defer p.stop()
		for _, user := range citizens {
			p.sessions[user], _ = p.login(user, "192.0.2.1:1")
		}
		for range rapid.IntRange(1, 80).Draw(rt, "steps") {
			switch rapid.IntRange(0, 7).Draw(rt, "what") {
			case 0:
				p.vote()
			case 1, 2:
				p.listen()
			case 3, 4, 5:
				p.speak()
			default:
				if len(p.ears) > 0 {
					p.hear(rapid.SampledFrom(p.ears).Draw(rt, "ear"))
				}
			}
		}
		for _, e := range p.ears {
			p.hear(e)
		}
		for d, n := range p.queued {
			require.Equal(rt, n, p.broker.Depth(d.Name), d.String())
		}
	})
}
