package authn_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/protocols/pubsub/authn"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

const serviceToken = "the-service-token"

// now is the moment of all that happens in these tests.
func now() time.Time { return time.Date(2026, 11, 20, 20, 33, 1, 0, time.UTC) }

// world is a door, and what is behind it. A certificate's common name says what its judge thinks of it, its serial number counts up.
type world struct {
	t         testing.TB
	disk      *gatewaytest.Disk
	registry  *gatewaytest.Registry
	directory *resource.Directory
	base      string
	heard     events
	server    *authn.Server
}

// events are an Auditor.
type events struct {
	mu  sync.Mutex
	all []gateway.Event
}

// Record implements gateway.Auditor.
func (e *events) Record(event *gateway.Event) {
	e.mu.Lock()
	e.all = append(e.all, *event)
	e.mu.Unlock()
}

// Commands implements gateway.Auditor.
func (e *events) Commands() bool { return false }

// last is what was heard last.
func (e *events) last() gateway.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all[len(e.all)-1]
}

// keys are what a name is compared by: without its case, and by its first part.
func keys(name string) []string {
	if !strings.Contains(name, "=") {
		return nil
	}
	first, _, _ := strings.Cut(name, ",")
	return []string{"whole " + strings.ToLower(name), "first " + first}
}

// errRevoked is what the judge says of a certificate for "revoked".
var errRevoked = errors.New("revoked")

func judge(state tls.ConnectionState) (*x509.Certificate, error) {
	if len(state.PeerCertificates) == 0 {
		return nil, nil
	}
	c := state.PeerCertificates[0]
	refuse := func(text string) error { return gateway.Errorf(gateway.Unauthenticated, "%s", text) }
	switch c.Subject.CommonName {
	case "revoked":
		return c, gateway.WrapError(gateway.Unauthenticated, errRevoked, "it has been revoked")
	case "expired", "early":
		return c, refuse("something else")
	case "proxy":
		return c, refuse("it is a proxy certificate")
	case "away":
		return c, gateway.Errorf(gateway.Unavailable, "nobody can be asked")
	}
	return c, nil
}

// newWorld opens a door; change may change its configuration and that of the directory.
func newWorld(t testing.TB, change func(*authn.Config, *resource.Config)) *world {
	w := &world{t: t, disk: gatewaytest.NewDisk(1)}
	w.registry = w.disk.Registry()
	vault, err := resource.NewVault(bytes.Repeat([]byte{7}, resource.MinKey))
	require.NoError(t, err)
	known := resource.Config{Facts: w.registry, Vault: vault, Now: now, Keys: keys, Loan: serviceToken}
	cfg := authn.Config{
		Address: "127.0.0.1:0", Judge: judge, ServiceToken: serviceToken, Auditor: &w.heard, Now: now, Version: authn.Version{Go: "go1", Release: "v1"},
		TLS: &tls.Config{Certificates: []tls.Certificate{certificate(t, "localhost", now(), now().AddDate(50, 0, 0))}, ClientAuth: tls.RequestClientCert},
		Subject: func(c *x509.Certificate) (authn.Subject, error) {
			name := c.Subject.String()
			return authn.Subject{Name: name, Keys: keys(name)}, nil
		},
		Revoked: func(err error) bool { return errors.Is(err, errRevoked) }, Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg, &known)
	}
	w.directory, err = resource.Open(t.Context(), known)
	require.NoError(t, err)
	cfg.Directory = w.directory
	w.server, err = authn.New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- w.server.Serve(ctx) }()
	t.Cleanup(func() { cancel(); <-served })
	w.base = "https://" + w.server.Addr().String() + "/v1"
	return w
}

// certificate makes one that signs itself.
func certificate(t testing.TB, name string, from, to time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{"o"}}, NotBefore: from, NotAfter: to, DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// answer is what came back.
type answer struct {
	code  int
	body  string
	kind  string
	close bool
}

// ask makes a request; cert is shown if it is not nil.
func (w *world) ask(cert *tls.Certificate, method, path, body string) answer {
	w.t.Helper()
	settings := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // of who serves nothing is looked at here
	if cert != nil {
		settings.Certificates = []tls.Certificate{*cert}
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: settings, DisableKeepAlives: false}}
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.base+path, strings.NewReader(body))
	require.NoError(w.t, err)
	a, err := client.Do(r)
	require.NoError(w.t, err)
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	require.NoError(w.t, err)
	return answer{a.StatusCode, string(text), a.Header.Get("Content-Type"), a.Close}
}

// admin is ask of an administrator.
func (w *world) admin(method, path, body string) answer {
	w.t.Helper()
	sign := "?"
	if strings.Contains(path, "?") {
		sign = "&"
	}
	return w.ask(nil, method, path+sign+"key="+serviceToken, body)
}

// must is admin for what has to go well.
func (w *world) must(code int, method, path, body string) string {
	w.t.Helper()
	a := w.admin(method, path, body)
	require.Equal(w.t, code, a.code, a.body)
	return a.body
}

// user makes a user with that ID.
func (w *world) user(id, name, token string, roles ...string) {
	w.t.Helper()
	u := &resource.User{Origin: w.directory.OriginOf(id, "", 0, 0), Name: name, ServiceRoles: roles}
	require.NoError(w.t, w.directory.AdoptUser(w.t.Context(), u, token))
}
