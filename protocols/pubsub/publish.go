package pubsub

import (
	"math"
	"strconv"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// publish sends messages to a topic: all of them or none, up to as many as a log takes at once; of more, each such part.
func (s *Server) publish(r *request) (any, error) {
	t, err := s.theTopic(r)
	if err != nil {
		return nil, err
	}
	if r.caller.barred(publisher, t.ACL) {
		return nil, wire.Forbidden("")
	}
	asked, err := wire.DecodePublish(r.body)
	if err != nil {
		return nil, wire.InvalidArguments("Message")
	}
	r.body = nil
	messages := make([]*gateway.Message, len(asked.Messages))
	for i := range asked.Messages { // all of them, before any is sent
		if messages[i], err = toMessage(t.Name.String(), &asked.Messages[i], s.terms.Load().MaxMessage); err != nil {
			return nil, err
		}
		if err := s.ruled(r, t, i, &asked.Messages[i]); err != nil {
			return nil, err
		}
	}
	if len(messages) > gateway.MaxLogBatch { // the broker asks before it takes a part, and none is to be taken
		for i, m := range messages {
			if err := s.cfg.Directory.Check(t.Name.String(), i, m); err != nil {
				return nil, err
			}
		}
	}
	ids := make([]string, 0, len(messages))
	for len(messages) > 0 {
		part := messages[:min(len(messages), gateway.MaxLogBatch)]
		messages = messages[len(part):]
		if err := s.send(r, part); err != nil {
			return nil, err
		}
		s.counts.published.Add(uint64(len(part)))
		for _, m := range part {
			ids = append(ids, strconv.FormatUint(m.Offset, 10))
		}
	}
	return wire.Published{IDs: ids}, nil
}

// unlogged is the offset of a message that is in no log.
const unlogged = math.MaxUint64

// done tells a request that waits.
type done chan error

// Complete implements gateway.Completion.
func (d done) Complete(_ uint64, err error) { d <- err }

// send has the broker take messages, and waits until they are in the log.
func (s *Server) send(r *request, part []*gateway.Message) error {
	ctx := r.Context()
	session, leave, err := s.sessions.of(ctx, r)
	if err != nil {
		return refused(err)
	}
	defer leave()
	c := make(done, 1)
	if len(part) == 1 {
		session.Send(part[0], c, 0)
	} else {
		session.Commit(&gateway.Transaction{Sends: part}, c, 0)
	}
	select {
	case err = <-c:
	case <-ctx.Done():
		return wire.Unavailable(ctx.Err()) // nobody may look at what is still on its way
	}
	if err == nil && part[0].Offset == unlogged { // the topic was deleted meanwhile
		return wire.NotFound("Topic")
	}
	return refused(err)
}

// refused is what a publisher hears of an error of the broker.
func refused(err error) error {
	switch {
	case err == nil:
		return nil
	case gateway.KindOf(err) == gateway.NotFound:
		return wire.NotFound("Topic")
	case gateway.KindOf(err) == gateway.Unauthenticated: // the token was good a moment ago
		return wire.Unavailable(err)
	}
	return err
}
