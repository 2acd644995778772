package pubsub

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/selector"
	"github.com/sluice-mq/sluice/protocols/pubsub/lease"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// NewLeases makes what keeps leases, for all doors of a node: messages look there as they look when they are pulled.
func NewLeases(cfg lease.Config) (*lease.Keeper, error) {
	cfg.Translate = fromMessage
	return lease.New(cfg)
}

// leased is the mode of subscriptions whose messages are acknowledged one by one.
const leased = "leased"

// longPoll is how long a pull waits for messages: less than what impatient clients, and proxies, give a request.
const longPoll = 5 * time.Second

// What leases may be like. Times are in seconds, but for the back-offs.
const (
	mostFilter      = 4096
	mostAttempts    = 100
	defaultAttempts = 5
	mostBackoff     = 600 * time.Second
	defaultBackoff  = 10 * time.Second
)

// wantedLease is what a client wants of a subscription; nil if it is to be an ordinary one. The error is for the client.
func (s *Server) wantedLease(r *request, asked *wire.SubscriptionRequest, topic string) (*resource.Lease, error) {
	switch {
	case asked.Mode == "" && asked.LeaseRequest == (wire.LeaseRequest{}):
		return nil, nil
	case asked.Mode == "":
		return nil, wire.Invalid("enableMessageOrdering, filter, deadLetterPolicy and retryPolicy are for subscriptions with \"mode\": \"leased\"")
	case asked.Mode != leased:
		return nil, wire.Invalid("The mode can only be 'leased', or is left out")
	case s.cfg.Leases == nil:
		return nil, wire.Conflict("Leases are currently disabled")
	case asked.Push != nil && *asked.Push != (wire.PushRequest{}):
		return nil, leasedNotPushed()
	case asked.Deadline.Set && (asked.Deadline.Value < 1 || asked.Deadline.Value > mostDeadline):
		return nil, wire.InvalidArguments("ackDeadlineSeconds(needs value between 1 and 600)")
	case len(asked.Filter) > mostFilter:
		return nil, wire.Invalid("The filter is too long")
	}
	l := &resource.Lease{Secret: resource.NewToken(), Ordered: asked.Ordered, Filter: asked.Filter}
	if l.Filter != "" {
		if _, err := selector.Parse(l.Filter); err != nil {
			return nil, wire.Invalid("The filter is not understood: " + gateway.TextOf(err))
		}
	}
	if err := wantedBackoff(l, asked.Backoff); err != nil {
		return nil, err
	}
	return l, s.wantedDeadLetters(r, l, asked.DeadLetter, topic)
}

func leasedNotPushed() *wire.Problem {
	return wire.Invalid("A leased subscription is pulled: it cannot have a push configuration")
}

func wantedBackoff(l *resource.Lease, asked *wire.BackoffRequest) error {
	if asked == nil {
		return nil
	}
	least, most := defaultBackoff, mostBackoff
	if asked.Least.Set {
		least = asked.Least.Value
	}
	if asked.Most.Set {
		most = asked.Most.Value
	}
	if least > most && !asked.Least.Set {
		least = most
	}
	if least > most || most > mostBackoff {
		return wire.Invalid("The retry policy needs a minimumBackoff that is not above its maximumBackoff, and that not above 600s")
	}
	l.LeastBackoff, l.MostBackoff = least.Milliseconds(), most.Milliseconds()
	return nil
}

func (s *Server) wantedDeadLetters(r *request, l *resource.Lease, asked *wire.DeadLetterRequest, topic string) error {
	if asked == nil {
		return nil
	}
	project, name, ok := wire.Topic(asked.Topic)
	l.DeadLetters, l.Attempts = name, defaultAttempts
	if asked.Attempts.Set {
		l.Attempts = asked.Attempts.Value
	}
	switch {
	case !ok:
		return wire.InvalidName("Topic")
	case project != r.project.Name || name == topic:
		return wire.Invalid("The topic for dead letters is another one of the same project")
	case l.Attempts < 1 || l.Attempts > mostAttempts:
		return wire.Invalid("maxDeliveryAttempts needs a value between 1 and 100")
	case s.cfg.Directory.Topic(r.Context(), resource.Name{Project: project, Name: name}) == nil:
		return wire.NotFound("Topic")
	}
	return nil
}

// leasedAnswer is what a client sees of a lease.
func leasedAnswer(sub *resource.Subscription) *wire.Leased {
	l := sub.Lease
	if l == nil {
		return nil
	}
	a := &wire.Leased{Mode: leased, Ordered: l.Ordered, Filter: l.Filter}
	if l.DeadLetters != "" {
		a.DeadLetter = &wire.DeadLetter{Topic: "/projects/" + sub.Project + "/topics/" + l.DeadLetters, Attempts: l.Attempts}
	}
	if l.MostBackoff > 0 {
		a.Backoff = &wire.Backoff{
			Least: wire.Seconds(time.Duration(l.LeastBackoff) * time.Millisecond), Most: wire.Seconds(time.Duration(l.MostBackoff) * time.Millisecond),
		}
	}
	return a
}

// keeper is what keeps the leases, for a subscription that has some, and its topic.
func (s *Server) keeper(ctx context.Context, sub *resource.Subscription) (*lease.Keeper, *resource.Topic, error) {
	if s.cfg.Leases == nil {
		return nil, nil, wire.Conflict("Leases are currently disabled")
	}
	t, err := s.topicOf(ctx, sub)
	return s.cfg.Leases, t, err
}

// pullLeased hands messages out, each to be acknowledged by itself. A client that wants to wait waits a while.
func (s *Server) pullLeased(r *request, sub *resource.Subscription, asked *wire.PullRequest) (any, error) {
	k, t, err := s.keeper(r.Context(), sub)
	if err != nil {
		return nil, err
	}
	wait := time.Duration(0)
	if asked.Waits() {
		wait = longPoll
	}
	r.share = s.answers.Share(keyOf(&r.caller.shown), sub.ID)
	for {
		got, err := k.Pull(r.Context(), sub, t, min(asked.Max(), pullMessages), wait)
		if err != nil {
			return nil, unleased(err)
		}
		fits := r.fitting(got)
		if fits < len(got) { // they come back anyway, but later
			_ = k.Return(r.Context(), sub, t, idsOf(got[fits:]))
		}
		if fits > 0 || len(got) == 0 {
			s.counts.pulled.Add(uint64(fits))
			return r.encode(wire.Pulled{Received: append([]wire.Received{}, got[:fits]...)}), nil
		}
		least := costOfReceived(&got[0])
		got, wait = nil, 0 // nobody keeps it meanwhile
		if err := r.share.Take(r.Context(), least, least); err != nil {
			return nil, wire.Unavailable(err)
		}
	}
}

func idsOf(all []wire.Received) []string {
	ids := make([]string, len(all))
	for i := range all {
		ids[i] = all[i].AckID
	}
	return ids
}

// acknowledgeLeased acknowledges deliveries, those that can be.
func (s *Server) acknowledgeLeased(r *request, sub *resource.Subscription, ids []string) (any, error) {
	k, t, err := s.named(r, sub, ids)
	if err != nil {
		return nil, err
	}
	faults, err := k.Acknowledge(r.Context(), sub, t, ids)
	if err != nil {
		return nil, unleased(err)
	}
	s.counts.acknowledged.Add(uint64(len(ids) - len(faults)))
	return faulty(faults)
}

// extendLeased gives deliveries another deadline.
func (s *Server) extendLeased(r *request, sub *resource.Subscription, asked *wire.DeadlineRequest) (any, error) {
	k, t, err := s.named(r, sub, asked.AckIDs)
	if err != nil {
		return nil, err
	}
	faults, err := k.Extend(r.Context(), sub, t, asked.AckIDs, time.Duration(asked.Deadline.Value)*time.Second)
	if err != nil {
		return nil, unleased(err)
	}
	return faulty(faults)
}

// named finds who keeps the leases, if all ack ids are of them: else nothing is done with any.
func (s *Server) named(r *request, sub *resource.Subscription, ids []string) (*lease.Keeper, *resource.Topic, error) {
	unknown := lease.Unknown(sub, ids)
	if len(unknown) > 0 || len(ids) == 0 {
		p := wire.Invalid("Invalid ack id")
		p.Details = unknown
		return nil, nil, p
	}
	return s.keeper(r.Context(), sub)
}

// faulty is the answer when something was done with all ack ids but these.
func faulty(faults []wire.AckFault) (any, error) {
	if len(faults) == 0 {
		return wire.Nothing{}, nil
	}
	p := wire.Late()
	p.Details = faults
	return nil, p
}

// unleased is what a client hears of an error of the leases.
func unleased(err error) error {
	var p *wire.Problem
	switch {
	case errors.As(err, &p):
		return p
	case gateway.KindOf(err) == gateway.NotFound:
		return noTopic()
	}
	return wire.Unavailable(err)
}
