package security

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth/pki/pkitest"
	"github.com/sluice-mq/sluice/tests/conformance/raw"
)

// shown is what a client shows.
type shown struct {
	login, passcode, bearer string
	certificate             *pkitest.Pair
}

// door is a way into a node.
type door struct {
	name string
	// secure: it has TLS, so that certificates can be shown.
	secure bool
	// admin: what is done there are operations, and there is no connection that lasts.
	admin bool
	// from is the address that clients come from. Each door has its own, so that what fails at one does not slow the others down.
	from string
	// enter logs in. If that is refused, it returns the words, and no visitor.
	enter func(t testing.TB, p *place, d door, s shown) (visitor, string)
}

// visitor is a client that was let in.
type visitor interface {
	// use sends something to a destination and gets it back, or carries an operation out.
	use(t testing.TB, destination string)
	// trespass reads what it may not, and sends there, and returns what it is told about both.
	trespass(t testing.TB, destination string) (read, write string)
	// listen subscribes; warned waits for the error that ends the subscription.
	listen(t testing.TB, destination string)
	warned(t testing.TB) string
	// dismissed waits until it was sent away, and returns what it was told.
	dismissed(t testing.TB) string
}

// doors are all of them.
func doors() []door {
	return append([]door{
		{name: "stomp", from: "127.0.1.1", enter: enterSTOMP(0, false)},
		{name: "stomp+tls", from: "127.0.1.2", secure: true, enter: enterSTOMP(1, false)},
		{name: "websocket", from: "127.0.1.3", enter: enterSTOMP(0, true)},
		{name: "websocket+tls", from: "127.0.1.4", secure: true, enter: enterSTOMP(1, true)},
		{name: "admin+tls", from: "127.0.1.5", secure: true, admin: true, enter: enterAdmin},
	}, nativeDoors()...)
}

// trusting is TLS with a client's certificate, if it has one, which trusts the place's authority.
func (p *place) trusting(certificate *pkitest.Pair) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(p.ca.Cert)
	c := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	if certificate != nil {
		// Not Certificates: those are shown only if the server names their authority.
		shown := certificate.TLS()
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown, nil }
	}
	return c
}

// dial connects from an address; "" is any.
func dial(t testing.TB, from, to string) net.Conn {
	t.Helper()
	d := net.Dialer{Timeout: soon}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	nc, err := d.Dial("tcp", to)
	require.NoError(t, err)
	return nc
}

// open connects to a STOMP door.
func (p *place) open(t testing.TB, i int, web bool, from string, s shown) net.Conn {
	t.Helper()
	if web {
		return p.openWeb(t, i, from, s, nil)
	}
	nc := dial(t, from, p.Addrs("stomp")[i])
	if i == 1 {
		nc = tls.Client(nc, p.trusting(s.certificate))
	}
	return nc
}

func (p *place) openWeb(t testing.TB, i int, from string, s shown, header http.Header) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	addr := p.Addrs("websocket")[i]
	client := http.Client{Transport: &http.Transport{
		DialContext:     func(context.Context, string, string) (net.Conn, error) { return dial(t, from, addr), nil },
		TLSClientConfig: p.trusting(s.certificate),
	}}
	if header == nil {
		header = http.Header{}
	}
	if s.bearer != "" {
		header.Set("Authorization", "Bearer "+s.bearer)
	}
	c, _, err := websocket.Dial(ctx, map[int]string{0: "ws://", 1: "wss://"}[i]+addr+"/", &websocket.DialOptions{
		HTTPClient: &client, HTTPHeader: header, Subprotocols: []string{"v12.stomp"},
	})
	require.NoError(t, err)
	c.SetReadLimit(-1)
	return websocket.NetConn(context.Background(), c, websocket.MessageText)
}

func enterSTOMP(i int, web bool) func(testing.TB, *place, door, shown) (visitor, string) {
	return func(t testing.TB, p *place, d door, s shown) (visitor, string) {
		t.Helper()
		nc := p.open(t, i, web, d.from, s)
		t.Cleanup(func() { _ = nc.Close() })
		return login(t, nc, s, web)
	}
}

// login says CONNECT.
func login(t testing.TB, nc net.Conn, s shown, web bool) (visitor, string) {
	t.Helper()
	v := &stomper{raw.Over(t, nc)}
	said := []string{"accept-version:1.2", "host:/"}
	if s.login != "" {
		said = append(said, "login:"+s.login)
	}
	if s.passcode != "" {
		said = append(said, "passcode:"+s.passcode)
	}
	if s.bearer != "" && !web { // there it has been in the request
		said = append(said, "Authorization:Bearer "+s.bearer)
	}
	v.c.Send("CONNECT", "", said...)
	f := v.next(t)
	if f.Command == "CONNECTED" {
		return v, ""
	}
	require.Equal(t, "ERROR", f.Command, "%v", f)
	require.Equal(t, f.Body, f.Get("message"), "the header and the body say the same")
	v.over(t)
	return nil, f.Body
}

// stomper is a visitor by STOMP.
type stomper struct{ c *raw.Client }

func (v *stomper) next(t testing.TB) raw.Frame {
	t.Helper()
	f, err := v.c.Within(soon)
	require.NoError(t, err)
	return f
}

func (v *stomper) want(t testing.TB, command string) raw.Frame {
	t.Helper()
	f := v.next(t)
	require.Equal(t, command, f.Command, "%v", f)
	return f
}

// over waits for the end of the connection, which WebSocket gives a reason.
func (v *stomper) over(t testing.TB) {
	t.Helper()
	_, err := v.c.Within(soon)
	if websocket.CloseStatus(err) == websocket.StatusPolicyViolation {
		return
	}
	require.ErrorIs(t, err, io.EOF)
}

func (v *stomper) use(t testing.TB, destination string) {
	t.Helper()
	v.c.Send("SUBSCRIBE", "", "id:use", "destination:"+destination, "receipt:s")
	v.want(t, "RECEIPT")
	v.c.Send("SEND", "hello", "destination:"+destination)
	require.Equal(t, "hello", v.want(t, "MESSAGE").Body)
	v.c.Send("UNSUBSCRIBE", "", "id:use", "receipt:u")
	v.want(t, "RECEIPT")
}

func (v *stomper) trespass(t testing.TB, destination string) (read, write string) {
	t.Helper()
	v.c.Send("SUBSCRIBE", "", "id:x", "destination:"+destination, "receipt:x")
	read = v.want(t, "ERROR").Body
	v.c.Send("SEND", "hello", "destination:"+destination, "receipt:y")
	return read, v.want(t, "ERROR").Body
}

func (v *stomper) listen(t testing.TB, destination string) {
	t.Helper()
	v.c.Send("SUBSCRIBE", "", "id:listen", "destination:"+destination, "receipt:l")
	v.want(t, "RECEIPT")
}

func (v *stomper) warned(t testing.TB) string {
	t.Helper()
	return v.want(t, "ERROR").Body
}

func (v *stomper) dismissed(t testing.TB) string {
	t.Helper()
	f := v.want(t, "ERROR")
	v.over(t)
	return f.Body
}

// caller is a visitor by HTTP: each request logs in again.
type caller struct {
	client *http.Client
	url    string
	shown  shown
}

func enterAdmin(t testing.TB, p *place, d door, s shown) (visitor, string) {
	t.Helper()
	addr := p.Addr("admin")
	v := &caller{url: "https://" + addr, shown: s, client: &http.Client{Timeout: soon, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: p.trusting(s.certificate),
		DialContext: func(context.Context, string, string) (net.Conn, error) { return dial(t, d.from, addr), nil },
	}}}
	code, text := v.ask(t, "status")
	if code == http.StatusUnauthorized {
		return nil, text
	}
	require.Equal(t, http.StatusOK, code, text)
	return v, ""
}

// ask asks for an operation.
func (v *caller) ask(t testing.TB, operation string) (code int, text string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, v.url+"/operations/"+operation, http.NoBody)
	require.NoError(t, err)
	switch {
	case v.shown.bearer != "":
		req.Header.Set("Authorization", "Bearer "+v.shown.bearer)
	case v.shown.login != "" || v.shown.passcode != "":
		req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(v.shown.login+":"+v.shown.passcode)))
	}
	res, err := v.client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, strings.TrimSuffix(string(body), "\n")
}

func (v *caller) use(t testing.TB, _ string) {
	t.Helper()
	code, text := v.ask(t, "status")
	require.Equal(t, http.StatusOK, code, text)
}

func (v *caller) trespass(t testing.TB, _ string) (read, write string) {
	t.Helper()
	code, text := v.ask(t, "connections")
	require.Equal(t, http.StatusForbidden, code, text)
	return text, text
}

func (v *caller) listen(testing.TB, string) {}

func (v *caller) warned(t testing.TB) string {
	t.Helper()
	code, text := v.ask(t, "status")
	require.Equal(t, http.StatusForbidden, code, text)
	return text
}

func (v *caller) dismissed(t testing.TB) string {
	t.Helper()
	code, text := v.ask(t, "status")
	require.Equal(t, http.StatusUnauthorized, code, text)
	return text
}

// eventually waits for a condition.
func eventually(t testing.TB, holds func() bool, said string) {
	t.Helper()
	require.Eventually(t, holds, soon, 20*time.Millisecond, said)
}
