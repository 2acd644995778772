package app

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// TestEveryMetricIsInTheHandbook compares what is collected with the table in
// docs/operations.md, both ways.
func TestEveryMetricIsInTheHandbook(t *testing.T) {
	handbook, err := os.ReadFile("../../../docs/operations.md")
	require.NoError(t, err)
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `sluice_.*$").FindAll(handbook, -1) {
		cell, _, _ := strings.Cut(string(row[1:]), "|")
		for _, name := range regexp.MustCompile("`(sluice_[a-z_]+)").FindAllStringSubmatch(cell, -1) {
			documented = append(documented, name[1])
		}
	}
	require.ElementsMatch(t, collectedMetrics(), documented)
}

// The rules for Prometheus that the program is delivered with are about metrics that there are, and have what rules have.
func TestEveryAlertIsAboutMetricsThatThereAre(t *testing.T) {
	text, err := os.ReadFile("../../../deploy/alerts.yaml")
	require.NoError(t, err)
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &file))
	collected := collectedMetrics()
	for _, r := range file.Groups[0].Rules {
		require.NotEmpty(t, r.Alert)
		require.Contains(t, []string{"warning", "critical"}, r.Labels["severity"], r.Alert)
		require.NotEmpty(t, r.Annotations["summary"], r.Alert)
		names := regexp.MustCompile(`sluice_\w+`).FindAllString(r.Expr, -1)
		if r.Alert != "SluiceNodeDown" {
			require.NotEmpty(t, names, r.Alert)
		}
		for _, name := range names {
			require.Contains(t, collected, name, r.Alert)
		}
	}
	require.Greater(t, len(file.Groups[0].Rules), 10)
}

// collectedMetrics are the names of the node's own metrics.
func collectedMetrics() (collected []string) {
	described := make(chan *prometheus.Desc, 1000)
	for _, c := range append(collectorsOf(&health{}), &brokerCollector{}, guardCollector{}) {
		c.Describe(described)
	}
	close(described)
	for d := range described {
		if name := regexp.MustCompile(`fqName: "(sluice_\w+)"`).FindStringSubmatch(d.String()); name != nil {
			collected = append(collected, name[1])
		}
	}
	return collected
}
