package pubsub_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub"
)

// outsiders are those whom other doors know: by token "of NAME", or by a certificate for NAME.
type outsiders struct{}

func (outsiders) Authenticate(_ context.Context, l gateway.Login) (gateway.Principal, error) {
	name, isToken := strings.CutPrefix(l.Credentials.Token, "of ")
	switch {
	case l.Credentials.CertificateErr != nil:
		return gateway.Principal{}, gateway.Errorf(gateway.Unauthenticated, "not trusted")
	case l.Credentials.Certificate != nil:
		return gateway.Principal{Name: l.Credentials.Certificate.Subject.CommonName, Method: "certificate"}, nil
	case name == "nobody":
		return gateway.Principal{}, nil
	case name == "away":
		return gateway.Principal{}, gateway.Errorf(gateway.Unavailable, "the directory cannot be asked")
	case isToken:
		return gateway.Principal{Name: name, Method: "jwt"}, nil
	}
	return gateway.Principal{}, gateway.Errorf(gateway.Unauthenticated, "unknown")
}

func (outsiders) Renew(p gateway.Principal) (gateway.Principal, error) { return p, nil }

func (outsiders) Rights(p gateway.Principal) gateway.Rights { return rightsOf(p.Name) }

// rightsOf somebody: operator may do the operation; writer writes to P.t, reader reads it.
type rightsOf string

func (r rightsOf) May(a gateway.Action, d gateway.Destination) error {
	if d == (gateway.Destination{Kind: gateway.KindTopic, Name: "P.t"}) && (r == "writer" && a == gateway.Write || r == "reader" && a == gateway.Read) {
		return nil
	}
	return gateway.Errorf(gateway.Denied, "no")
}
func (rightsOf) All(gateway.Action, gateway.Destination) bool { return false }
func (r rightsOf) Operate(operation string) error {
	if r == "operator" && operation == "pubsub" {
		return nil
	}
	return gateway.Errorf(gateway.Denied, "no")
}

// outside makes a request with other headers than x-api-key.
func (w *world) outside(client *http.Client, method, path string, header map[string]string, body string) int {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.base+path, strings.NewReader(body))
	require.NoError(w.t, err)
	for name, value := range header {
		r.Header.Set(name, value)
	}
	a, err := client.Do(r)
	require.NoError(w.t, err)
	_, err = io.Copy(io.Discard, a.Body)
	require.NoError(w.t, err)
	require.NoError(w.t, a.Body.Close())
	return a.StatusCode
}

// whatGuestsDo are calls with those who may make them.
func whatGuestsDo() []struct{ method, path, body, who string } {
	return []struct{ method, path, body, who string }{
		{"POST", "/projects/P/topics/t:publish", `{"messages":[{"data":""}]}`, "writer operator"},
		{"POST", "/projects/P/subscriptions/s:pull", `{}`, "reader operator"},
		{"POST", "/projects/P/subscriptions/s:acknowledge", `{"ackIds":["projects/P/subscriptions/s:0"]}`, "reader operator"},
		{"POST", "/projects/P/subscriptions/other:pull", `{}`, "operator"},
		{"PUT", "/projects/P", `{"description":"x"}`, "operator"},
		{"GET", "/projects", "", "operator"},
	}
}

// Whom other doors know, and their rules, count here.
func TestGuests(t *testing.T) {
	w := stocked(t, 1, func(cfg *pubsub.Config) {
		cfg.Guests = pubsub.Guard{Authenticator: outsiders{}, Authorizer: outsiders{}}
	})
	w.must("PUT", "/projects/P/topics/other", serviceToken, nil)
	w.must("PUT", "/projects/P/subscriptions/other", serviceToken, map[string]any{"topic": "projects/P/topics/other"})
	ask := func(method, path, who, body string) int {
		return w.outside(http.DefaultClient, method, path, map[string]string{"Authorization": "Bearer of " + who}, body)
	}
	for _, call := range whatGuestsDo() {
		for _, who := range []string{"writer", "reader", "operator", "stranger"} {
			code := ask(call.method, call.path, who, call.body)
			require.Equal(t, strings.Contains(call.who, who), code == 200, "%s: %s %s: %d", who, call.method, call.path, code)
		}
	}
	require.Equal(t, 401, ask("GET", "/projects", "nobody", ""), "who has proven nothing is nobody")
	require.Equal(t, 503, ask("GET", "/projects", "away", ""))
	require.Equal(t, 401, w.outside(http.DefaultClient, "GET", "/users/profile", map[string]string{"Authorization": "Bearer of operator"}, ""), "guests have none")
	token := w.member("ann", "project_admin")
	require.Equal(t, 200, w.outside(http.DefaultClient, "GET", "/users/profile", map[string]string{"Authorization": "bearer " + token}, ""), "a user's token is good as a bearer's")
	alone := stocked(t, 0, nil)
	require.Equal(t, 401, alone.outside(http.DefaultClient, "GET", "/projects", map[string]string{"Authorization": "Bearer of operator"}, ""), "there are none")
}

// certificate makes one that signs itself.
func certificate(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestGuestsWithCertificates(t *testing.T) {
	host := certificate(t, "localhost")
	w := newWorld(t, func(cfg *pubsub.Config) {
		cfg.Guests = pubsub.Guard{Authenticator: outsiders{}, Authorizer: outsiders{}}
		cfg.TLS = &tls.Config{Certificates: []tls.Certificate{host}, ClientAuth: tls.RequestClientCert}
		cfg.Judge = func(s tls.ConnectionState) (*x509.Certificate, error) {
			if len(s.PeerCertificates) == 0 {
				return nil, nil
			}
			if c := s.PeerCertificates[0]; c.Subject.CommonName != "untrusted" {
				return c, nil
			}
			return s.PeerCertificates[0], gateway.Errorf(gateway.Unauthenticated, "not trusted")
		}
	})
	w.base = strings.Replace(w.base, "http:", "https:", 1)
	trusted := x509.NewCertPool()
	trusted.AddCert(host.Leaf)
	as := func(names ...string) *http.Client {
		c := &tls.Config{RootCAs: trusted, ServerName: "localhost"}
		for _, n := range names {
			c.Certificates = append(c.Certificates, certificate(t, n))
		}
		transport := &http.Transport{TLSClientConfig: c}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport, Timeout: time.Minute}
	}
	operator := as("operator")
	require.Equal(t, 200, w.outside(operator, "POST", "/projects/P", nil, `{"description":""}`))
	require.Equal(t, 200, w.outside(operator, "PUT", "/projects/P/topics/t", nil, ""))
	publish := func(c *http.Client, header map[string]string) int {
		return w.outside(c, "POST", "/projects/P/topics/t:publish", header, `{"messages":[{"data":""}]}`)
	}
	writer := as("writer")
	require.Equal(t, 200, publish(writer, nil))
	require.Equal(t, 200, publish(writer, map[string]string{"Origin": w.base[:len(w.base)-len("/v1")]}))
	require.Equal(t, 401, publish(writer, map[string]string{"Origin": "https://elsewhere.example.org"}), "a page elsewhere does not borrow it")
	require.Equal(t, 401, publish(writer, map[string]string{"X-Api-Key": "wrong"}), "a token that is wrong is not overlooked")
	require.Equal(t, 401, publish(as("stranger"), nil))
	require.Equal(t, 401, publish(as("untrusted"), nil))
	require.Equal(t, 401, publish(as(), nil))
	require.Equal(t, 200, publish(as(), map[string]string{"X-Api-Key": serviceToken}))
	w.broker.mu.Lock()
	defer w.broker.mu.Unlock()
	sessions := map[string]bool{}
	for s := range w.broker.open {
		if c := s.login.Credentials.Certificate; c != nil {
			sessions[c.Subject.CommonName] = true
		}
	}
	require.Equal(t, map[string]bool{"writer": true}, sessions)
}
