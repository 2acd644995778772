package websocket_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/websocket"
)

func certificate(t testing.TB, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{name},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestACertificateGoesWithAWebSocketWithinTLS(t *testing.T) {
	told := make(chan gateway.Introduction, 1)
	s := start(t, websocket.Config{
		TLS: &tls.Config{Certificates: []tls.Certificate{certificate(t, "localhost")}, ClientAuth: tls.RequestClientCert},
		Judge: func(s tls.ConnectionState) (*x509.Certificate, error) {
			return s.PeerCertificates[0], errors.New("certificate is revoked")
		},
	}, func(_ context.Context, c net.Conn) { told <- c.(gateway.Introduced).Introduction() })
	c := dial(t, s.Addr())
	within := tls.Client(c.nc, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{certificate(t, "portal")}})
	c.nc = within
	c.r.Reset(within)
	c.send(request("Authorization: Bearer abc\r\n"))
	a, _ := c.answer()
	require.Equal(t, http.StatusSwitchingProtocols, a.StatusCode)
	got := <-told
	require.True(t, got.Secure)
	require.Equal(t, "portal", got.Credentials.Certificate.Subject.CommonName)
	require.EqualError(t, got.Credentials.CertificateErr, "certificate is revoked")
	require.Equal(t, "abc", got.Credentials.Token)

	plain := dial(t, s.Addr()) // a browser that was told http instead of https
	plain.send(request())
	a, body := plain.answer()
	require.Equal(t, http.StatusServiceUnavailable, a.StatusCode)
	require.Equal(t, "this port speaks TLS\n", body)
}

func TestTLSOnAPlainWebSocketPort(t *testing.T) {
	s := start(t, websocket.Config{}, func(context.Context, net.Conn) { panic("no client has come as far") })
	c := dial(t, s.Addr())
	var header tls.RecordHeaderError
	require.ErrorAs(t, tls.Client(c.nc, &tls.Config{InsecureSkipVerify: true}).Handshake(), &header)
	require.Equal(t, "HTTP/", string(header.RecordHeader[:]))
	require.NoError(t, s.Wait(t.Context()))
	require.Equal(t, websocket.Stats{Accepted: 1, Refused: s.Stats().Refused}, s.Stats())
	require.EqualValues(t, 1, s.Stats().Refused.Protocol)
	require.EqualValues(t, 1, s.Stats().Refused.Total())
}
