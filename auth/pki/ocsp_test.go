package pki_test

import (
	"crypto/x509"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth/pki"
	"github.com/sluice-mq/sluice/auth/pki/pkitest"
	"github.com/sluice-mq/sluice/gateway"
)

func newResponder(t *testing.T, ca *pkitest.CA) *pkitest.Responder {
	r, err := pkitest.NewResponder(ca)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

func asking(mode string) func(*world) {
	return func(w *world) { w.config.OCSP, w.config.OCSPTimeout = mode, 5*time.Second }
}

// cannotBeAsked demands a refusal that is nobody's fault.
func (w *world) cannotBeAsked(client *pkitest.Pair) {
	w.t.Helper()
	v := w.dial(client, nil)
	require.NoError(w.t, v.handshake)
	require.Equal(w.t, gateway.Unavailable, gateway.KindOf(v.err), v.err)
	require.Equal(w.t, "the OCSP responder of CN=Test CA, DC=example, DC=org cannot be asked now", gateway.TextOf(v.err))
}

func TestAResponderIsAskedAndItsAnswerRemembered(t *testing.T) {
	for _, mode := range []string{pki.OCSPOptional, pki.OCSPRequired} {
		w := newWorld(t, asking(mode))
		r := newResponder(t, w.ca)
		alice, bob := w.issue("/CN=alice", pkitest.AskAt(r.URL())), w.issue("/CN=bob", pkitest.AskAt(r.URL()))
		r.Revoke(bob.Cert.SerialNumber)
		w.accepts(alice)
		w.refuses(bob, revoked)
		w.accepts(alice)
		w.refuses(bob, revoked)
		require.Equal(t, 2, r.Asked())

		r.Revoke(alice.Cert.SerialNumber)
		w.accepts(alice)
		r.ValidFor(3 * time.Hour)
		w.pass(61 * time.Minute)
		w.refuses(alice, "the client certificate CN=alice has been revoked")
		require.Equal(t, 3, r.Asked())
	}
}

func TestARespondersSilence(t *testing.T) {
	for name, silent := range map[string]func(*pkitest.Responder){
		"error": func(r *pkitest.Responder) { r.Instead(status(500)) },
		"huge": func(r *pkitest.Responder) {
			r.Instead(func(w http.ResponseWriter, _ []byte) bool { _, _ = w.Write(make([]byte, 1<<20)); return true })
		},
		"nonsense": func(r *pkitest.Responder) {
			r.Instead(func(w http.ResponseWriter, _ []byte) bool { _, _ = w.Write([]byte("yes")); return true })
		},
		"expired": func(r *pkitest.Responder) { r.ValidFor(-time.Minute) },
		"gone":    func(r *pkitest.Responder) { _ = r.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			required := newWorld(t, asking(pki.OCSPRequired))
			r := newResponder(t, required.ca)
			silent(r)
			alice := required.issue("/CN=alice", pkitest.AskAt(r.URL()))
			required.cannotBeAsked(alice)
			asked := r.Asked()
			required.cannotBeAsked(alice)
			require.Equal(t, asked, r.Asked(), "who gave no answer is let alone for a while")

			optional := newWorld(t, asking(pki.OCSPOptional))
			r = newResponder(t, optional.ca)
			silent(r)
			alice = optional.issue("/CN=alice", pkitest.AskAt(r.URL()))
			optional.accepts(alice)
			optional.accepts(alice)
			require.Equal(t, 1, strings.Count(optional.log.String(), "an OCSP responder gave no usable answer"), optional.log.String())
		})
	}
}

// TestAResponderSendsNobodyElsewhere: what a certificate names is asked, and not what that names.
func TestAResponderSendsNobodyElsewhere(t *testing.T) {
	w := newWorld(t, asking(pki.OCSPRequired))
	r, elsewhere := newResponder(t, w.ca), newResponder(t, w.ca)
	r.Instead(func(w http.ResponseWriter, _ []byte) bool {
		w.Header().Set("Location", elsewhere.URL())
		w.WriteHeader(http.StatusTemporaryRedirect)
		return true
	})
	w.cannotBeAsked(w.issue("/CN=alice", pkitest.AskAt(r.URL())))
	require.Equal(t, 1, r.Asked())
	require.Zero(t, elsewhere.Asked())
}

func status(code int) func(http.ResponseWriter, []byte) bool {
	return func(w http.ResponseWriter, _ []byte) bool {
		w.WriteHeader(code)
		return true
	}
}

func TestAResponderThatHangsCostsNoMoreThanTheTimeout(t *testing.T) {
	w := newWorld(t, func(w *world) { w.config.OCSP, w.config.OCSPTimeout = pki.OCSPOptional, 100*time.Millisecond })
	r := newResponder(t, w.ca)
	release := make(chan struct{})
	r.Instead(func(http.ResponseWriter, []byte) bool { <-release; return true })
	defer close(release)
	alice := w.issue("/CN=alice", pkitest.AskAt(r.URL()))
	start := time.Now()
	w.accepts(alice)
	require.Less(t, time.Since(start), 10*time.Second)
	require.Contains(t, w.log.String(), "deadline exceeded")
}

func TestWhoMaySignAnswers(t *testing.T) {
	w := newWorld(t, asking(pki.OCSPRequired))
	r := newResponder(t, w.ca)
	name := func(n string) *pkitest.Pair { return w.issue("/CN="+n, pkitest.AskAt(r.URL())) }

	r.SignWith(w.issue("/CN=delegate", pkitest.Usages(x509.ExtKeyUsageOCSPSigning)))
	w.accepts(name("by a delegate"))
	r.SignWith(w.issue("/CN=any client", pkitest.Usages(x509.ExtKeyUsageClientAuth)))
	w.cannotBeAsked(name("by another client"))
	r.SignWith(w.issue("/CN=old delegate", pkitest.Usages(x509.ExtKeyUsageOCSPSigning), pkitest.Valid(w.time().Add(-time.Hour), w.time().Add(-time.Minute))))
	w.cannotBeAsked(name("by an old delegate"))
	other := w.root("/CN=Other CA")
	r.SignWith(issue(t, other, "/CN=delegate", pkitest.Usages(x509.ExtKeyUsageOCSPSigning)))
	w.cannotBeAsked(name("by another's delegate"))
	r.SignWith(&w.ca.Pair)
	w.accepts(name("by the authority, shown"))

	r.SignWith(nil)
	w.accepts(name("by the authority"))
}

func TestAnAnswerAboutAnotherCertificateIsNone(t *testing.T) {
	w := newWorld(t, asking(pki.OCSPRequired))
	r := newResponder(t, w.ca)
	bob := w.issue("/CN=bob", pkitest.AskAt(r.URL()))
	other := newResponder(t, w.root("/DC=org/DC=example/CN=Test CA")) // the name is the same, the key is not
	w.accepts(bob)
	carol := w.issue("/CN=carol", pkitest.AskAt(other.URL()))
	w.cannotBeAsked(carol)
}

func TestAnAnswerWithoutAnEndIsGoodForAMinute(t *testing.T) {
	w := newWorld(t, asking(pki.OCSPRequired))
	r := newResponder(t, w.ca)
	r.ValidFor(0)
	alice := w.issue("/CN=alice", pkitest.AskAt(r.URL()))
	w.accepts(alice)
	w.accepts(alice)
	require.Equal(t, 1, r.Asked())
	w.pass(61 * time.Second)
	w.accepts(alice)
	require.Equal(t, 2, r.Asked())
}

func TestACertificateWithoutAResponder(t *testing.T) {
	w := newWorld(t, asking(pki.OCSPOptional))
	w.accepts(w.issue("/CN=alice"))
	w = newWorld(t, asking(pki.OCSPRequired))
	w.refuses(w.issue("/CN=alice"), "the client certificate CN=alice names no OCSP responder, and this server has to ask one")
	w.cannotBeAsked(w.issue("/CN=alice", pkitest.AskAt("ldap://127.0.0.1/")))
	w.cannotBeAsked(w.issue("/CN=alice", pkitest.AskAt("file:///etc/passwd")))
}

func TestManyAtOnceAskOnce(t *testing.T) {
	w := newWorld(t, asking(pki.OCSPRequired))
	r := newResponder(t, w.ca)
	release := make(chan struct{})
	r.Instead(func(http.ResponseWriter, []byte) bool { <-release; return false })
	alice := w.issue("/CN=alice", pkitest.AskAt(r.URL()))
	v := make([]verdict, 8)
	var all sync.WaitGroup
	for i := range v {
		all.Go(func() { v[i] = w.dial(alice, nil) })
	}
	require.Eventually(t, func() bool { return r.Asked() == 1 }, 10*time.Second, time.Millisecond)
	close(release)
	all.Wait()
	for _, one := range v {
		require.NoError(t, one.err)
	}
	require.Equal(t, 1, r.Asked())
}
