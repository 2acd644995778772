package pki_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth/pki"
	"github.com/sluice-mq/sluice/auth/pki/pkitest"
	"github.com/sluice-mq/sluice/gateway"
)

// world is an authority, a directory with the files of a server, and a clock that only the test moves.
type world struct {
	t      *testing.T
	ca     *pkitest.CA
	dir    string
	config pki.Config
	server *pki.Server
	log    *buffer
	errs   []error

	mu  sync.Mutex
	now time.Time
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// newWorld makes a world whose authority is trusted by itself, in a file; change may alter the configuration.
func newWorld(t *testing.T, change func(w *world)) *world {
	w := &world{t: t, dir: t.TempDir(), log: &buffer{}, now: time.Now()}
	w.ca = w.root("/DC=org/DC=example/CN=Test CA")
	certificate, key, err := w.issue("/DC=org/DC=example/CN=localhost", pkitest.DNSNames("localhost")).Write(w.dir, "host")
	require.NoError(t, err)
	w.config = pki.Config{
		Certificate: certificate, Key: key, ClientCA: []string{w.file("ca.pem", w.ca.CertificatePEM())}, ClientAuth: pki.AuthOptional,
		Now: w.time, Log: slog.New(slog.NewTextHandler(w.log, nil)), OnError: func(err error) { w.errs = append(w.errs, err) },
	}
	if change != nil {
		change(w)
	}
	w.server, err = pki.New(w.config)
	require.NoError(t, err)
	return w
}

// inDirectory trusts the authority by a directory in the IGTF's layout instead.
func inDirectory(policy string) func(*world) {
	return func(w *world) {
		w.config.ClientCA, w.config.ClientCADir = nil, filepath.Join(w.dir, "grid")
		require.NoError(w.t, os.Mkdir(w.config.ClientCADir, 0o755))
		require.NoError(w.t, w.ca.Install(w.config.ClientCADir, policy))
	}
}

func (w *world) time() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) root(name string, options ...pkitest.Option) *pkitest.CA {
	ca, err := pkitest.NewRoot(pkitest.Slash(name), options...)
	require.NoError(w.t, err)
	return ca
}

func (w *world) issue(name string, options ...pkitest.Option) *pkitest.Pair {
	return issue(w.t, w.ca, name, options...)
}

func issue(t *testing.T, ca *pkitest.CA, name string, options ...pkitest.Option) *pkitest.Pair {
	p, err := ca.Issue(pkitest.Slash(name), options...)
	require.NoError(t, err)
	return p
}

func (w *world) file(name string, text []byte) string {
	f := filepath.Join(w.dir, name)
	require.NoError(w.t, pkitest.Replace(f, text))
	return f
}

func (w *world) crl(revoked ...*pkitest.Pair) []byte {
	text, err := w.ca.CRL(pkitest.List{Revoked: certs(revoked)})
	require.NoError(w.t, err)
	return text
}

func certs(pairs []*pkitest.Pair) (c []*x509.Certificate) {
	for _, p := range pairs {
		c = append(c, p.Cert)
	}
	return c
}

// verdict is what came of a connection.
type verdict struct {
	leaf       *x509.Certificate
	err        error // of the judge
	handshake  error // of the server's side
	client     error
	state      tls.ConnectionState // of the client
	connection *tls.Conn           // of the client, open if keep was asked for
	served     net.Conn
}

// dial shakes hands with the server over loopback and has the client judged.
func (w *world) dial(client *pkitest.Pair, change func(*tls.Config)) verdict {
	return handshake(w.t, w.server, w.server.TLS(), w.clientConfig(client, change), false)
}

func (w *world) clientConfig(client *pkitest.Pair, change func(*tls.Config)) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(w.ca.Cert)
	c := &tls.Config{RootCAs: roots, ServerName: "localhost", Time: w.time}
	if client != nil {
		c.Certificates = []tls.Certificate{client.TLS()}
	}
	if change != nil {
		change(c)
	}
	return c
}

func handshake(t *testing.T, server *pki.Server, of *tls.Config, client *tls.Config, keep bool) (v verdict) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			v.handshake = err
			return
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		s := tls.Server(c, of)
		v.served = s
		if !keep {
			defer c.Close()
		}
		if v.handshake = s.Handshake(); v.handshake != nil {
			return
		}
		v.leaf, v.err = server.Judge(s.ConnectionState())
		_, v.handshake = s.Write([]byte("x"))
	}()
	c, err := net.DialTimeout("tcp", l.Addr().String(), 10*time.Second)
	require.NoError(t, err)
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	v.connection = tls.Client(c, client)
	if v.client = v.connection.Handshake(); v.client == nil {
		_, v.client = io.ReadFull(v.connection, make([]byte, 1)) // takes the session ticket along
		v.state = v.connection.ConnectionState()
	}
	if v.client != nil || !keep {
		c.Close()
	}
	<-done
	return v
}

func (w *world) accepts(client *pkitest.Pair) {
	w.t.Helper()
	v := w.dial(client, nil)
	require.NoError(w.t, v.handshake)
	require.NoError(w.t, v.client)
	require.NoError(w.t, v.err)
	require.Equal(w.t, client.Cert.Raw, v.leaf.Raw)
}

// refuses demands that a client's certificate is refused with exactly these words.
func (w *world) refuses(client *pkitest.Pair, text string) {
	w.t.Helper()
	v := w.dial(client, nil)
	require.NoError(w.t, v.handshake, "a refusal is heard after the handshake")
	require.Error(w.t, v.err)
	require.Equal(w.t, text, gateway.TextOf(v.err))
	require.Equal(w.t, gateway.Unauthenticated, gateway.KindOf(v.err))
	require.Equal(w.t, client.Cert.Raw, v.leaf.Raw, "the certificate is known, if not trusted")
}

func TestAClientWithoutACertificateIsNobody(t *testing.T) {
	w := newWorld(t, nil)
	v := w.dial(nil, nil)
	require.NoError(t, v.handshake)
	require.NoError(t, v.client)
	require.NoError(t, v.err)
	require.Nil(t, v.leaf)
}

func TestAListenerThatRequiresACertificateRefusesTheHandshakeWithoutOne(t *testing.T) {
	w := newWorld(t, func(w *world) { w.config.ClientAuth = pki.AuthRequired })
	v := w.dial(nil, nil)
	require.ErrorContains(t, v.handshake, "client didn't provide a certificate")
	require.Error(t, v.client)
	w.accepts(w.issue("/DC=org/CN=alice"))
	stranger := issue(t, w.root("/CN=Other CA"), "/CN=mallory")
	w.refuses(stranger, "the client certificate CN=mallory is signed by nobody this server trusts (issuer CN=Other CA)")
}

func TestAListenerThatDoesNotAskSeesNoCertificate(t *testing.T) {
	w := newWorld(t, func(w *world) { w.config.ClientAuth = pki.AuthNone })
	v := w.dial(w.issue("/DC=org/CN=alice"), nil)
	require.NoError(t, v.handshake)
	require.NoError(t, v.err)
	require.Nil(t, v.leaf)
}

func TestTLS11IsRefusedUnlessSwitchedOn(t *testing.T) {
	old := func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }
	v := newWorld(t, nil).dial(nil, old)
	require.ErrorContains(t, v.handshake, "unsupported versions")
	require.Error(t, v.client)

	for version, number := range map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11} {
		w := newWorld(t, func(w *world) { w.config.MinVersion = version })
		v := w.dial(w.issue("/CN=alice"), func(c *tls.Config) { c.MinVersion, c.MaxVersion = number, number })
		require.NoError(t, v.handshake)
		require.NoError(t, v.client)
		require.NoError(t, v.err)
		require.Equal(t, number, v.state.Version)
		require.Contains(t, w.log.String(), "TLS before 1.2 is switched on")
		require.Contains(t, w.log.String(), "min_version="+version)
	}
	w := newWorld(t, func(w *world) { w.config.MinVersion = "1.1" })
	require.Error(t, w.dial(nil, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 }).handshake)
}

func TestTheHighestVersionIsSpokenAndAFloorHolds(t *testing.T) {
	require.Equal(t, uint16(tls.VersionTLS13), newWorld(t, nil).dial(nil, nil).state.Version)
	w := newWorld(t, func(w *world) { w.config.MinVersion = "1.3" })
	require.Error(t, w.dial(nil, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }).handshake)
}

func TestCipherSuitesAreThoseOfTheConfiguration(t *testing.T) {
	const only = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
	w := newWorld(t, func(w *world) { w.config.CipherSuites = []string{only} })
	tls12 := func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }
	require.Equal(t, only, tls.CipherSuiteName(w.dial(nil, tls12).state.CipherSuite))
	v := w.dial(nil, func(c *tls.Config) {
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	})
	require.ErrorContains(t, v.handshake, "cipher suite")
}

func TestALPNIsTheDoors(t *testing.T) {
	w := newWorld(t, nil)
	c := w.server.TLS()
	require.Empty(t, c.NextProtos)
	c.NextProtos = []string{"http/1.1"}
	v := handshake(t, w.server, c, w.clientConfig(nil, func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }), false)
	require.NoError(t, v.handshake)
	require.Equal(t, "http/1.1", v.state.NegotiatedProtocol)
}

func TestConfigurationsThatMakeNoSenseAreRefusedInWords(t *testing.T) {
	w := newWorld(t, nil)
	for text, change := range map[string]func(*pki.Config){
		"a certificate and a key are needed":                             func(c *pki.Config) { c.Key = "" },
		`client_auth is "maybe"`:                                         func(c *pki.Config) { c.ClientAuth = "maybe" },
		"client_auth is required, and nobody is trusted to sign clients": func(c *pki.Config) { c.ClientAuth, c.ClientCA = pki.AuthRequired, nil },
		`ocsp is "yes"`:                             func(c *pki.Config) { c.OCSP = "yes" },
		`min_version is "1.4"`:                      func(c *pki.Config) { c.MinVersion = "1.4" },
		`the cipher suite "ROT13" is not known`:     func(c *pki.Config) { c.CipherSuites = []string{"ROT13"} },
		"no such file":                              func(c *pki.Config) { c.Certificate = filepath.Join(w.dir, "none") },
		"there is no certificate in it":             func(c *pki.Config) { c.ClientCA = []string{w.config.Key} },
		"ca.pem: there is no revocation list in it": func(c *pki.Config) { c.CRLs = c.ClientCA },
		"there is no authority in":                  func(c *pki.Config) { c.ClientCADir = w.file("empty", nil) },
		"private key does not match public key":     func(c *pki.Config) { _, c.Key, _ = w.issue("/CN=x").Write(w.dir, "other") },
		"tls: client_auth is optional, and nobody is trusted to sign clients: client_ca": func(c *pki.Config) { c.ClientCA = nil },
	} {
		c := w.config
		change(&c)
		_, err := pki.New(c)
		require.ErrorContains(t, err, text)
	}
}

func TestAKeyThatOthersMayReadIsWarnedAbout(t *testing.T) {
	w := newWorld(t, nil)
	require.NotContains(t, w.log.String(), "may be read by others")
	require.NoError(t, os.Chmod(w.config.Key, 0o644))
	_, err := pki.New(w.config)
	require.NoError(t, err)
	require.Contains(t, w.log.String(), "the private key may be read by others")
	require.NotContains(t, w.log.String(), "PRIVATE KEY")
}

func TestTheCertificateIsRotatedWhileAConnectionStaysOpen(t *testing.T) {
	w := newWorld(t, nil)
	config := w.server.TLS()
	before := handshake(t, w.server, config, w.clientConfig(nil, nil), true)
	require.NoError(t, before.client)
	defer before.connection.Close()
	defer before.served.Close()

	fresh := w.issue("/DC=org/DC=example/CN=localhost", pkitest.DNSNames("localhost"))
	_, _, err := fresh.Write(w.dir, "host")
	require.NoError(t, err)
	w.pass(4 * time.Second)
	soon := handshake(t, w.server, config, w.clientConfig(nil, nil), false)
	require.NotEqual(t, fresh.Cert.Raw, soon.state.PeerCertificates[0].Raw, "nobody looks at the files that often")
	w.pass(2 * time.Second)
	after := handshake(t, w.server, config, w.clientConfig(nil, nil), false)
	require.Equal(t, fresh.Cert.Raw, after.state.PeerCertificates[0].Raw)
	require.Equal(t, fresh.Cert.NotAfter, w.server.Status().Certificate.NotAfter)

	_, err = before.served.Write([]byte("still there"))
	require.NoError(t, err)
	got := make([]byte, 11)
	_, err = io.ReadFull(before.connection, got)
	require.NoError(t, err)
	require.Equal(t, "still there", string(got))
	require.Empty(t, w.errs)
}

func TestHalfOfAPairIsNeverServed(t *testing.T) {
	w := newWorld(t, nil)
	old := w.server.Status().Certificate
	fresh := w.issue("/DC=org/DC=example/CN=localhost", pkitest.DNSNames("localhost"))
	require.NoError(t, pkitest.Replace(w.config.Certificate, fresh.CertificatePEM()))
	w.pass(time.Minute)
	v := w.dial(nil, nil)
	require.NoError(t, v.client)
	require.NotEqual(t, fresh.Cert.Raw, v.state.PeerCertificates[0].Raw)
	require.Equal(t, old, w.server.Status().Certificate)
	require.Len(t, w.errs, 1)
	require.ErrorContains(t, w.errs[0], "private key does not match public key")
	w.pass(time.Minute)
	require.NoError(t, w.dial(nil, nil).client)
	require.Len(t, w.errs, 1, "the same is said once")
	require.Equal(t, w.errs, w.server.Status().Broken)
	require.ErrorContains(t, w.server.Reload(), "private key does not match public key")

	key, err := fresh.KeyPEM()
	require.NoError(t, err)
	require.NoError(t, pkitest.Replace(w.config.Key, key))
	require.NoError(t, w.server.Reload())
	require.Equal(t, fresh.Cert.Raw, w.dial(nil, nil).state.PeerCertificates[0].Raw)
	require.Empty(t, w.server.Status().Broken)
}

func TestBrokenFilesKeepWhatTheySaid(t *testing.T) {
	revokedThenBroken := func(t *testing.T, spoil func(file string)) *world {
		w := newWorld(t, func(w *world) { w.config.CRLs = []string{filepath.Join(w.dir, "ca.crl")}; w.file("ca.crl", w.crl()) })
		bob := w.issue("/CN=bob")
		w.file("ca.crl", w.crl(bob))
		require.NoError(t, w.server.Reload())
		for _, file := range []string{w.config.CRLs[0], w.config.ClientCA[0], w.config.Certificate, w.config.Key} {
			spoil(file)
		}
		w.pass(time.Minute)
		w.accepts(w.issue("/CN=alice"))
		w.refuses(bob, "the client certificate CN=bob has been revoked")
		return w
	}
	w := revokedThenBroken(t, func(file string) { require.NoError(t, os.WriteFile(file, []byte("-----BEGIN nonsense"), 0o600)) })
	require.Len(t, w.errs, 3, "the pair is one")
	require.Len(t, w.server.Status().Broken, 3)
	w = revokedThenBroken(t, func(file string) { require.NoError(t, os.Remove(file)) })
	require.Len(t, w.errs, 3)
	for _, err := range w.errs {
		require.True(t, errors.Is(err, os.ErrNotExist), err)
	}
}

func TestStatusTellsUntilWhenEverythingIsGood(t *testing.T) {
	w := newWorld(t, func(w *world) { w.config.CRLs = []string{w.file("ca.crl", w.crl())} })
	s := w.server.Status()
	require.Equal(t, w.config.Certificate, s.Certificate.File)
	require.Equal(t, "CN=localhost, DC=example, DC=org", s.Certificate.Subject)
	require.Len(t, s.Authorities, 1)
	require.Equal(t, w.ca.Cert.NotAfter, s.Authorities[0].NotAfter)
	require.Len(t, s.CRLs, 1)
	require.Equal(t, "CN=Test CA, DC=example, DC=org", s.CRLs[0].Subject)
	require.Equal(t, w.config.CRLs[0], s.CRLs[0].File)
	require.WithinDuration(t, time.Now().Add(24*time.Hour), s.CRLs[0].NotAfter, time.Minute)
	require.Contains(t, w.log.String(), "the server's certificate expires soon", "it is valid for a day")
}
