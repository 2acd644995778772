package pubsub

import (
	"context"
	"encoding/base64"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

const (
	// pullMessages and pullBytes are what an answer holds at most, whatever the client asks for.
	pullMessages = 10_000
	pullBytes    = 8 << 20
)

// unread is what a client hears of an error of a log.
func unread(err error) error {
	if gateway.KindOf(err) == gateway.NotFound {
		return noTopic()
	}
	return wire.Unavailable(err)
}

// noTopic is the answer about a subscription whose topic is gone.
func noTopic() *wire.Problem { return wire.Conflict("Subscription's topic doesn't exist") }

// topicOf is the topic of a subscription.
func (s *Server) topicOf(ctx context.Context, sub *resource.Subscription) (*resource.Topic, error) {
	if t := s.cfg.Directory.Topic(ctx, resource.Name{Project: sub.Project, Name: sub.Topic}); t != nil {
		return t, nil
	}
	return nil, noTopic()
}

// pull answers with what there is, at once: clients that poll take a pull that waits for one that hangs. Only of a leased subscription one may wait.
func (s *Server) pull(r *request) (any, error) {
	sub, err := s.mySubscription(r)
	if err != nil {
		return nil, err
	}
	if sub.Push.Enabled() && s.cfg.Push == nil && r.caller.is(pushWorker) {
		return nil, pushDisabled()
	}
	if sub.Push.Enabled() && !r.caller.is(pushWorker) && !r.caller.privileged {
		return nil, wire.Forbidden("")
	}
	asked, err := wire.Decode[wire.PullRequest](r.body)
	if err != nil {
		return nil, wire.InvalidArguments("Pull Parameters")
	}
	if sub.Lease != nil {
		return s.pullLeased(r, sub, &asked)
	}
	t, err := s.topicOf(r.Context(), sub)
	if err != nil {
		return nil, err
	}
	c := s.cfg.Directory.CursorOf(sub, t)
	page, err := s.gather(r, sub, t, gateway.LogQuery{From: c.Offset, Messages: min(asked.Max(), pullMessages)})
	if err != nil {
		return nil, err
	}
	answer := wire.Pulled{Received: make([]wire.Received, len(page.Messages))}
	bytes := 0
	for i, m := range page.Messages {
		answer.Received[i] = wire.Received{AckID: wire.AckID(sub.Project, sub.Name.Name, m.Offset)}
		answer.Received[i].Message, answer.Received[i].Body = plainMessage(m)
		bytes += len(answer.Received[i].Message.Data) + base64.StdEncoding.EncodedLen(len(answer.Received[i].Body))
	}
	if n := uint64(len(page.Messages)); n > 0 {
		s.counts.pulled.Add(n)
		s.pulls.put(sub.ID, pulled{from: c.Offset, end: page.At + n, messages: n, bytes: uint64(bytes), at: s.cfg.Now(), generation: c.Generation, log: t.ID})
	}
	return r.encode(answer), nil
}
