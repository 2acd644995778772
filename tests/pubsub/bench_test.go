package pubsub

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	nodes "github.com/sluice-mq/sluice/tests/node"
)

// `sluice bench http` measures a node, verifies what it was given, says what it cost, and leaves nothing behind but the project.
func TestBenchHTTP(t *testing.T) {
	n := nodes.StartConfigured(t, doors(`{}`))
	bench := func(with string, args ...string) ([]byte, error) {
		return n.Command(append([]string{"bench", "http", "--address", "http://" + n.Addr("pubsub"), "--token", with, "--output", "json"}, args...)...).Output()
	}
	out, err := bench(token, "--messages", "2000")
	require.NoError(t, err)
	var results []struct {
		Scenario struct {
			Name     string
			Messages int
		}
		Rate    float64 `json:"per_second"`
		Request struct {
			P50 int64 `json:"p50_ns"`
			P99 int64 `json:"p99_ns"`
		}
	}
	require.NoError(t, json.Unmarshal(out, &results))
	require.Len(t, results, 6)
	for _, r := range results {
		require.GreaterOrEqual(t, r.Scenario.Messages, 2000, r.Scenario.Name)
		require.Positive(t, r.Rate, r.Scenario.Name)
		require.Positive(t, r.Request.P50, r.Scenario.Name)
		require.GreaterOrEqual(t, r.Request.P99, r.Request.P50, r.Scenario.Name)
	}
	var left struct{ Topics, Subscriptions []any }
	service := caller{t, n, token}
	service.must("GET", "/projects/bench/topics", "", &left)
	service.must("GET", "/projects/bench/subscriptions", "", &left)
	require.Empty(t, left.Topics)
	require.Empty(t, left.Subscriptions)
	_, err = bench("another", "publish")
	require.Error(t, err, "nobody lets it in")
}
