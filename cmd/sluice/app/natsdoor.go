package app

import (
	"errors"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-mq/sluice/jetstream/embed"
	"github.com/sluice-mq/sluice/protocols/nats"
)

// openNats puts the door for native clients behind the listener that the
// embedded server has opened already.
func (n *node) openNats(log *slog.Logger) error {
	cfg := nats.Config{
		Addr: n.server.Addr(), Broker: n.broker, Logger: log,
		Interest: func(subject string) bool { return n.server.Interest(embed.Outbound, subject) },
	}
	var errs [3]error
	cfg.Inbound, errs[0] = n.server.Connect(embed.Inbound, "native publishes")
	cfg.Outbound, errs[1] = n.server.Connect(embed.Outbound, "topics for native clients")
	cfg.Answers, errs[2] = n.server.Connect(embed.Users, "answers to native clients")
	if err := errors.Join(errs[:]...); err != nil {
		for _, nc := range []interface{ Close() }{cfg.Inbound, cfg.Outbound, cfg.Answers} {
			nc.Close() // which a nil one allows
		}
		return err
	}
	d, err := nats.New(cfg)
	if err != nil {
		return err
	}
	n.doors = append(n.doors, listener{Nats, d})
	n.figures.nats.Store(d)
	return nil
}

var (
	nativeIn          = prometheus.NewDesc("sluice_nats_received_total", "Messages that native clients published to queues and topics.", nil, nil)
	nativeRefused     = prometheus.NewDesc("sluice_nats_refused_total", "Native messages that the broker refused.", nil, nil)
	nativeUnanswered  = prometheus.NewDesc("sluice_nats_unanswered_total", "Native messages whose PubAck could not be sent.", nil, nil)
	nativeDropped     = prometheus.NewDesc("sluice_nats_dropped_total", "Native messages dropped because too many waited for the broker.", nil, nil)
	nativeRelayed     = prometheus.NewDesc("sluice_nats_relayed_total", "Topic messages handed to native clients.", nil, nil)
	nativeUnrelayed   = prometheus.NewDesc("sluice_nats_unrelayed_total", "Topic messages that could not be handed to native clients.", nil, nil)
	nativeInterrupted = prometheus.NewDesc("sluice_nats_interrupted_total", "Times that topic messages came faster than they could be handed to native clients.", nil, nil)
	nativeOutstanding = prometheus.NewDesc("sluice_nats_outstanding", "Native messages that are with the broker and not answered yet.", nil, nil)
)

// natsFigures lists what the door for native clients counts.
func natsFigures() []*prometheus.Desc {
	return []*prometheus.Desc{nativeIn, nativeRefused, nativeUnanswered, nativeDropped, nativeRelayed, nativeUnrelayed, nativeInterrupted, nativeOutstanding}
}

// collectNats shows the door's snapshot.
func collectNats(d *nats.Door, ch chan<- prometheus.Metric) {
	s := d.Stats()
	for _, c := range []struct {
		desc  *prometheus.Desc
		value uint64
	}{
		{nativeIn, s.Received}, {nativeRefused, s.Refused}, {nativeUnanswered, s.Unanswered}, {nativeDropped, s.Dropped},
		{nativeRelayed, s.Relayed}, {nativeUnrelayed, s.Unrelayed}, {nativeInterrupted, s.Interrupted},
	} {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.CounterValue, float64(c.value))
	}
	ch <- prometheus.MustNewConstMetric(nativeOutstanding, prometheus.GaugeValue, float64(s.Outstanding))
}
