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
	pull, known := s.answered(sub, t, last)
	if !known {
		if pull.end, err = s.end(ctx, t); err != nil {
			return nil, err
		}
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

// answered is the pull that an acknowledgement answers: the last one, which may be none. It is not known if it may have come to another node, or to this one before it was started or
// before what it knew was too much.
func (s *Server) answered(sub *resource.Subscription, t *resource.Topic, last uint64) (pull pulled, known bool) {
	pull, known, forgetful := s.pulls.get(sub.ID)
	switch {
	case !known:
		return pulled{}, !s.cfg.Shared && !forgetful && !sub.CreatedAt().Before(s.started)
	case pull.log != t.ID:
		pull = pulled{}
	}
	if !s.cfg.Shared {
		return pull, true
	}
	c := s.cfg.Directory.CursorOf(sub, t)
	if pull.pending && pull.generation == c.Generation && pull.from == c.Offset && last < pull.end {
		return pull, true
	}
	return pulled{}, false // it answers another one, which came to another node
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
	case known && int64(s.cfg.Now().Sub(pull.at)/time.Second) > sub.Deadline:
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
