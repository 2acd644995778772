package authn

import (
	"crypto/x509"
	"slices"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// Token is what who shows a certificate gets.
type Token struct {
	Token string `json:"token"`
}

// authX509 gives the token of the user whom the client's certificate stands for.
func (s *Server) authX509(r *request) (any, error) {
	var shown gateway.Credentials
	if r.conn != nil {
		shown = r.conn.Introduction().Credentials
	}
	if err := s.judged(shown.Certificate, shown.CertificateErr); err != nil {
		return nil, err
	}
	who, err := s.cfg.Subject(shown.Certificate)
	if err != nil {
		return nil, forbidden("The subject of your certificate cannot be read")
	}
	var bound *resource.Binding
	err = s.seen(r, func(m *resource.Mapping) (err error) {
		bound, err = r.bound(m, who)
		return err
	})
	p := gateway.Principal{DN: who.Name, Method: "certificate"}
	if err != nil {
		s.audit(&gateway.Event{Kind: gateway.LoginRefused, Principal: p, Subject: r.URL.Path, Err: err}, r)
		return nil, err
	}
	u := s.cfg.Directory.UserByID(r.Context(), bound.User)
	if u == nil { // the words are those of the service, which asks elsewhere
		return nil, internal(string(wire.NotFound("User").Encode()), nil)
	}
	token := s.cfg.Directory.TokenFor(u)
	if token == "" {
		return nil, internal("The token of the user cannot be told: it was made without pubsub.token_key, and there is no pubsub.service_token that all nodes have. "+
			"An administrator has to give the user another one, by :refreshToken", nil)
	}
	r.known()
	p.Name = resource.NamePrefix + u.Name
	s.audit(&gateway.Event{Kind: gateway.Connected, Principal: p, Subject: "binding " + bound.Name}, r)
	return Token{token}, nil
}

// bound is the binding of a subject to the service and the host in the path.
func (r *request) bound(m *resource.Mapping, who Subject) (*resource.Binding, error) {
	t, err := theType(m, r.vars.Get("service-type"))
	if err != nil {
		return nil, err
	}
	if !slices.Contains(t.AuthTypes, x509Type) {
		return nil, unsupported("Auth type", x509Type, t.AuthTypes)
	}
	host := r.vars.Get("host")
	if !t.Has(host) {
		return nil, notFound("Host")
	}
	return oneOf(m.Found(t.ID, host, x509Type, who.Keys), t, host, who.Name)
}

// judged returns why a certificate does not count; nil if it does.
func (s *Server) judged(c *x509.Certificate, err error) error {
	now := s.cfg.Now()
	switch {
	case c == nil && err == nil:
		return noCertificate()
	case err == nil:
		return nil
	case gateway.KindOf(err) == gateway.Unavailable:
		return unavailable(err)
	case s.cfg.Revoked(err):
		return forbidden("Your certificate has been revoked")
	case c != nil && now.After(c.NotAfter):
		return forbidden("Your certificate has expired")
	case c != nil && now.Before(c.NotBefore):
		return forbidden("Your certificate is not active yet")
	}
	return forbidden(gateway.TextOf(err))
}
