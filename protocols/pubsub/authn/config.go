package authn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/internal/listen"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// Reception bounds what clients can hold that are not known yet.
type Reception = listen.Limits

// Subject is whose a certificate is.
type Subject struct {
	// Name is for people, Keys are what the identifiers of bindings are compared by, see resource.Config.Keys.
	Name string
	Keys []string
}

// Config says where and how to serve. The zero value of an optional field is its default.
type Config struct {
	// Address is "host:port"; port 0 takes a free one, see Server.Addr.
	Address string
	// TLS, Judge and TrustedProxies are as for any listener, see listen.Config. Clients are to be asked for certificates, and let in without: administrators need none.
	TLS            *tls.Config
	Judge          func(tls.ConnectionState) (*x509.Certificate, error)
	TrustedProxies []netip.Prefix
	Reception      Reception

	Directory *resource.Directory
	// Subject reads the name of a certificate.
	Subject func(*x509.Certificate) (Subject, error)
	// Revoked reports whether that is what Judge says; nil: it never is.
	Revoked func(error) bool
	// ServiceToken may administer, as users who are service_admin may; empty: there is none.
	ServiceToken string
	// Auditor hears who was given a token, and what was administered; nil is nobody.
	Auditor gateway.Auditor
	// Patience is for how long the store may take. Default 30 s.
	Patience time.Duration
	// Version is what /version says; its Release is shown to administrators alone.
	Version Version
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Logger gets what goes wrong here; nil is silence.
	Logger *slog.Logger
}

const defaultPatience = 30 * time.Second

func (cfg Config) complete() (Config, error) {
	if cfg.Directory == nil || cfg.Subject == nil {
		return cfg, errors.New("authn: there is no directory to serve, or nobody who reads certificates")
	}
	if cfg.Patience <= 0 {
		cfg.Patience = defaultPatience
	}
	if cfg.Revoked == nil {
		cfg.Revoked = func(error) bool { return false }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg, nil
}
