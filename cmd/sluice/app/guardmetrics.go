package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-mq/sluice/protocols/stomp"
)

var (
	logins          = prometheus.NewDesc("sluice_logins_total", "Logins by what decided and what came of it.", []string{"shown", "outcome"}, nil)
	braked          = prometheus.NewDesc("sluice_logins_braked", "Hosts, and logins from them, whose failures are remembered now.", nil, nil)
	limitReached    = prometheus.NewDesc("sluice_limits_reached_total", "How often a limit was reached, by whose it is.", []string{"scope", "limit"}, nil)
	auditMissing    = prometheus.NewDesc("sluice_audit_missing_total", "Events that could not be written down.", nil, nil)
	connectionsOpen = prometheus.NewDesc("sluice_connections", "Connections of a listener, by how far they have come.", []string{"listener", "state"}, nil)
	accepted        = prometheus.NewDesc("sluice_connections_accepted_total", "Connections that a listener has accepted since it was opened.", []string{"listener"}, nil)
	turnedAway      = prometheus.NewDesc("sluice_connections_refused_total", "Connections that a listener has turned away since it was opened.", []string{"listener", "reason"}, nil)
)

// guardCollector shows what happens at the doors. Listeners are those of the configuration, so that no label grows with clients.
type guardCollector struct{ node *node }

// Describe implements prometheus.Collector.
func (g guardCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range append(describePubSub(), logins, braked, limitReached, auditMissing, connectionsOpen, accepted, turnedAway, certificateExpiry, crlExpiry) {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g guardCollector) Collect(ch chan<- prometheus.Metric) {
	n := g.node
	if c := n.figures.live.Load(); c != nil { // the broker is there, and so is what it needs
		for _, l := range c.broker.Stats().Limits {
			ch <- prometheus.MustNewConstMetric(limitReached, prometheus.CounterValue, float64(l.Count), l.Scope, l.Limit)
		}
		n.guard.collect(ch)
		n.collectPubSub(ch)
	}
	for _, d := range n.listening() {
		s, ok := d.door.(interface{ Stats() stomp.Stats })
		if !ok {
			continue
		}
		at, stats := d.Addr().String(), s.Stats()
		for state, count := range map[string]int{"open": stats.Open, "waiting": stats.Waiting, "unknown": stats.Unknown} {
			ch <- prometheus.MustNewConstMetric(connectionsOpen, prometheus.GaugeValue, float64(count), at, state)
		}
		ch <- prometheus.MustNewConstMetric(accepted, prometheus.CounterValue, float64(stats.Accepted), at)
		r := stats.Refused
		for reason, count := range map[string]uint64{"limit": r.Limit, "address": r.Address, "storm": r.Storm, "handshake": r.Handshake, "proxy": r.Proxy, "protocol": r.Protocol} {
			ch <- prometheus.MustNewConstMetric(turnedAway, prometheus.CounterValue, float64(count), at, reason)
		}
	}
}

// collect shows who came in, what could not be written down, and how long certificates are good.
func (g *guard) collect(ch chan<- prometheus.Metric) {
	if g.chain != nil {
		s := g.chain.Stats()
		for c, count := range s.Counts {
			ch <- prometheus.MustNewConstMetric(logins, prometheus.CounterValue, float64(count), c.Shown, c.Outcome)
		}
		ch <- prometheus.MustNewConstMetric(braked, prometheus.GaugeValue, float64(s.Braked))
	}
	if g.audit != nil {
		ch <- prometheus.MustNewConstMetric(auditMissing, prometheus.CounterValue, float64(g.audit.Missing()))
	}
	g.certificates.collect(ch)
	if end := g.cluster.certificateEnds(); !end.IsZero() {
		ch <- prometheus.MustNewConstMetric(certificateExpiry, prometheus.GaugeValue, float64(end.Unix()), g.cluster.Address.String())
	}
}
