package pubsub

import (
	"slices"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// defaultDeadline is in seconds, as is mostDeadline, beyond which it cannot be changed.
const (
	defaultDeadline = 10
	mostDeadline    = 600
)

func subscriptionAnswer(sub *resource.Subscription) wire.Subscription {
	p := &sub.Push
	return wire.Subscription{
		Name:  "/projects/" + sub.Project + "/subscriptions/" + sub.Name.Name,
		Topic: "/projects/" + sub.Project + "/topics/" + sub.Topic,
		Push: wire.PushConfig{
			Type: p.Type, Endpoint: p.Endpoint, MaxMessages: p.MaxMessages,
			Authorization:    wire.Authorization{Type: p.AuthorizationType, Value: p.Authorization},
			Retry:            wire.Retry{Type: p.RetryType, Period: p.RetryPeriod},
			VerificationHash: p.VerificationHash, Verified: p.Verified,
			MattermostURL: p.MattermostURL, MattermostUsername: p.MattermostUsername, MattermostChannel: p.MattermostChannel, Base64Decode: p.Base64Decode,
		},
		Deadline: sub.Deadline,
		Created:  wire.Second(sub.CreatedAt()),
		Leased:   leasedAnswer(sub),
	}
}

func (s *Server) listSubscriptions(r *request) (any, error) {
	all := s.cfg.Directory.SubscriptionsOf(r.project.Name)
	if r.caller.limited(consumer) {
		all = slices.DeleteFunc(all, func(sub *resource.Subscription) bool { return !resource.May(sub.ACL, r.caller.user) })
	}
	page, where, err := paged(r, all, func(sub *resource.Subscription) *resource.Origin { return &sub.Origin })
	if err != nil {
		return nil, err
	}
	subs := make([]wire.Subscription, len(page))
	for i, sub := range page {
		subs[i] = subscriptionAnswer(sub)
	}
	return wire.Subscriptions{Subscriptions: subs, Page: where}, nil
}

// theSubscription is the one that the path names.
func (s *Server) theSubscription(r *request) (*resource.Subscription, error) {
	if sub := s.cfg.Directory.Subscription(r.Context(), r.subscription()); sub != nil {
		return sub, nil
	}
	return nil, wire.NotFound("Subscription")
}

// mySubscription is the one that the path names, if its ACL lets the caller.
func (s *Server) mySubscription(r *request) (*resource.Subscription, error) {
	sub, err := s.theSubscription(r)
	if err == nil && r.caller.barred(consumer, sub.ACL) {
		return nil, wire.Forbidden("")
	}
	return sub, err
}

func (s *Server) showSubscription(r *request) (any, error) {
	sub, err := s.theSubscription(r)
	if err != nil {
		return nil, err
	}
	a := subscriptionAnswer(sub)
	a.PushStatus = s.pushStatus(sub)
	return a, nil
}

func (s *Server) createSubscription(r *request) (any, error) {
	asked, err := wire.Decode[wire.SubscriptionRequest](r.body)
	if err != nil {
		return nil, wire.InvalidArguments("Subscription")
	}
	_, topic, ok := wire.Topic(asked.Topic)
	switch {
	case !ok:
		return nil, wire.InvalidName("Topic")
	case asked.Deadline.Value < 0:
		return nil, wire.InvalidArguments("Subscription")
	}
	if s.cfg.Directory.Subscription(r.Context(), r.subscription()) != nil {
		return nil, wire.Exists("Subscription")
	}
	t := s.cfg.Directory.Topic(r.Context(), resource.Name{Project: r.project.Name, Name: topic})
	if t == nil {
		return nil, wire.NotFound("Topic")
	}
	leases, err := s.wantedLease(r, &asked, topic)
	if err != nil {
		return nil, err
	}
	wanted, err := s.wantedPush(asked.Push, nil)
	if err != nil {
		return nil, err
	}
	end, err := s.cfg.Logs.Read(r.Context(), t.Name.String(), gateway.LogQuery{})
	if err != nil {
		return nil, unread(err)
	}
	made := resource.Subscription{Name: r.subscription(), Topic: topic, Log: t.ID, Start: end.Next, Deadline: asked.Deadline.Value, Push: wanted, Lease: leases}
	or(&made.Deadline, defaultDeadline)
	sub, err := s.cfg.Directory.CreateSubscription(r.Context(), made, r.caller.id())
	if gateway.KindOf(err) == gateway.NotFound {
		return nil, wire.NotFound("Topic")
	}
	if err != nil {
		return nil, in(err, "Subscription")
	}
	return subscriptionAnswer(sub), nil
}

func (s *Server) deleteSubscription(r *request) (any, error) {
	sub, err := s.theSubscription(r)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Directory.DeleteSubscription(r.Context(), r.subscription()); err != nil {
		return nil, in(err, "Subscription")
	}
	if sub.Push.Enabled() && sub.Push.Verified {
		return styled{wire.Done{Message: "Subscription /projects/" + sub.Project + "/subscriptions/" + sub.Name.Name + " deactivated"}, wire.Compact}, nil
	}
	return nil, nil
}

func (s *Server) showSubscriptionACL(r *request) (any, error) {
	sub, err := s.theSubscription(r)
	if err != nil {
		return nil, err
	}
	return wire.ACL{Users: s.cfg.Directory.NamesOf(sub.ACL)}, nil
}

func (s *Server) changeSubscriptionACL(r *request) (any, error) {
	ids, err := s.authorized(r, "Subscription")
	if err != nil {
		return nil, err
	}
	return nil, s.changeSubscription(r, func(sub *resource.Subscription) { sub.ACL = ids })
}

func (s *Server) changeSubscription(r *request, to func(*resource.Subscription)) error {
	return in(s.cfg.Directory.ChangeSubscription(r.Context(), r.subscription(), to), "Subscription")
}

// changeDeadline changes the subscription's deadline, or, of a leased one, that of the deliveries that the client names.
func (s *Server) changeDeadline(r *request) (any, error) {
	sub, err := s.mySubscription(r)
	if err != nil {
		return nil, err
	}
	asked, err := wire.Decode[wire.DeadlineRequest](r.body)
	named := sub.Lease != nil && asked.AckIDs != nil // of others the service passes over them
	switch {
	case err != nil || asked.Deadline.Value < 0 || asked.Deadline.Value > mostDeadline || named && !asked.Deadline.Set:
		return nil, wire.InvalidArguments("ackDeadlineSeconds(needs value between 0 and 600)")
	case named:
		return s.extendLeased(r, sub, &asked)
	case sub.Lease != nil && asked.Deadline.Value == 0:
		return nil, wire.InvalidArguments("ackDeadlineSeconds(needs value between 1 and 600)")
	}
	return nil, s.changeSubscription(r, func(sub *resource.Subscription) { sub.Deadline = asked.Deadline.Value })
}
