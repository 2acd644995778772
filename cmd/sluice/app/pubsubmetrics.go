package app

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-mq/sluice/protocols/pubsub"
	"github.com/sluice-mq/sluice/protocols/pubsub/authn"
)

var (
	pubsubCalls        = prometheus.NewDesc("sluice_pubsub_requests_total", "Requests to HTTP Pub/Sub and its mapping of certificates, by call and answer.", []string{"call", "codes"}, nil)
	pubsubPublished    = prometheus.NewDesc("sluice_pubsub_published_total", "Messages published by HTTP.", nil, nil)
	pubsubPulled       = prometheus.NewDesc("sluice_pubsub_pulled_total", "Messages handed out by HTTP, each time anew.", nil, nil)
	pubsubAcknowledged = prometheus.NewDesc("sluice_pubsub_acknowledged_total", "Messages acknowledged by HTTP.", nil, nil)
	pubsubPushes       = prometheus.NewDesc("sluice_pubsub_pushes_total", "Pushes to endpoints, by whether the endpoint took them.", []string{"taken"}, nil)
	pubsubPushed       = prometheus.NewDesc("sluice_pubsub_pushed_total", "Messages that endpoints took.", nil, nil)
	pubsubLed          = prometheus.NewDesc("sluice_pubsub_push_subscriptions", "Subscriptions that this node pushes.", nil, nil)
	pubsubKept         = prometheus.NewDesc("sluice_pubsub_leased_subscriptions", "Leased subscriptions in use that this node keeps.", nil, nil)
	pubsubLeases       = prometheus.NewDesc("sluice_pubsub_leases", "Messages of those that were handed out and are not acknowledged.", nil, nil)
	pubsubCopies       = prometheus.NewDesc("sluice_pubsub_copies_total", "Copies that routes made on this node.", nil, nil)
	pubsubRefused      = prometheus.NewDesc("sluice_pubsub_route_refused_total", "Messages that routes of this node could not copy.", nil, nil)
	pubsubLag          = prometheus.NewDesc("sluice_pubsub_route_lag_messages", "Messages that a route of this node has not copied yet.", []string{"route"}, nil)
	pubsubObjects      = prometheus.NewDesc("sluice_pubsub_objects", "Projects, users, topics and subscriptions of HTTP Pub/Sub.", []string{"kind"}, nil)
)

// describePubSub lists what is shown of HTTP Pub/Sub.
func describePubSub() []*prometheus.Desc {
	return []*prometheus.Desc{pubsubCalls, pubsubPublished, pubsubPulled, pubsubAcknowledged, pubsubPushes, pubsubPushed, pubsubLed, pubsubKept, pubsubLeases, pubsubCopies, pubsubRefused, pubsubLag, pubsubObjects}
}

// collectPubSub shows what the doors for HTTP Pub/Sub have done, all of them together. Calls are those of the API, so that no label grows with clients.
func (n *node) collectPubSub(ch chan<- prometheus.Metric) {
	d := n.guard.callers.directory.Load()
	if d == nil {
		return
	}
	projects, users, topics, subscriptions := d.Count()
	here := slices.ContainsFunc(n.listening(), func(l listener) bool { return l.protocol == PubSubProtocol })
	if !here && projects+users+topics+subscriptions == 0 {
		return
	}
	var all pubsub.Figures
	calls := map[[2]string]uint64{}
	for _, l := range n.listening() {
		if s, ok := l.door.(*authn.Server); ok {
			for _, c := range s.Calls() {
				calls[[2]string{c.Call, c.Codes}] += c.Count
			}
		}
		s, ok := l.door.(*pubsub.Server)
		if !ok {
			continue
		}
		f := s.Figures()
		all.Published += f.Published
		all.Pulled += f.Pulled
		all.Acknowledged += f.Acknowledged
		for _, c := range f.Calls {
			calls[[2]string{c.Call, c.Codes}] += c.Count
		}
	}
	for labels, count := range calls {
		ch <- prometheus.MustNewConstMetric(pubsubCalls, prometheus.CounterValue, float64(count), labels[:]...)
	}
	for desc, count := range map[*prometheus.Desc]uint64{pubsubPublished: all.Published, pubsubPulled: all.Pulled, pubsubAcknowledged: all.Acknowledged} {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(count))
	}
	n.collectBeside(ch)
	for kind, count := range map[string]int{"project": projects, "user": users, "topic": topics, "subscription": subscriptions} {
		ch <- prometheus.MustNewConstMetric(pubsubObjects, prometheus.GaugeValue, float64(count), kind)
	}
}

// collectBeside shows what is done beside the doors: what is pushed, leased and copied.
func (n *node) collectBeside(ch chan<- prometheus.Metric) {
	if p := n.pusher.Load(); p != nil {
		s := p.Stats()
		for taken, count := range map[string]uint64{"true": s.Pushes, "false": s.Failures} {
			ch <- prometheus.MustNewConstMetric(pubsubPushes, prometheus.CounterValue, float64(count), taken)
		}
		ch <- prometheus.MustNewConstMetric(pubsubPushed, prometheus.CounterValue, float64(s.Messages))
		ch <- prometheus.MustNewConstMetric(pubsubLed, prometheus.GaugeValue, float64(s.Leads))
	}
	if k := n.leases.Load(); k != nil {
		kept, leases := k.Stats()
		ch <- prometheus.MustNewConstMetric(pubsubKept, prometheus.GaugeValue, float64(kept))
		ch <- prometheus.MustNewConstMetric(pubsubLeases, prometheus.GaugeValue, float64(leases))
	}
	if c := n.courier.Load(); c != nil {
		s := c.Stats()
		ch <- prometheus.MustNewConstMetric(pubsubCopies, prometheus.CounterValue, float64(s.Copies))
		ch <- prometheus.MustNewConstMetric(pubsubRefused, prometheus.CounterValue, float64(s.Refused))
		for _, l := range s.Lags {
			ch <- prometheus.MustNewConstMetric(pubsubLag, prometheus.GaugeValue, float64(l.Messages), l.Route)
		}
	}
}
