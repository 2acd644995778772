package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/protocols/stomp/bench"
)

func TestPlanHasEveryScenario(t *testing.T) {
	var planned, known []string
	for _, e := range plan {
		planned = append(planned, e.name)
		require.NoError(t, scenario(e).Validate())
	}
	for _, s := range bench.Scenarios() {
		known = append(known, s.Name)
	}
	require.ElementsMatch(t, known, planned)
}

// reported is a report of one scenario with the deliveries per second of each run.
func reported(name string, runs map[string][]bench.Result) string {
	m := &measurement{settings: settings{dir: "/", runs: 3}, results: map[string]map[string][]bench.Result{name: runs}}
	for _, b := range []string{"Sluice", "ActiveMQ", "RabbitMQ"} {
		m.brokers = append(m.brokers, &broker{name: b, version: "1"})
	}
	return m.report()
}

func delivering(rates ...float64) (out []bench.Result) {
	for _, r := range rates {
		out = append(out, bench.Result{Deliver: r, Usage: bench.Usage{Elapsed: 1e9, Flushes: 77}})
	}
	return out
}

func TestReportComparesMediansWithTheBetterPeer(t *testing.T) {
	text := reported("topic", map[string][]bench.Result{
		"Sluice": delivering(300_000, 100_000, 200_000), "ActiveMQ": delivering(40_000, 50_000, 60_000), "RabbitMQ": delivering(1, 2, 3), "relay": delivering(400_000),
	})
	require.Contains(t, text, "| 200 k (100 k–300 k) | 50 k (40 k–60 k) | 2 (1–3) | 4 × | 400 k |")
	require.Contains(t, text, "| 77 |")
}

func TestReportComparesLatencyWithTheShorter(t *testing.T) {
	at := func(p50 time.Duration) []bench.Result {
		return []bench.Result{{Latency: bench.Quantiles{P50: p50}, Usage: bench.Usage{Elapsed: 1e9}}}
	}
	text := reported("latency", map[string][]bench.Result{
		"Sluice": at(3 * time.Millisecond), "ActiveMQ": at(2 * time.Millisecond), "RabbitMQ": at(time.Millisecond),
	})
	require.Contains(t, text, "| p50 | 3.00 (3.00–3.00) | 2.00 (2.00–2.00) | 1.00 (1.00–1.00) | 3 × |")
}

// A run that went wrong is not hidden behind medians.
func TestReportShowsFaults(t *testing.T) {
	bad := delivering(1, 2, 3)
	bad[1].Verdict.Lost = 5
	text := reported("topic", map[string][]bench.Result{"Sluice": delivering(9), "ActiveMQ": bad, "RabbitMQ": delivering(2)})
	require.Contains(t, text, "| 5 lost |")
}

// What lost messages is not compared with.
func TestReportLeavesFaultyRunsOutOfRatios(t *testing.T) {
	bad := delivering(8)
	bad[0].Verdict.Lost = 5
	runs := map[string][]bench.Result{"Sluice": delivering(12), "ActiveMQ": bad, "RabbitMQ": delivering(2)}
	require.Contains(t, reported("topic", runs), "| 6 × |")
	runs["Sluice"] = bad
	require.Contains(t, reported("topic", runs), "| 2 (2–2) | - |")
}
