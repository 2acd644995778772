package pubsub

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// acknowledge moves a subscription's cursor behind the last message that the client names. Of a leased one just those messages are acknowledged.
func (s *Server) acknowledge(r *request) (any, error) {
	sub, err := s.mySubscription(r)
	if err != nil {
		return nil, err
	}
	asked, err := wire.Decode[wire.AckRequest](r.body)
	if err != nil {
		return nil, wire.Invalid("Invalid ack parameter")
	}
	if sub.Lease != nil {
		return s.acknowledgeLeased(r, sub, asked.AckIDs)
	}
	last, ok := wire.Acked(asked.AckIDs, sub.Project, sub.Name.Name)
	if !ok {
		return nil, wire.Invalid("Invalid ack id")
	}
	t, err := s.topicOf(r.Context(), sub)
	if err != nil {
		return nil, err
	}
	ctx := r.Context()
	pull, known := s.pulls.get(sub.ID)
	if !known && s.elsewhere(sub) {
		if pull.end, err = s.end(ctx, t); err != nil {
			return nil, err
		}
	} else {
		known = true
	}
	moved, messages := false, uint64(0)
	err = s.cfg.Directory.MoveCursor(ctx, sub, t, func(c *resource.Cursor) (bool, error) {
		if moved = last+1 > c.Offset; !moved { // asked for twice
			return false, nil
		}
		if p := s.late(&pull, known, last, sub, c); p != nil {
			return false, p
		}
		messages = last + 1 - c.Offset
		c.Acknowledge(last+1, messages, pull.share(messages), s.cfg.Now())
		return true, nil
	})
	if err != nil {
		return nil, unacknowledged(err)
	}
	if moved {
		s.pulls.settle(sub.ID, pull.serial)
		s.counts.acknowledged.Add(messages)
	}
	return wire.Nothing{}, nil
}

// elsewhere reports whether a subscription may have been pulled without this process knowing of it.
func (s *Server) elsewhere(sub *resource.Subscription) bool {
	return s.cfg.Shared || sub.CreatedAt().Before(s.started)
}

// end is the end of a topic's log.
func (s *Server) end(ctx context.Context, t *resource.Topic) (uint64, error) {
	page, err := s.cfg.Logs.Read(ctx, t.Name.String(), gateway.LogQuery{})
	if err != nil {
		return 0, unread(err)
	}
	return page.Next, nil
}

// late returns why a message cannot be acknowledged now, nil if it can. If the pull is not known, only the end of the log counts.
func (s *Server) late(pull *pulled, known bool, last uint64, sub *resource.Subscription, c *resource.Cursor) error {
	switch {
	case known && (!pull.pending || pull.generation != c.Generation):
		return wire.Internal("no ack pending", nil)
	case last+1 > pull.end:
		return wire.Internal("wrong ack", nil)
	case known && s.cfg.Now().Sub(pull.at).Truncate(time.Second) > time.Duration(sub.Deadline)*time.Second:
		return wire.Late()
	}
	return nil
}

// unacknowledged is what a client hears of an error while the cursor moves.
func unacknowledged(err error) error {
	var p *wire.Problem
	if errors.As(err, &p) {
		return p
	}
	if gateway.KindOf(err) == gateway.NotFound {
		return wire.NotFound("Subscription")
	}
	return wire.Unavailable(err)
}
