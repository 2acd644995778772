package listen_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/internal/listen"
)

func words(c net.Conn, why string) { _, _ = io.WriteString(c, why+"\n") }

func logTo(b *syncBuffer) *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

// introduced tells a test what its door was told of each client, and echoes.
func introduced(to chan<- gateway.Introduction) func(context.Context, net.Conn) {
	return func(ctx context.Context, c net.Conn) {
		to <- c.(gateway.Introduced).Introduction()
		echo(ctx, c)
	}
}

func TestTheDoorHearsWhatTLSKnowsOfItsClient(t *testing.T) {
	ca := newIssuer(t)
	revoked := errors.New("certificate 17 is revoked")
	told := make(chan gateway.Introduction, 3)
	r := start(t, listen.Config{TLS: ca.server(t), Judge: func(s tls.ConnectionState) (*x509.Certificate, error) {
		if len(s.PeerCertificates) == 0 {
			return nil, nil
		}
		if c := s.PeerCertificates[0]; c.Subject.CommonName == "bad" {
			return c, revoked
		}
		return s.PeerCertificates[0], nil
	}}, introduced(told))
	for name, want := range map[string]error{"": nil, "good": nil, "bad": revoked} {
		cfg := ca.client()
		if name != "" {
			cfg = ca.client(ca.issue(t, name))
		}
		c := tls.Client(r.dial(t), cfg)
		requireEcho(t, c, "within TLS")
		got := <-told
		require.True(t, got.Secure)
		require.Equal(t, want, got.Credentials.CertificateErr)
		if name == "" {
			require.Nil(t, got.Credentials.Certificate)
			continue
		}
		require.Equal(t, name, got.Credentials.Certificate.Subject.CommonName)
	}
}

// Without a judge nobody has looked at a certificate that TLS takes from anybody.
func TestAnUnverifiedCertificateIsNone(t *testing.T) {
	ca, told := newIssuer(t), make(chan gateway.Introduction, 1)
	r := start(t, listen.Config{TLS: ca.server(t)}, introduced(told))
	requireEcho(t, tls.Client(r.dial(t), ca.client(newIssuer(t).issue(t, "stranger"))), "x")
	require.Nil(t, (<-told).Credentials.Certificate)
}

func TestWhatTLSHasVerifiedCountsWithoutAJudge(t *testing.T) {
	ca, told := newIssuer(t), make(chan gateway.Introduction, 1)
	verifying := ca.server(t)
	verifying.ClientAuth, verifying.ClientCAs = tls.RequireAndVerifyClientCert, ca.pool()
	r := start(t, listen.Config{TLS: verifying}, introduced(told))
	requireEcho(t, tls.Client(r.dial(t), ca.client(ca.issue(t, "known"))), "x")
	require.Equal(t, "known", (<-told).Credentials.Certificate.Subject.CommonName)
}

func TestTLSDowngradeIsRefused(t *testing.T) {
	var log syncBuffer
	ca := newIssuer(t)
	r := start(t, listen.Config{TLS: ca.server(t), Logger: logTo(&log)}, echo)
	old := ca.client()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	require.ErrorContains(t, tls.Client(r.dial(t), old).Handshake(), "protocol version")
	require.Eventually(t, func() bool { return r.Stats().Refused.Handshake == 1 }, soon, time.Millisecond)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "a TLS handshake failed") }, soon, time.Millisecond)
	requireEcho(t, tls.Client(r.dial(t), ca.client()), "the others are served")
}

func TestPlainBytesOnATLSPortAreAnsweredInWords(t *testing.T) {
	var log syncBuffer
	r := start(t, listen.Config{TLS: newIssuer(t).server(t), Refuse: words, Logger: logTo(&log)}, func(context.Context, net.Conn) {
		panic("a door must not see it")
	})
	for range 3 {
		c := r.dial(t)
		_, err := io.WriteString(c, "CONNECT\naccept-version:1.2\n\n\x00"+strings.Repeat("x", 5000))
		require.NoError(t, err)
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, "this port speaks TLS\n", string(got))
	}
	require.NoError(t, r.Wait(t.Context()))
	require.EqualValues(t, 3, r.Stats().Refused.Protocol)
	require.Zero(t, r.Stats().Refused.Handshake)
	require.Equal(t, 1, strings.Count(log.String(), "speaks no TLS to a port with it"), "strangers write little into the log:\n%s", log.String())
	require.NotContains(t, log.String(), "panic")
}

func TestTLSOnAPlainPortIsAnsweredInWords(t *testing.T) {
	ended := make(chan error, 1)
	r := start(t, listen.Config{Refuse: words}, func(_ context.Context, c net.Conn) {
		n, err := c.Read(make([]byte, 100))
		require.Zero(t, n)
		_, again := c.Read(make([]byte, 100))
		require.Equal(t, err, again)
		ended <- err
	})
	c := r.dial(t)
	var header tls.RecordHeaderError
	require.ErrorAs(t, tls.Client(c, &tls.Config{InsecureSkipVerify: true}).Handshake(), &header)
	require.Equal(t, "this ", string(header.RecordHeader[:]))
	rest, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Contains(t, "this port does not speak TLS\n", string(rest))
	require.Error(t, <-ended)
	require.EqualValues(t, 1, r.Stats().Refused.Protocol)
}

func TestSlowLorisOverTLSIsCutInTime(t *testing.T) {
	ca := newIssuer(t)
	r := start(t, listen.Config{TLS: ca.server(t), Limits: listen.Limits{Login: 100 * time.Millisecond}}, echo)
	for _, begin := range []string{"", "\x16\x03\x01\x02\x00\x01"} {
		c := r.dial(t)
		_, err := io.WriteString(c, begin)
		require.NoError(t, err)
		_, err = io.ReadAll(c)
		require.NoError(t, err)
	}
	require.NoError(t, r.Wait(t.Context()))
	require.EqualValues(t, 2, r.Stats().Refused.Handshake)
}

func TestTheTimeToLogInBeginsBeforeTheHandshake(t *testing.T) {
	ca, by := newIssuer(t), make(chan time.Time, 1)
	r := start(t, listen.Config{TLS: ca.server(t)}, func(_ context.Context, c net.Conn) { by <- c.(*listen.Conn).LoginBy() })
	c := r.dial(t)
	before := time.Now()
	require.NoError(t, tls.Client(c, ca.client()).Handshake())
	require.WithinRange(t, <-by, before.Add(9*time.Second), before.Add(10*time.Second+soon))
}

func TestTheLastWordsReachATLSClient(t *testing.T) {
	ca := newIssuer(t)
	r := start(t, listen.Config{TLS: ca.server(t)}, func(_ context.Context, c net.Conn) {
		_, _ = io.WriteString(c, "the last words")
		_ = c.(*listen.Conn).CloseWrite()
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		_, _ = io.Copy(io.Discard, c)
	})
	c := tls.Client(r.dial(t), ca.client())
	_, err := c.Write(bytes.Repeat([]byte("x"), 50000))
	require.NoError(t, err)
	got, err := io.ReadAll(c) // without close_notify this is an unexpected end
	require.NoError(t, err)
	require.Equal(t, "the last words", string(got))
}

func TestRefusalsAboveTheLimitAreSaidWithinTLS(t *testing.T) {
	ca := newIssuer(t)
	r := start(t, listen.Config{TLS: ca.server(t), Refuse: words, Limits: listen.Limits{MaxConnections: 1}}, echo)
	first := tls.Client(r.dial(t), ca.client())
	requireEcho(t, first, "in")
	got, err := io.ReadAll(tls.Client(r.dial(t), ca.client()))
	require.NoError(t, err)
	require.Equal(t, "Too many connections: this node takes no more\n", string(got))
	requireEcho(t, first, "still in")
}

func TestHandshakesAtOnceAreBounded(t *testing.T) {
	ca, inside := newIssuer(t), make(chan struct{}, 10)
	let := make(chan struct{})
	cfg := ca.server(t)
	cfg.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		inside <- struct{}{}
		<-let
		return nil, nil
	}
	r := start(t, listen.Config{TLS: cfg, Limits: listen.Limits{MaxHandshakes: 2}}, echo)
	results := make(chan error, 6)
	for range 6 {
		c := tls.Client(r.dial(t), ca.client())
		go func() { results <- c.Handshake() }()
	}
	<-inside // one address has half of the places
	require.Eventually(t, func() bool { return r.Stats().Unknown == 6 }, soon, time.Millisecond)
	require.Empty(t, inside)
	close(let)
	for range 6 {
		require.NoError(t, <-results)
	}
}

func TestStoppingDoesNotWaitForHandshakes(t *testing.T) {
	r := start(t, listen.Config{TLS: newIssuer(t).server(t), Limits: listen.Limits{Login: time.Hour, MaxHandshakes: 1, Wait: time.Hour}}, echo)
	for range 3 { // one shakes hands, the others wait
		r.dial(t)
	}
	require.Eventually(t, func() bool { return r.Stats().Open == 3 }, soon, time.Millisecond)
	r.StopAccepting()
	require.NoError(t, r.end(t))
	require.Zero(t, r.Stats().Refused.Total())
}

// What a TLS client of which nothing is heard costs, its own end and the test's included.
func TestIdleTLSConnectionsAreCheap(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's memory is not ours")
	}
	const n = 400
	ca := newIssuer(t)
	r := start(t, listen.Config{TLS: ca.server(t), Judge: func(s tls.ConnectionState) (*x509.Certificate, error) { return s.PeerCertificates[0], nil }}, func(_ context.Context, c net.Conn) {
		c.(*listen.Conn).LoggedIn()
		_, _ = io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{c}, make([]byte, 4096)) // what a door keeps
	})
	cfg := ca.client(ca.issue(t, "host1"))
	cfg.ClientSessionCache = nil
	memory := func() uint64 {
		for range 5 { // stacks shrink by half at a time
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	open := make([]*tls.Conn, 0, n)
	connect := func() {
		c := tls.Client(r.dial(t), cfg)
		requireEcho(t, c, strings.Repeat("x", 1000))
		open = append(open, c)
	}
	connect()
	before := memory()
	for range n {
		connect()
	}
	each := (memory() - before) / n
	t.Logf("%d bytes per idle TLS connection, both ends included", each)
	require.Less(t, each, uint64(36<<10))
	runtime.KeepAlive(open)
}
