package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sluice-mq/sluice/auth"
	"github.com/sluice-mq/sluice/auth/audit"
	"github.com/sluice-mq/sluice/auth/pki"
	"github.com/sluice-mq/sluice/auth/users"
	"github.com/sluice-mq/sluice/gateway"
)

// guard is who stands at the doors of a node: identities and rules, certificates, and the audit.
type guard struct {
	identity     identity
	known        *users.Users // those of the configuration; nil as long as nobody is
	callers      callers
	chain        *auth.Chain // of those who are asked who somebody is; nil as long as nobody is
	certificates certificates
	audit        *audit.Auditor // nil: nothing is written down
	environ      []string
	beside       string // the directory of the configuration file
	log          *slog.Logger
	cluster      *Cluster // nil on a single node
}

// openGuard reads all that the configuration names. Close it, also after an error.
func openGuard(cfg Config, o outside, log *slog.Logger) (*guard, error) {
	g := &guard{certificates: certificates{}, environ: o.environ, beside: o.beside, log: log, cluster: cfg.Cluster}
	g.identity.callers = &g.callers
	now, err := g.identities(cfg)
	if err != nil {
		return g, err
	}
	g.identity.replace(now)
	g.cluster.remind(time.Now(), log)
	for _, l := range cfg.Listeners {
		trust, err := l.trust(log)
		if err != nil {
			return g, fmt.Errorf("tls of the %s listener %v: %w", l.Protocol, l.Address, err)
		}
		if trust != nil {
			g.certificates[l.shelf()] = trust
		}
	}
	if cfg.Audit == AuditOff {
		return g, nil
	}
	g.audit, err = audit.Open(audit.Config{Log: log, Path: string(cfg.AuditFile), Commands: cfg.Audit == AuditCommands})
	if err != nil {
		return g, fmt.Errorf("audit: %w", err)
	}
	return g, nil
}

// auditor is what the rooms take: nil if nothing is written down.
func (g *guard) auditor() gateway.Auditor {
	if g.audit == nil {
		return nil
	}
	return g.audit
}

// identities makes what the configuration says about people and rules, and tells in the log what is odd about it.
func (g *guard) identities(cfg Config) (*guards, error) {
	may, warnings, err := rules(cfg.Auth)
	if err != nil {
		return nil, err
	}
	who, close, oddities, err := g.people(cfg.Auth)
	if err != nil {
		return nil, err
	}
	for _, w := range append(oddities, warnings...) {
		g.log.Warn(w)
	}
	return &guards{Authenticator: who, Authorizer: may, close: close}, nil
}

// trust is who looks at the certificates of a listener's clients; nil without TLS.
func (g *guard) trust(l Listener) *pki.Server { return g.certificates[l.shelf()] }

// close ends what is open. The audit is the last to go: see node.
func (g *guard) close(ctx context.Context) error {
	if g == nil {
		return nil
	}
	g.identity.replace(nil)
	if g.audit == nil {
		return nil
	}
	return g.audit.Close(ctx)
}

// renew puts in force what has changed of identities, rules, certificates and audit. With an error nothing of identities and rules
// has changed.
func (g *guard) renew(cfg Config) error {
	now, err := g.identities(cfg)
	if err == nil {
		g.identity.replace(now)
	}
	err = errors.Join(err, g.certificates.reload())
	g.cluster.remind(time.Now(), g.log)
	if g.audit != nil {
		g.audit.SetCommands(cfg.Audit == AuditCommands)
		err = errors.Join(err, g.audit.Reopen())
	}
	return err
}
