package pubsub

import (
	"context"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// place reads where a subscription and its log stand, or at which offset something is that q asks for.
func (s *Server) place(r *request, q gateway.LogQuery) (*resource.Subscription, *resource.Topic, gateway.LogPage, error) {
	sub, err := s.mySubscription(r)
	if err != nil {
		return nil, nil, gateway.LogPage{}, err
	}
	t, err := s.topicOf(r.Context(), sub)
	if err != nil {
		return nil, nil, gateway.LogPage{}, err
	}
	page, err := s.cfg.Logs.Read(r.Context(), t.Name.String(), q)
	if err != nil {
		return nil, nil, gateway.LogPage{}, unread(err)
	}
	return sub, t, page, nil
}

func (s *Server) offsets(r *request) (any, error) {
	sub, t, page, err := s.place(r, gateway.LogQuery{})
	if err != nil {
		return nil, err
	}
	current := s.cfg.Directory.CursorOf(sub, t).Offset
	return wire.Offsets{Max: page.Next, Min: page.First, Current: min(max(current, page.First), page.Next)}, nil
}

func (s *Server) changeOffset(r *request) (any, error) {
	sub, t, page, err := s.place(r, gateway.LogQuery{})
	if err != nil {
		return nil, err
	}
	asked, err := wire.Decode[wire.OffsetRequest](r.body)
	if err != nil || !asked.Offset.Set {
		return nil, wire.InvalidArguments("Offset")
	}
	to := asked.Offset.Value
	if to < 0 || uint64(to) < page.First || uint64(to) > page.Next {
		return nil, wire.Invalid("Offset out of bounds")
	}
	return nil, s.moveTo(r.Context(), sub, t, uint64(to))
}

// moveTo sets a cursor to another place. What was handed out before is as if it had not been.
func (s *Server) moveTo(ctx context.Context, sub *resource.Subscription, t *resource.Topic, offset uint64) error {
	err := s.cfg.Directory.MoveCursor(ctx, sub, t, func(c *resource.Cursor) (bool, error) {
		c.Offset, c.Next, c.Open = offset, 0, nil
		c.Generation++
		return true, nil
	})
	if err != nil {
		return unacknowledged(err)
	}
	return nil
}

// seek sets a subscription to an offset, or to the first message that was stored at a time or later: behind all that there is, if there is none.
func (s *Server) seek(r *request) (any, error) {
	asked, err := wire.Decode[wire.SeekRequest](r.body)
	at, timed := wire.ParseInstant(asked.Time)
	if err != nil || asked.Offset.Set == (asked.Time != "") || !asked.Offset.Set && !timed {
		if _, err := s.mySubscription(r); err != nil {
			return nil, err
		}
		return nil, wire.InvalidArguments("Seek(needs an offset, or a time)")
	}
	q := gateway.LogQuery{}
	if timed {
		q.Since = max(at.UnixMilli(), 1)
	}
	sub, t, page, err := s.place(r, q)
	if err != nil {
		return nil, err
	}
	to := page.At
	if !timed {
		if asked.Offset.Value < 0 || uint64(asked.Offset.Value) < page.First || uint64(asked.Offset.Value) > page.Next {
			return nil, wire.Invalid("Offset out of bounds")
		}
		to = uint64(asked.Offset.Value)
	}
	if err := s.moveTo(r.Context(), sub, t, to); err != nil {
		return nil, err
	}
	return wire.Nothing{}, nil
}

func (s *Server) timeToOffset(r *request) (any, error) {
	at, ok := wire.ParseMoment(r.URL.Query().Get("time"))
	if !ok {
		if _, err := s.mySubscription(r); err != nil {
			return nil, err
		}
		return nil, wire.Invalid("Time is not in valid Zulu format.")
	}
	_, _, page, err := s.place(r, gateway.LogQuery{Since: max(at.UnixMilli(), 1)})
	if err != nil {
		return nil, err
	}
	if page.At >= page.Next {
		return nil, wire.Conflict("Timestamp is out of bounds for the subscription's topic/partition")
	}
	return styled{wire.Offset{Offset: page.At}, wire.Compact}, nil
}
