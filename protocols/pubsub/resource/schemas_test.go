package resource_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// Many change one schema at once, on two nodes: each change is a revision of its own, and none is lost.
func TestRevisionsAtOnce(t *testing.T) {
	disk := gatewaytest.NewDisk(1)
	var nodes []*resource.Directory
	for range 2 {
		d, err := resource.Open(t.Context(), resource.Config{Facts: disk.Registry(), Shared: true})
		require.NoError(t, err)
		nodes = append(nodes, d)
	}
	_, err := nodes[0].CreateProject(t.Context(), "P", "", "")
	require.NoError(t, err)
	x := resource.Name{Project: "P", Name: "x"}
	_, err = nodes[0].CreateSchema(t.Context(), resource.Schema{Name: x, Type: "json", Text: []byte(`{"title":"0"}`)}, "")
	require.NoError(t, err)
	const each = 8
	var all sync.WaitGroup
	for i, d := range nodes {
		for k := range each {
			all.Go(func() {
				title := fmt.Sprintf(`{"title":"%d/%d"}`, i, k)
				if _, err := d.ReviseSchema(t.Context(), x, func(s *resource.Schema) error { s.Text = []byte(title); return nil }); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	s := nodes[0].Schema(t.Context(), x)
	require.Equal(t, 1+2*each, s.Number)
	seen := map[string]bool{}
	for i, r := range nodes[0].Revisions(s) {
		require.Equal(t, i+1, r.Number)
		seen[string(r.Text)] = true
	}
	require.Len(t, seen, 1+2*each)

	for range resource.MostRevisions - s.Number {
		_, err = nodes[1].ReviseSchema(t.Context(), x, func(*resource.Schema) error { return nil })
		require.NoError(t, err)
	}
	_, err = nodes[1].ReviseSchema(t.Context(), x, func(*resource.Schema) error { return nil })
	require.Equal(t, gateway.Limit, gateway.KindOf(err))
}
