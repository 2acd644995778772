package resource_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/gateway/route"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

func routeTo(t testing.TB, d *resource.Directory, name string, of *resource.Topic, start uint64, targets ...string) *resource.Route {
	r, err := d.CreateRoute(t.Context(), resource.Route{Name: n(name), Topic: of.Name.Name, Log: of.ID, Start: start, Spec: route.Spec{Targets: targets}}, "")
	require.NoError(t, err)
	return r
}

// What several nodes say of how far a route is adds up, and is of that route and that log alone.
func TestProgressIsOfOneRouteAndOneLog(t *testing.T) {
	disk := gatewaytest.NewDisk(1)
	d, _ := open(t, disk, true)
	other, _ := open(t, disk, true)
	project(t, d, "P")
	of := topic(t, d, "P.t")
	r := routeTo(t, d, "P.r", of, 7, "a-{attributes.x}")
	seen := other.Route(t.Context(), n("P.r"))
	require.NotNil(t, seen.Rule())
	require.Equal(t, uint64(7), other.ProgressOf(seen, of).Next)
	var all sync.WaitGroup
	for _, node := range []*resource.Directory{d, other} {
		all.Go(func() {
			for range 20 {
				if err := node.MoveRoute(t.Context(), r, of, func(p *route.Progress) bool {
					p.Next, p.Copies = p.Next+1, p.Copies+2
					return true
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	require.NoError(t, d.Look(t.Context()))
	require.Equal(t, route.Progress{Next: 47, Copies: 80}, d.ProgressOf(r, of).Progress)
	require.NoError(t, d.MoveRoute(t.Context(), r, of, func(*route.Progress) bool { return false }))

	require.NoError(t, d.DeleteTopic(t.Context(), n("P.t")))
	routed, _ := d.Routed()
	require.Empty(t, routed)
	again := topic(t, d, "P.t")
	move := func(r *resource.Route, of *resource.Topic) gateway.ErrorKind {
		err := d.MoveRoute(t.Context(), r, of, func(p *route.Progress) bool {
			p.Next++
			return true
		})
		require.True(t, err == nil || kind(err) == gateway.NotFound, "%v", err)
		return kind(err)
	}
	require.Equal(t, gateway.NotFound, move(r, of), "that is not its log any more")
	require.Equal(t, route.Progress{Copies: 80}, d.ProgressOf(r, again).Progress, "it begins at the front")
	require.NoError(t, d.DeleteRoute(t.Context(), n("P.r")))
	require.False(t, d.Stands(r))
	require.Equal(t, gateway.NotFound, move(r, again))
	made := routeTo(t, d, "P.r", again, 3, "b")
	require.True(t, d.Stands(made))
	require.False(t, d.Stands(r))
	require.Equal(t, route.Progress{Next: 3}, d.ProgressOf(made, again).Progress)
}

// A route that leads back is refused, through however many others; one of another project leads nowhere here.
func TestRoutesDoNotLeadBack(t *testing.T) {
	d, _ := open(t, gatewaytest.NewDisk(1), false)
	project(t, d, "P")
	project(t, d, "Q")
	topics := map[string]*resource.Topic{}
	for _, name := range []string{"P.a", "P.b", "P.c", "P.d", "Q.a", "Q.d"} {
		topics[name] = topic(t, d, name)
	}
	routeTo(t, d, "P.ab", topics["P.a"], 0, "b")
	routeTo(t, d, "P.bc", topics["P.b"], 0, "x-{attributes.x}", "c")
	routeTo(t, d, "Q.da", topics["Q.d"], 0, "a")
	_, err := d.CreateRoute(t.Context(), resource.Route{Name: n("P.cd"), Topic: "c", Log: topics["P.c"].ID, DeadLetters: "d", Spec: route.Spec{Targets: []string{"{attributes.x}"}}}, "")
	require.NoError(t, err)
	for _, target := range []string{"a", "b", "c", "d"} {
		_, err := d.CreateRoute(t.Context(), resource.Route{Name: n("P.back"), Topic: "d", Log: topics["P.d"].ID, Spec: route.Spec{Targets: []string{target}}}, "")
		require.Equal(t, gateway.Invalid, kind(err), target)
	}
	routeTo(t, d, "P.back", topics["P.d"], 0, "{attributes.y}")
	_, err = d.CreateRoute(t.Context(), resource.Route{Name: n("P.bad"), Topic: "d", Log: topics["P.d"].ID}, "")
	require.Equal(t, gateway.Invalid, kind(err))
	_, err = d.CreateRoute(t.Context(), resource.Route{Name: n("P.gone"), Topic: "d", Log: "another", Spec: route.Spec{Targets: []string{"a"}}}, "")
	require.Equal(t, gateway.NotFound, kind(err))
	missing, err := d.MissingTopics(t.Context(), []string{"P.a", "P.x", "Q.b"})
	require.NoError(t, err)
	require.Equal(t, map[string]struct{}{"P.x": {}, "Q.b": {}}, missing)
	require.NoError(t, d.DeleteProject(t.Context(), "P"))
	require.Empty(t, d.RoutesOf("P"))
	require.Len(t, d.RoutesOf("Q"), 1)
}
