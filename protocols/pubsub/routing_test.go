package pubsub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub"
	"github.com/sluice-mq/sluice/protocols/pubsub/courier"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

const routeR = "/projects/P/routes/r"

// carry has a courier run routes until the test ends, or until stop is called.
func (w *world) carry(change func(*courier.Config)) (c *courier.Courier, stop func()) {
	cfg := courier.Config{
		Directory: w.directory, Logs: w.logs, Node: "n1", Look: 10 * time.Millisecond,
		Open: func(ctx context.Context) (gateway.Session, error) {
			return w.broker.Open(ctx, gateway.Login{Protocol: "internal"})
		},
	}
	if change != nil {
		change(&cfg)
	}
	c, err := pubsub.NewCourier(cfg)
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Run(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	w.t.Cleanup(stop)
	return c, stop
}

// routing makes project P with some topics.
func routing(t testing.TB, topics ...string) *world {
	w := newWorld(t, nil)
	w.must("POST", "/projects/P", serviceToken, map[string]string{"description": ""})
	for _, name := range topics {
		w.must("PUT", "/projects/P/topics/"+name, serviceToken, nil)
	}
	return w
}

// route makes the route r, from the topic t to others.
func (w *world) route(more string, targets ...string) (made wire.Route) {
	w.t.Helper()
	for i, name := range targets {
		targets[i] = "projects/P/topics/" + name
	}
	all, err := json.Marshal(targets)
	require.NoError(w.t, err)
	w.must("PUT", routeR, serviceToken, fmt.Sprintf(`{"topic":"projects/P/topics/t","targets":%s%s}`, all, more), &made)
	return made
}

// holds waits until a topic has what it is to have, and no more, as its clients see it: data and attributes.
func (w *world) holds(topic string, want ...string) {
	w.t.Helper()
	var got []string
	for range 2000 {
		p, err := w.logs.Read(w.t.Context(), "P."+topic, gateway.LogQuery{Messages: 1000, Bytes: 1 << 30})
		require.NoError(w.t, err)
		got = nil
		for _, m := range p.Messages {
			text := string(m.Body)
			for _, f := range m.Header {
				if f.Name != "pubsub-data" {
					text += " " + f.Name + "=" + f.Value
				}
			}
			got = append(got, text)
		}
		if len(got) >= len(want) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	require.Equal(w.t, want, got, topic)
}

// A route is made, shown with how far it is, listed and taken away; meanwhile it copies.
func TestRoutes(t *testing.T) {
	w := routing(t, "t", "all", "site-A", "dead")
	w.publish("t", "before")
	made := w.route(`,"selector":"kind <> 'x' OR kind IS NULL","attributes":["site"],"data":{"fields":["/a"]},"deadLetterTopic":"projects/P/topics/dead"`, "all", "site-{attributes.site}")
	require.Equal(t, wire.Route{
		Name: "projects/P/routes/r", Topic: "projects/P/topics/t", Selector: "kind <> 'x' OR kind IS NULL", Attributes: &[]string{"site"}, Data: &wire.Data{Fields: []string{"/a"}},
		Targets: []string{"projects/P/topics/all", "projects/P/topics/site-{attributes.site}"}, DeadLetters: "projects/P/topics/dead", Created: made.Created,
		Progress: wire.RouteProgress{Next: 1},
	}, made)
	message := func(data string, attributes map[string]string) map[string]any {
		return map[string]any{"data": data, "attributes": attributes}
	}
	w.must("POST", "/projects/P/topics/t:publish", serviceToken, of(
		message(b64(`{"a":1,"b":2}`), map[string]string{"site": "A", "more": "x"}), message(b64(`{"a":1}`), map[string]string{"kind": "x"}), message(`{"a": 2}`, nil), message(b64("not JSON"), nil)))
	shown := func() (r wire.Route) {
		w.must("GET", routeR, serviceToken, nil, &r)
		return r
	}
	four, none := uint64(4), uint64(0)
	p := shown().Progress
	require.Equal(t, &four, p.Lag)
	require.NotEmpty(t, p.WaitingSince)
	c, stop := w.carry(nil)
	w.holds("all", `{"a":1} site=A`, `{"a":2}`)
	w.holds("site-A", `{"a":1} site=A`)
	second, err := w.logs.Read(t.Context(), "P.all", gateway.LogQuery{From: 1, Messages: 1})
	require.NoError(t, err)
	require.Equal(t, gateway.Header{{Name: "pubsub-data", Value: "text"}}, second.Messages[0].Header, "data that was not base64 is shown as it came")
	w.holds("dead", "not JSON sluice-route=P.r sluice-refused=the data is not JSON")
	within(t, func() bool { return shown().Progress.Next == 5 }, "the progress is kept")
	p = shown().Progress
	require.Equal(t, wire.RouteProgress{Next: 5, Lag: &none, Copies: 4, Refused: 1, LastRefusal: &wire.Refusal{Offset: 4, Reason: "the data is not JSON", Time: p.LastRefusal.Time}}, p)
	require.Equal(t, courier.Stats{Copies: 4, Refused: 1, Lags: []courier.Lag{{Route: "P.r"}}}, c.Stats())
	stop()
	w.must("POST", "/projects/P/topics/t:publish", serviceToken, of(message(b64(`{"a":5}`), nil)))
	w.carry(nil)
	w.holds("all", `{"a":1} site=A`, `{"a":2}`, `{"a":5}`)

	w.must("PUT", "/projects/P/routes/another", serviceToken, `{"topic":"projects/P/topics/all","targets":["projects/P/topics/site-A"],"from":"earliest","attributes":[]}`)
	w.holds("site-A", `{"a":1} site=A`, `{"a":1}`, `{"a":2}`, `{"a":5}`)
	var list wire.Routes
	w.must("GET", "/projects/P/routes?pageSize=1", serviceToken, nil, &list)
	require.Equal(t, []any{2, "projects/P/routes/another"}, []any{list.Total, list.Routes[0].Name})
	require.Equal(t, &[]string{}, list.Routes[0].Attributes)
	w.must("DELETE", routeR, serviceToken, nil)
	w.refused(404, "Route doesn't exist", "DELETE", routeR, serviceToken, nil)
	w.refused(404, "Route doesn't exist", "GET", routeR, serviceToken, nil)
	w.must("GET", "/projects/P/routes", serviceToken, nil, &list)
	require.Len(t, list.Routes, 1)
	w.must("DELETE", "/projects/P", serviceToken, nil)
	require.Empty(t, w.directory.RoutesOf("P"))
}

func TestRoutesThatAreRefused(t *testing.T) {
	w := routing(t, "t", "a", "b")
	with := func(more string) string { return `{"topic":"projects/P/topics/t",` + more + `}` }
	for _, c := range []struct {
		code       int
		text, body string
	}{
		{400, "Invalid Route Arguments", `{"topic":5}`},
		{400, "Invalid Route Arguments", with(`"targets":["projects/P/topics/a"]`) + "x"},
		{400, "Invalid Route Arguments", with(`"targets":["projects/P/topics/a"],"filter":"x = 1"`)},
		{400, "Invalid Topic name", `{"topic":"t","targets":["projects/P/topics/a"]}`},
		{400, "Invalid Topic name", `{"topic":"projects/Q/topics/t","targets":["projects/P/topics/a"]}`},
		{404, "Topic doesn't exist", `{"topic":"projects/P/topics/none","targets":["projects/P/topics/a"]}`},
		{400, "a route has 1 to 16 targets", with(`"targets":[]`)},
		{400, "A target is a topic of the route's own project: projects/P/topics/NAME", with(`"targets":["projects/Q/topics/a"]`)},
		{400, "Invalid Topic name", with(`"targets":["projects/P/topics/site.{attributes.site}"]`)},
		{400, "Invalid Topic name", with(`"targets":["projects/P/topics/a b"]`)},
		{404, "Topic none doesn't exist", with(`"targets":["projects/P/topics/none"]`)},
		{404, "Topic none doesn't exist", with(`"targets":["projects/P/topics/a"],"deadLetterTopic":"projects/P/topics/none"`)},
		{400, "Invalid Topic name", with(`"targets":["projects/P/topics/a"],"deadLetterTopic":"none"`)},
		{400, "A target cannot be the topic of dead letters as well", with(`"targets":["projects/P/topics/a"],"deadLetterTopic":"projects/P/topics/a"`)},
		{400, "messages would come back to topic t", with(`"targets":["projects/P/topics/a","projects/P/topics/t"]`)},
		{400, "messages would come back to topic t", with(`"targets":["projects/P/topics/a"],"deadLetterTopic":"projects/P/topics/t"`)},
		{400, "A route begins at 'latest', 'earliest' or an offset of the topic", with(`"targets":["projects/P/topics/a"],"from":1`)},
		{400, "A route begins at 'latest', 'earliest' or an offset of the topic", with(`"targets":["projects/P/topics/a"],"from":"yesterday"`)},
		{400, `{x} is neither {attributes.NAME} nor {data/POINTER}`, with(`"targets":["projects/P/topics/{x}"]`)},
	} {
		w.refused(c.code, c.text, "PUT", routeR, serviceToken, c.body)
	}
	w.route("", "a")
	w.refused(409, "Route already exists", "PUT", routeR, serviceToken, with(`"targets":["projects/P/topics/a"]`))
	w.must("PUT", "/projects/P/routes/next", serviceToken, `{"topic":"projects/P/topics/a","targets":["projects/P/topics/b"]}`)
	w.refused(400, "messages would come back to topic b", "PUT", "/projects/P/routes/back", serviceToken, `{"topic":"projects/P/topics/b","targets":["projects/P/topics/t"]}`)
	w.must("DELETE", "/projects/P/routes/next", serviceToken, nil)
	w.must("PUT", "/projects/P/routes/back", serviceToken, `{"topic":"projects/P/topics/b","targets":["projects/P/topics/t"]}`)

	admin, writer := w.member("adm", "project_admin"), w.member("pub", "publisher", "consumer")
	w.must("GET", routeR, admin, nil)
	for _, call := range [][2]string{{"GET", "/projects/P/routes"}, {"GET", routeR}, {"PUT", routeR}, {"DELETE", routeR}} {
		w.refused(403, "Access to this resource is forbidden", call[0], call[1], writer, nil)
	}
}

// Routes of which the names of the targets do not show that they lead in a circle end after some rounds.
func TestMessagesThatGoInACircleEnd(t *testing.T) {
	w := routing(t, "t", "a", "dead")
	w.route(`,"deadLetterTopic":"projects/P/topics/dead"`, "{attributes.to}")
	w.must("PUT", "/projects/P/routes/back", serviceToken, `{"topic":"projects/P/topics/a","targets":["projects/P/topics/t"]}`)
	w.carry(nil)
	w.must("POST", "/projects/P/topics/t:publish", serviceToken, `{"messages":[{"data":"","attributes":{"to":"a"}}]}`)
	within(t, func() bool {
		var r wire.Route
		w.must("GET", routeR, serviceToken, nil, &r)
		return r.Progress.Refused == 1 && *r.Progress.Lag == 0
	}, "it ends")
	w.holds("a", " to=a", " to=a", " to=a", " to=a")
	w.holds("dead")
}

// A topic that is made again is copied from its front, with nothing left out because of what was there before; of a route that is made again nothing is known.
func TestATopicThatIsMadeAgainIsCopied(t *testing.T) {
	w := routing(t, "t", "a")
	w.route("", "a")
	w.carry(nil)
	w.publish("t", "0", "1", "2")
	w.holds("a", "0", "1", "2")
	w.must("DELETE", "/projects/P/topics/t", serviceToken, nil)
	var r wire.Route
	w.must("GET", routeR, serviceToken, nil, &r)
	require.Equal(t, "topic t is gone", r.Progress.Fault)
	w.must("PUT", "/projects/P/topics/t", serviceToken, nil)
	w.publish("t", "3", "4")
	w.holds("a", "0", "1", "2", "3", "4")
	w.must("DELETE", routeR, serviceToken, nil)
	w.publish("t", "5")
	w.route(`,"from":"1"`, "a")
	w.holds("a", "0", "1", "2", "3", "4", "4", "5")
}

// Two nodes share the routes out; what one of them leads, the other one goes on with.
func TestNodesShareRoutes(t *testing.T) {
	w := routing(t, "t", "a", "b")
	w.route("", "a")
	w.must("PUT", "/projects/P/routes/another", serviceToken, `{"topic":"projects/P/topics/t","targets":["projects/P/topics/b"]}`)
	var mu sync.Mutex
	nodes := []string{"n1", "n2"}
	on := func(name string) func(*courier.Config) {
		return func(cfg *courier.Config) {
			cfg.Node = name
			cfg.Nodes = func() []string {
				mu.Lock()
				defer mu.Unlock()
				return nodes
			}
		}
	}
	one, _ := w.carry(on("n1"))
	two, _ := w.carry(on("n2"))
	var want []string
	for round := range 3 {
		for i := range 10 {
			want = append(want, fmt.Sprint(round, "-", i))
		}
		w.publish("t", want[len(want)-10:]...)
		w.holds("a", want...)
		w.holds("b", want...)
		within(t, func() bool { return len(one.Stats().Lags)+len(two.Stats().Lags) == 2 }, "each is led by one")
		mu.Lock()
		nodes = [][]string{{"n1"}, {"n2"}, nil}[round]
		mu.Unlock()
		left := [][]int{{2, 0}, {0, 2}, {0, 0}}[round]
		within(t, func() bool { return len(one.Stats().Lags) == left[0] && len(two.Stats().Lags) == left[1] }, "round %d", round)
	}
	require.Equal(t, uint64(60), one.Stats().Copies+two.Stats().Copies)
}

// A route that cannot go on says why, and goes on when it can.
func TestARouteSaysWhatItWaitsFor(t *testing.T) {
	w := routing(t, "t", "a")
	w.must("POST", schemaX, serviceToken, `{"type":"json","schema":{}}`)
	w.must("POST", "/projects/P/topics/a:attachSchema", serviceToken, attached)
	w.must("DELETE", schemaX, serviceToken, nil)
	w.route("", "a")
	c, _ := w.carry(func(cfg *courier.Config) { cfg.Now = w.clock.Now })
	w.publish("t", "0")
	var r wire.Route
	within(t, func() bool {
		w.clock.pass(time.Second)
		w.must("GET", routeR, serviceToken, nil, &r)
		return r.Progress.Fault != ""
	}, "it says so")
	require.Equal(t, "Could not load schema for topic", r.Progress.Fault)
	require.NotEmpty(t, r.Progress.FaultSince)
	require.Equal(t, []courier.Lag{{Route: "P.r", Messages: 1}}, c.Stats().Lags)
	w.must("POST", "/projects/P/topics/a:detachSchema", serviceToken, nil)
	w.holds("a", "0")
	within(t, func() bool {
		r = wire.Route{}
		w.must("GET", routeR, serviceToken, nil, &r)
		return r.Progress.Fault == ""
	}, "it is over")
}

// What a route's fact says that this version does not understand keeps the route still, and nothing else.
func TestARouteOfAnotherVersionStandsStill(t *testing.T) {
	w := routing(t, "t", "a")
	_, err := w.registry.Put(t.Context(), "pubsub/route/P.x", []byte(`{"id":"x","topic":"t","targets":["{new.thing}"]}`))
	require.NoError(t, err)
	w.route("", "a")
	w.carry(nil)
	w.publish("t", "0")
	w.holds("a", "0")
	var list wire.Routes
	w.must("GET", "/projects/P/routes", serviceToken, nil, &list)
	require.Len(t, list.Routes, 2)
	w.must("DELETE", "/projects/P/routes/x", serviceToken, nil)
}

func TestMostRoutes(t *testing.T) {
	w := routing(t, "t", "a")
	for i := 0; ; i++ {
		require.Less(t, i, 1000)
		a := w.ask("PUT", fmt.Sprint("/projects/P/routes/r", i), serviceToken, `{"topic":"projects/P/topics/t","targets":["projects/P/topics/a"]}`)
		if a.code != 200 {
			require.True(t, strings.Contains(a.body, "a project may have 200 routes"), a.body)
			require.Equal(t, 200, i)
			break
		}
	}
	require.NotNil(t, w.directory.Route(t.Context(), resource.Name{Project: "P", Name: "r0"}))
}
