package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// fault is an error about a key of the configuration.
type fault struct {
	path  string
	cause error
}

func (f *fault) Error() string { return f.path + ": " + f.cause.Error() }
func (f *fault) Unwrap() error { return f.cause }

// inspection looks at what a configuration names.
type inspection struct {
	validator
	remarks []string
}

// inspect returns what is wrong with the certificates, secrets and files that a configuration names, as serve would find it, and what is odd about
// them. It changes nothing. A secret that only the environment of the node has is odd and not wrong: it may be there when the node starts.
func inspect(c Config, environ []string, beside string) (Problems, []string) {
	i := &inspection{}
	log := slog.New(remarks{said: &i.remarks})
	g := &guard{environ: environ, beside: beside, log: log}
	g.identity.callers = &g.callers
	now, err := g.identities(c)
	if i.take("auth", err); err == nil {
		now.close()
	}
	i.certificates(c, log)
	c.Cluster.remind(time.Now(), log)
	_, _, err = cluster(c.Cluster)
	i.take("cluster", err)
	i.pubsub(c, &secrets{environ: environ, beside: beside})
	if c.AuditFile != "" && c.Audit != AuditOff {
		_, err := os.Stat(filepath.Dir(string(c.AuditFile)))
		i.take("audit_file", err)
	}
	return i.found, i.remarks
}

// take keeps an error about a key, or about one below it.
func (i *inspection) take(path string, err error) {
	if err == nil {
		return
	}
	var at *fault
	if errors.As(err, &at) {
		path, err = at.path, at.cause
	}
	var away notHere
	if errors.As(err, &away) {
		i.remarks = append(i.remarks, fmt.Sprintf("%s: %v; without it this could not be looked at", path, err))
		return
	}
	i.say(path, "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
}

// certificates looks at those of all listeners, once where several share them.
func (i *inspection) certificates(c Config, log *slog.Logger) {
	seen := map[*TLS]bool{}
	for n, l := range c.Listeners {
		path := fmt.Sprintf("listeners[%d].tls", n)
		if c.Service != nil && l.TLS == c.Service.TLS {
			path = "service.tls"
		}
		if l.TLS == nil || seen[l.TLS] {
			continue
		}
		seen[l.TLS] = true
		_, err := l.trust(log)
		i.take(path, err)
	}
}

// pubsub looks at the secrets of HTTP Pub/Sub, and whom it trusts.
func (i *inspection) pubsub(c Config, r *secrets) {
	_, err := authorities(c.PubSub.Push.CA)
	i.take("pubsub.push.ca", err)
	token, err := r.read(c.PubSub.ServiceToken)
	listens := c.listens(PubSubProtocol)
	if err == nil && listens && c.PubSub.ServiceToken != "" && len(token) < leastServiceToken {
		err = errShortToken
	}
	i.take("pubsub.service_token", err)
	if !listens {
		i.remarks = append(i.remarks, r.warnings...)
		return
	}
	key, err := r.read(c.PubSub.TokenKey)
	if err == nil && key != "" {
		_, err = resource.NewVault([]byte(key))
	}
	i.take("pubsub.token_key", err)
	i.remarks = append(i.remarks, r.warnings...)
}

// remarks is a log that keeps the text of its warnings.
type remarks struct {
	said *[]string
	with []slog.Attr
}

// Enabled implements slog.Handler.
func (r remarks) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle implements slog.Handler.
func (r remarks) Handle(_ context.Context, line slog.Record) error {
	var about []string
	for _, a := range r.with {
		about = append(about, a.Key+": "+a.Value.String())
	}
	line.Attrs(func(a slog.Attr) bool {
		about = append(about, a.Key+": "+a.Value.String())
		return true
	})
	text := line.Message
	if len(about) > 0 {
		text += " (" + strings.Join(about, ", ") + ")"
	}
	*r.said = append(*r.said, text)
	return nil
}

// WithAttrs implements slog.Handler.
func (r remarks) WithAttrs(attrs []slog.Attr) slog.Handler {
	return remarks{r.said, slices.Concat(r.with, attrs)}
}

// WithGroup implements slog.Handler. Nobody asks for groups.
func (r remarks) WithGroup(string) slog.Handler { return r }
