package pubsub_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/protocols/pubsub"
)

// The description names every route, with its roles and the names in its path, and nothing else; what it refers to is there.
func TestTheDescriptionIsThatOfTheRoutes(t *testing.T) {
	text, err := os.ReadFile("../../docs/http-pubsub.openapi.json")
	require.NoError(t, err)
	var d struct {
		Paths map[string]map[string]struct {
			Summary    string
			Roles      []string `json:"x-roles"`
			Parameters []struct{ Name, In string }
		}
		Components struct{ Schemas map[string]any }
	}
	require.NoError(t, json.Unmarshal(text, &d))
	described := 0
	for _, calls := range d.Paths {
		described += len(calls)
	}
	routes := pubsub.Routes()
	require.Equal(t, len(routes), described)
	for _, r := range routes {
		call, ok := d.Paths[r[1]][strings.ToLower(r[0])]
		require.True(t, ok, r)
		require.NotEmpty(t, call.Summary, r)
		require.Equal(t, strings.Fields(r[2]), append([]string{}, call.Roles...), r)
		named := 0
		for _, p := range call.Parameters {
			if p.In == "path" {
				named++
				require.Contains(t, r[1], "{"+p.Name+"}")
			}
		}
		require.Equal(t, strings.Count(r[1], "{"), named, r)
	}
	for _, ref := range strings.Split(string(text), `"#/components/schemas/`)[1:] {
		name, _, _ := strings.Cut(ref, `"`)
		require.Contains(t, d.Components.Schemas, name)
	}
}
