package pubsub

import (
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
	err = s.cfg.Directory.MoveCursor(r.Context(), sub, t, func(c *resource.Cursor) (bool, error) {
		c.Offset = uint64(to)
		c.Generation++
		return true, nil
	})
	if err != nil {
		return nil, unacknowledged(err)
	}
	return nil, nil
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
