package stomp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/internal/listen"
)

// certificate makes one that nobody but itself signed.
func certificate(t testing.TB, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{"Grid"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func withTLS(t testing.TB) func(*Config) {
	own := certificate(t, "localhost")
	return func(cfg *Config) {
		cfg.TLS = &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequestClientCert}
		cfg.Judge = func(s tls.ConnectionState) (*x509.Certificate, error) {
			if len(s.PeerCertificates) == 0 {
				return nil, nil
			}
			return s.PeerCertificates[0], errors.New("certificate has expired")
		}
	}
}

// dialTLS connects within TLS and shows the given certificates.
func dialTLS(t testing.TB, s *Server, own ...tls.Certificate) *client {
	t.Helper()
	c := dial(t, s)
	within := tls.Client(c.nc, &tls.Config{InsecureSkipVerify: true, Certificates: own})
	_ = c.nc.SetDeadline(time.Now().Add(wait))
	require.NoError(t, within.Handshake())
	c.nc = within
	c.r.Reset(within)
	return c
}

func (b *fakeBroker) login(t testing.TB) gateway.Login {
	b.mu.Lock()
	defer b.mu.Unlock()
	require.NotEmpty(t, b.logins)
	return b.logins[len(b.logins)-1]
}

func TestTheBrokerHearsWhatTheTransportKnows(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b, withTLS(t))
	c := dialTLS(t, s, certificate(t, "host1.example.org"))
	c.send("CONNECT\naccept-version:1.2\nhost:/\nuser-agent:collector/2.1 \x1b[31m" + strings.Repeat("x", 1000) + "\n\n^")
	c.expect("CONNECTED")
	l := b.login(t)
	require.Equal(t, "host1.example.org", l.Credentials.Certificate.Subject.CommonName)
	require.EqualError(t, l.Credentials.CertificateErr, "certificate has expired")
	require.Equal(t, s.Addr().String(), l.Listener)
	require.Equal(t, c.nc.LocalAddr().String(), l.Remote)
	require.True(t, strings.HasPrefix(l.Library, "collector/2.1 [31mxxx"), l.Library)
	require.Less(t, len(l.Library), 300)
	require.Zero(t, s.Stats().Unknown, "it is logged in")
	require.Equal(t, 1, s.Stats().Open)
}

func TestBearerTokensInCONNECT(t *testing.T) {
	for header, want := range map[string]string{
		"authorization:Bearer abc.def.ghi":   "abc.def.ghi",
		"Authorization:bearer  abc":          "abc",
		"token:xyz":                          "xyz",
		"authorization:Basic YTpi":           "",
		"authorization:Bearer":               "",
		"authorization:Basic x\ntoken:later": "later",
		"passcode:secret":                    "",
	} {
		b := newFakeBroker()
		c := dial(t, start(t, b))
		c.send("CONNECT\naccept-version:1.2\nlogin:u\n" + header + "\n\n^")
		c.expect("CONNECTED")
		require.Equal(t, want, b.login(t).Credentials.Token, header)
		require.Equal(t, "u", b.login(t).Credentials.Login)
	}
}

// SSM and its like look for these words in the message header and print what follows the colon.
func TestRefusedLoginsAreSaidInActiveMQsWords(t *testing.T) {
	words := "User name [null] or password is invalid. No user for client certificate: CN=host1.example.org, OU=computers, DC=example, DC=org"
	b := &refusing{words}
	s, err := New(Config{Address: "127.0.0.1:0", Broker: b})
	require.NoError(t, err)
	serve(t, s)
	c := dial(t, s)
	c.send("CONNECT\naccept-version:1.1,1.2\n\n^")
	r := c.expect("ERROR")
	require.Contains(t, r.lines, "message:"+words, "nothing is escaped before the login")
	require.Equal(t, words, r.body)
	c.expectClosed()
}

type refusing struct{ words string }

func (b *refusing) Open(context.Context, gateway.Login) (gateway.Session, error) {
	return nil, gateway.Errorf(gateway.Unauthenticated, "%s", b.words)
}

// serve lets a server serve for the length of the test.
func serve(t testing.TB, s *Server) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

func TestPlainSTOMPOnATLSPort(t *testing.T) {
	s := start(t, newFakeBroker(), withTLS(t))
	c := dial(t, s)
	c.send("CONNECT\naccept-version:1.2\n\n^")
	c.expectError("this port speaks TLS")
	c.expectClosed()
}

func TestTLSOnAPlainSTOMPPort(t *testing.T) {
	s := start(t, newFakeBroker())
	c := dial(t, s)
	_ = c.nc.SetDeadline(time.Now().Add(wait))
	var header tls.RecordHeaderError
	require.ErrorAs(t, tls.Client(c.nc, &tls.Config{InsecureSkipVerify: true}).Handshake(), &header)
	require.Equal(t, "ERROR", string(header.RecordHeader[:]))
	eventually(t, "it is over", func() bool { return s.Stats().Open == 0 && s.Stats().Refused.Protocol == 1 })
}

func TestSlowLorisWithinTLSIsToldAndCut(t *testing.T) {
	s := start(t, newFakeBroker(), withTLS(t), func(cfg *Config) { cfg.Limits.Login = 700 * time.Millisecond })
	began := time.Now()
	c := dialTLS(t, s)
	c.send("CONNECT\naccept-ver")
	c.expectError("Login timeout: no CONNECT frame arrived in time")
	_, err := c.next()
	require.ErrorIs(t, err, io.EOF, "close_notify tells a TLS client that nothing was cut off")
	require.Less(t, time.Since(began), wait/2)
}

// The time to log in is one, handshake included: a slow client does not get it twice.
func TestTheHandshakesTimeCounts(t *testing.T) {
	for _, left := range []time.Duration{-time.Second, 100 * time.Millisecond} {
		s, err := newServer(Config{Broker: newFakeBroker()})
		require.NoError(t, err)
		ours, theirs := net.Pipe()
		over := make(chan struct{})
		go func() { defer close(over); s.ServeConn(t.Context(), &late{ours, time.Now().Add(left)}) }()
		all, err := io.ReadAll(theirs)
		require.NoError(t, err)
		require.Contains(t, string(all), "Login timeout")
		<-over
	}
}

type late struct {
	net.Conn
	by time.Time
}

func (l *late) LoginBy() time.Time { return l.by }
func (l *late) CloseWrite() error  { return l.Close() }

func TestADrainReachesTLSClients(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b, withTLS(t))
	c := dialTLS(t, s)
	c.send("CONNECT\naccept-version:1.2\n\n^")
	c.expect("CONNECTED")
	c.send("SEND\ndestination:/queue/a\nreceipt:last\n\nx^")
	require.NoError(t, s.Drain(t.Context()))
	c.expectReceipt("last")
	c.expectClosed()
	require.Equal(t, 1, b.stored())
}

// fakeTransport brings the connections that a test makes.
type fakeTransport struct {
	listen.Transport
	conns chan net.Conn
	stop  chan struct{}
	once  sync.Once
}

func (f *fakeTransport) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 61614} }
func (f *fakeTransport) StopAccepting() { f.once.Do(func() { close(f.stop) }) }
func (f *fakeTransport) Stats() listen.Stats {
	return listen.Stats{Accepted: 7}
}

func (f *fakeTransport) Serve(ctx context.Context, handle func(context.Context, net.Conn)) error {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		select {
		case c := <-f.conns:
			running.Go(func() { defer c.Close(); handle(ctx, c) })
		case <-f.stop:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestATransportBringsTheConnections(t *testing.T) {
	f := &fakeTransport{conns: make(chan net.Conn), stop: make(chan struct{})}
	b := newFakeBroker()
	s, err := New(Config{Transport: f, Broker: b})
	require.NoError(t, err)
	serve(t, s)
	require.Equal(t, "127.0.0.1:61614", s.Addr().String())
	require.EqualValues(t, 7, s.Stats().Accepted)
	ours, theirs := net.Pipe()
	known := &introducing{Conn: ours, in: make(chan struct{})}
	f.conns <- known
	go func() { _, _ = io.WriteString(theirs, "CONNECT\naccept-version:1.2\ntoken:frame\n\n\x00") }()
	got := make([]byte, 9)
	_, err = io.ReadFull(theirs, got)
	require.NoError(t, err)
	require.Equal(t, "CONNECTED", string(got))
	<-known.in
	l := b.login(t)
	require.Equal(t, "frame", l.Credentials.Token, "what the client says last counts")
	require.Equal(t, "browser", l.Library)
	go func() { _, _ = io.Copy(io.Discard, theirs) }()
	require.NoError(t, s.Drain(t.Context()))
}

type introducing struct {
	net.Conn
	in chan struct{}
}

func (i *introducing) Introduction() gateway.Introduction {
	return gateway.Introduction{Library: "browser", Credentials: gateway.Credentials{Token: "transport"}}
}
func (i *introducing) LoggedIn()         { close(i.in) }
func (i *introducing) CloseWrite() error { return io.ErrClosedPipe }
