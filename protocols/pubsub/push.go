package pubsub

import (
	"github.com/sluice-mq/sluice/protocols/pubsub/push"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// NewPusher makes what pushes to endpoints, for all doors of a node: messages look there as they look when they are pulled.
func NewPusher(cfg push.Config) (*push.Pusher, error) {
	cfg.Translate = fromMessage
	return push.New(cfg)
}

// pushDisabled is the answer of a node that does not push.
func pushDisabled() *wire.Problem { return wire.Conflict("Push functionality is currently disabled") }

// How pushes show that they are ours.
const (
	autogen  = "autogen"
	disabled = "disabled"
)

// wantedPush is where a client wants messages to be pushed to; nil asks for nothing. What it does not say stays as it was before, if that is not nil. The error is for the client.
func (s *Server) wantedPush(asked *wire.PushRequest, before *resource.Push) (resource.Push, error) {
	if asked == nil || *asked == (wire.PushRequest{}) {
		return resource.Push{}, nil
	}
	if s.cfg.Push == nil {
		return resource.Push{}, pushDisabled()
	}
	if before == nil {
		before = &resource.Push{}
	}
	p := resource.Push{Type: asked.Type, RetryType: asked.Retry.Type, RetryPeriod: asked.Retry.Period.Value, Base64Decode: asked.Base64Decode}
	if p.Type == "" { // the service's own library does not say it
		switch {
		case asked.Endpoint != "":
			p.Type = push.HTTPEndpoint
		case asked.MattermostURL != "":
			p.Type = push.Mattermost
		}
	}
	or(&p.RetryType, push.Linear)
	if p.RetryPeriod <= 0 {
		p.RetryPeriod = push.DefaultPeriod
	}
	if p.RetryType != push.Linear && p.RetryType != push.SlowStart {
		return resource.Push{}, wire.Invalid("Retry policy can only be of 'linear' or 'slowstart' type")
	}
	switch p.Type {
	case push.HTTPEndpoint:
		return p, wantedEndpoint(&p, asked, before)
	case push.Mattermost:
		return p, wantedMattermost(&p, asked)
	}
	return resource.Push{}, wire.Invalid("Push configuration type can only be of 'http_endpoint' or 'mattermost'")
}

// wantedEndpoint fills in what subscriptions to endpoints have. An endpoint that was verified stays so.
func wantedEndpoint(p *resource.Push, asked *wire.PushRequest, before *resource.Push) error {
	if !push.ValidEndpoint(asked.Endpoint) {
		return wire.Invalid("Push endpoint should be addressed by a valid https url")
	}
	p.Endpoint, p.MaxMessages = asked.Endpoint, max(asked.MaxMessages.Value, 0)
	or(&p.MaxMessages, max(before.MaxMessages, 1))
	if before.Endpoint == p.Endpoint {
		p.VerificationHash, p.Verified = before.VerificationHash, before.Verified
	} else {
		p.VerificationHash = resource.NewToken()
	}
	switch asked.Authorization.Type {
	case "":
		p.AuthorizationType, p.Authorization = before.AuthorizationType, before.Authorization
		if before.Type != push.HTTPEndpoint {
			p.AuthorizationType, p.Authorization = autogen, resource.NewToken()
		}
	case autogen:
		p.AuthorizationType, p.Authorization = autogen, resource.NewToken()
	case disabled:
		p.AuthorizationType = disabled
	default:
		return wire.Invalid("Authorization header type can only be of 'autogen' or 'disabled' type")
	}
	return nil
}

// wantedMattermost fills in what subscriptions to Mattermost have. Who knows the address of its hook may post there: nothing is to be verified.
func wantedMattermost(p *resource.Push, asked *wire.PushRequest) error {
	switch {
	case asked.MattermostURL == "":
		return wire.Invalid("Field mattermostUrl cannot be empty")
	case !push.ValidEndpoint(asked.MattermostURL):
		return wire.Invalid("Push endpoint should be addressed by a valid https url")
	}
	p.MattermostURL, p.MattermostUsername, p.MattermostChannel, p.Verified = asked.MattermostURL, asked.MattermostUsername, asked.MattermostChannel, true
	return nil
}

// pushStatus says how it goes with the pushes of a subscription, empty if there are none.
func (s *Server) pushStatus(sub *resource.Subscription) string {
	if s.cfg.Push == nil || !sub.Push.Enabled() || !sub.Push.Verified {
		return ""
	}
	return s.cfg.Push.Status(sub)
}

func (s *Server) changePush(r *request) (any, error) {
	asked, err := wire.Decode[wire.PushConfigRequest](r.body)
	if err != nil {
		return nil, wire.InvalidArguments("Subscription")
	}
	sub, err := s.theSubscription(r)
	if err != nil {
		return nil, err
	}
	if sub.Lease != nil && asked.Push != (wire.PushRequest{}) {
		return nil, leasedNotPushed()
	}
	return nil, s.revisePush(r, func(sub *resource.Subscription) (err error) {
		sub.Push, err = s.wantedPush(&asked.Push, &sub.Push)
		return err
	})
}

// revisePush has a subscription changed unless to returns an error, which is for the client.
func (s *Server) revisePush(r *request, to func(*resource.Subscription) error) error {
	var refused error
	err := s.cfg.Directory.ReviseSubscription(r.Context(), r.subscription(), func(sub *resource.Subscription) error {
		refused = to(sub)
		return refused
	})
	if refused != nil {
		return refused
	}
	return in(err, "Subscription")
}

// verifyPush asks the endpoint whether it wants to be pushed to. What it answers counts if the subscription still is what it was when it was asked.
func (s *Server) verifyPush(r *request) (any, error) {
	if s.cfg.Push == nil {
		return nil, pushDisabled()
	}
	sub, err := s.theSubscription(r)
	switch {
	case err != nil:
		return nil, err
	case sub.Push.Type != push.HTTPEndpoint:
		return nil, wire.Conflict("Subscription is not in http push mode")
	case sub.Push.Verified:
		return nil, wire.Conflict("Push endpoint is already verified")
	}
	if err := s.cfg.Push.Verify(r.Context(), sub.Push.Endpoint, sub.Push.VerificationHash); err != nil {
		return nil, wire.Unverified(err.Error())
	}
	return nil, s.revisePush(r, func(now *resource.Subscription) error {
		if now.ID != sub.ID || now.Push.Endpoint != sub.Push.Endpoint || now.Push.VerificationHash != sub.Push.VerificationHash {
			return wire.Conflict("The push configuration was changed meanwhile")
		}
		now.Push.Verified = true
		return nil
	})
}
