package pubsub

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/carry"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// operation is the right to administer projects, topics and users: /admin/pubsub in rules.
const operation = "pubsub"

// Guard tells who guests are and what they may do: those whom other doors know and who are no users here, by a certificate, or by the token of an issuer. What
// they may do by the rules of those doors they may do here: who may write to /topic/P.T is its publisher, who may read it a consumer of its subscriptions, and
// who may do the operation pubsub administers all of it. Without an Authenticator there are none.
type Guard struct {
	Authenticator gateway.Authenticator
	Authorizer    gateway.Authorizer
}

// credentials are what a request shows: a token, or else the certificate of its connection.
func (s *Server) credentials(h *http.Request) (shown gateway.Credentials) {
	if shown.Token = s.token(h); shown.Token != "" {
		return shown
	}
	if scheme, token, ok := strings.Cut(h.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		if shown.Token = strings.TrimSpace(token); shown.Token != "" {
			return shown
		}
	}
	if c := carry.From(h.Context()); c != nil && s.cfg.Guests.Authenticator != nil {
		known := c.Introduction().Credentials
		shown.Certificate, shown.CertificateErr = known.Certificate, known.CertificateErr
	}
	return shown
}

// nothing reports whether nothing was shown.
func nothing(c *gateway.Credentials) bool {
	return c.Token == "" && c.Certificate == nil && c.CertificateErr == nil
}

// keyOf is what somebody's sessions are known by.
func keyOf(c *gateway.Credentials) string {
	if c.Certificate == nil {
		return resource.SumOf(c.Token)
	}
	sum := sha256.Sum256(c.Certificate.Raw)
	return "certificate " + hex.EncodeToString(sum[:])
}

// errForged is why a page may not use the certificate of who looks at it.
var errForged = errors.New("it came from a page of another origin")

// welcome finds out who a guest is and what he may do with what the path names; an error says that he is nobody.
func (s *Server) welcome(r *request) error {
	g := s.cfg.Guests
	if g.Authenticator == nil {
		return gateway.Errorf(gateway.Unauthenticated, "there are no guests")
	}
	if r.caller.shown.Certificate != nil { // a browser shows it for any page
		var origin http.CrossOriginProtection
		if origin.Check(r.Request) != nil {
			return errForged
		}
	}
	p, err := g.Authenticator.Authenticate(r.Context(), r.login())
	if err != nil {
		return err
	}
	if p.Method == "" || p.Method == resource.Method {
		return gateway.Errorf(gateway.Unauthenticated, "nothing was proven")
	}
	rights := g.Authorizer.Rights(p)
	r.caller.guest = true
	if rights.Operate(operation) == nil {
		r.caller.everywhere(serviceAdmin)
		return nil
	}
	if r.project == nil {
		return nil
	}
	topic := r.vars.Get("topic")
	if name := r.vars.Get("subscription"); name != "" {
		if sub := s.cfg.Directory.Subscription(r.Context(), r.subscription()); sub != nil && rights.May(gateway.Read, topicOf(sub)) == nil {
			r.caller.roles = append(r.caller.roles, consumer)
		}
	}
	if topic != "" && rights.May(gateway.Write, gateway.Destination{Kind: gateway.KindTopic, Name: r.topic().String()}) == nil {
		r.caller.roles = append(r.caller.roles, publisher)
	}
	return nil
}

// topicOf is the topic of a subscription as other doors know it.
func topicOf(sub *resource.Subscription) gateway.Destination {
	return gateway.Destination{Kind: gateway.KindTopic, Name: resource.Name{Project: sub.Project, Name: sub.Topic}.String()}
}
