package app

import (
	"crypto/x509"
	"errors"
	"log/slog"
	"time"

	"github.com/sluice-mq/sluice/auth/dn"
	"github.com/sluice-mq/sluice/auth/pki"
	"github.com/sluice-mq/sluice/protocols/pubsub/authn"
)

// openAuthN opens a door where certificates are exchanged for the tokens of users of HTTP Pub/Sub.
func (n *node) openAuthN(l Listener, cfg Config, log *slog.Logger) error {
	settings := authn.Config{
		Address: l.Address.String(), TrustedProxies: l.proxies(),
		Reception: authn.Reception{MaxConnections: l.connections(cfg.Limits), MaxUnknown: cfg.Limits.LoggingIn, Login: time.Duration(cfg.Limits.LoginTimeout)},
		Directory: n.directory, Subject: subjectOf, Revoked: func(err error) bool { return errors.Is(err, pki.ErrRevoked) },
		ServiceToken: n.service, Auditor: n.guard.auditor(), Version: authnRelease(), Logger: log,
	}
	if trust := n.guard.trust(l); trust != nil {
		settings.TLS, settings.Judge = trust.TLS(), trust.Judge
	}
	d, err := authn.New(settings)
	if err != nil {
		return err
	}
	settings.Address = d.Addr().String()
	n.add(listener{AuthN, d, func() (door, error) { return authn.New(settings) }})
	return nil
}

// authnRelease is what its clients are told of what runs.
func authnRelease() authn.Version {
	v := release()
	return authn.Version{BuildTime: v.BuildTime, Go: v.Go, Compiler: v.Compiler, OS: v.OS, Architecture: v.Architecture, Release: v.Release, Distro: v.Distro}
}

// subjectOf is whose a certificate is.
func subjectOf(c *x509.Certificate) (authn.Subject, error) {
	name, err := dn.Of(c)
	if err == nil && name.Empty() {
		err = errors.New("the certificate has no subject")
	}
	if err != nil {
		return authn.Subject{}, err
	}
	return authn.Subject{Name: name.String(), Keys: subjectKeys(name)}, nil
}

// subjectKeys are what names are compared by: as they are, and as ARGO's mapping service writes them.
func subjectKeys(name dn.Name) []string {
	return []string{"name " + name.Key(), "gathered " + name.Gathered()}
}

// identifierKeys are subjectKeys for a name as it was written; none if it is no name.
func identifierKeys(identifier string) []string {
	name, err := dn.Parse(identifier)
	if err != nil {
		return nil
	}
	return subjectKeys(name)
}

// authn wants what listeners of the mapping service need.
func (v *validator) authn(path string, l Listener, c Config) {
	switch {
	case l.TLS == nil || len(l.TLS.ClientCA) == 0 && l.TLS.ClientCADir == "":
		v.say(path, "an authn listener needs tls with client_ca or client_ca_dir: its clients show certificates")
	case !c.listens(PubSubProtocol):
		v.say(path, "an authn listener gives tokens for a pubsub listener, and there is none")
	case c.Cluster != nil && c.PubSub.ServiceToken == "":
		v.say("pubsub.service_token", "is needed for an authn listener of a cluster: tokens are made of it that count on all nodes")
	}
}
