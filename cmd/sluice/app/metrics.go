package app

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// collectorsOf is what /metrics shows of the process and the node.
func collectorsOf(h *health) []prometheus.Collector {
	b := ReadBuild()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "sluice_build_info", Help: "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": b.Version, "revision": b.Revision, "go": b.Go},
	})
	build.Set(1)
	return []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		build,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "sluice_ready", Help: "1 while the node is in service, as /readyz says.",
		}, func() float64 {
			for _, c := range h.Checks() {
				if c.Reason != "" {
					return 0
				}
			}
			return 1
		}),
	}
}
