package pubsub

import (
	"time"

	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// leastRetention and mostRetention bound what a topic's messages may be kept for by whoever administers a project; what the operator says for all of them is not bounded.
const (
	leastRetention = time.Minute
	mostRetention  = 31 * 24 * time.Hour
)

// retention is what is asked for a topic, in milliseconds; what the operator says if nothing is asked.
func (s *Server) retention(asked wire.Span) (int64, error) {
	usual := s.terms.Load().Retention
	switch {
	case !asked.Set || asked.Value == usual:
		return usual.Milliseconds(), nil
	case asked.Value < leastRetention || asked.Value > mostRetention:
		return 0, wire.Invalid("messageRetentionDuration must be between " + wire.Seconds(leastRetention) + " and " + wire.Seconds(mostRetention))
	}
	return asked.Value.Milliseconds(), nil
}

// modifyRetention has the messages of a topic stay for another time, those that are there as well.
func (s *Server) modifyRetention(r *request) (any, error) {
	asked, err := wire.Decode[wire.TopicRequest](r.body)
	if err != nil {
		return nil, wire.InvalidBody()
	}
	keeps, err := s.retention(asked.Retention)
	if err != nil {
		return nil, err
	}
	return nil, in(s.cfg.Directory.ChangeTopic(r.Context(), r.topic(), func(t *resource.Topic) { t.Retention = keeps }), "Topic")
}
