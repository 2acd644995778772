package websocket_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/websocket"
)

func TestB7Row158Subprotocols(t *testing.T) {
	s := start(t, websocket.Config{}, echo)
	for offered, want := range map[string]string{
		"":                                "",
		"v10.stomp":                       "v10.stomp",
		"v10.stomp, v11.stomp":            "v11.stomp",
		"v12.stomp,v11.stomp, v10.stomp":  "v12.stomp",
		"stomp":                           "stomp",
		"mqtt":                            "",
		"mqtt, stomp, v11.stomp, another": "v11.stomp",
	} {
		header := ""
		if offered != "" {
			header = "Sec-WebSocket-Protocol: " + offered + "\r\n"
		}
		c := dial(t, s.Addr())
		c.send(request(header) + frame(fin|text, "hello")) // without waiting for the answer
		a, _ := c.answer()
		require.Equal(t, 101, a.StatusCode)
		require.Equal(t, want, a.Header.Get("Sec-WebSocket-Protocol"), offered)
		require.Empty(t, a.Header.Get("Sec-WebSocket-Extensions"))
		c.expect(fin|text, "hello")
	}
}

// Cross-site WebSocket hijacking: a page of elsewhere must not connect with its visitor's certificate or place in the network.
func TestWebSocketHijackingIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		origins []string
		origin  string
		want    int
	}{
		"no browser":                 {nil, "", 101},
		"same origin":                {nil, "http://node.example.org:61614", 101},
		"same origin, case":          {nil, "http://NODE.example.org:61614", 101},
		"another host":               {nil, "http://evil.example.org:61614", 403},
		"another port":               {nil, "http://node.example.org", 403},
		"hidden":                     {nil, "null", 403},
		"nonsense":                   {nil, "node.example.org:61614", 403},
		"with a path":                {nil, "http://node.example.org:61614/x", 403},
		"with a user":                {nil, "http://node.example.org:61614@evil.example.org", 403},
		"listed":                     {[]string{"https://portal.example.org"}, "https://portal.example.org", 101},
		"listed, other scheme":       {[]string{"https://portal.example.org"}, "http://portal.example.org", 403},
		"listed, other port":         {[]string{"https://portal.example.org"}, "https://portal.example.org:8443", 403},
		"not listed":                 {[]string{"https://portal.example.org"}, "https://evil.example.org", 403},
		"same origin, not listed":    {[]string{"https://portal.example.org"}, "http://node.example.org:61614", 403},
		"a longer name":              {[]string{"https://portal.example.org"}, "https://portal.example.org.evil.com", 403},
		"by a pattern":               {[]string{"https://*.example.org"}, "https://a.b.example.org", 101},
		"beside a pattern":           {[]string{"https://*.example.org"}, "https://example.org.evil.com", 403},
		"by a host":                  {[]string{"portal.example.org"}, "http://portal.example.org", 101},
		"everybody":                  {[]string{"*"}, "https://evil.example.org", 101},
		"everybody, even the hidden": {[]string{"*"}, "null", 101},
		"hidden, not listed":         {[]string{"https://*"}, "null", 403},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, websocket.Config{Origins: c.origins}, echo)
			header := ""
			if c.origin != "" {
				header = "Origin: " + c.origin + "\r\n"
			}
			client := dial(t, s.Addr())
			client.send(request(header))
			a, body := client.answer()
			require.Equal(t, c.want, a.StatusCode, body)
			if c.want == 403 {
				require.Contains(t, body, "rigin")
				require.EqualValues(t, 1, s.Stats().Refused.Upgrade)
				require.Contains(t, s.log.String(), "rigin")
			}
		})
	}
}

func TestTwoOriginsAreNone(t *testing.T) {
	s := start(t, websocket.Config{Origins: []string{"https://good.example.org"}}, echo)
	c := dial(t, s.Addr())
	c.send(request("Origin: https://good.example.org\r\nOrigin: https://evil.example.org\r\n"))
	a, _ := c.answer()
	require.Equal(t, http.StatusForbidden, a.StatusCode)
}

func TestMalformedOriginsAreRefusedAtStart(t *testing.T) {
	for _, o := range []string{"", " ", "https://a/b", "[", "https://user@a"} {
		_, err := websocket.New(websocket.Config{Address: "127.0.0.1:0", Origins: []string{o}})
		require.ErrorContains(t, err, "origin", o)
	}
	_, err := websocket.New(websocket.Config{Address: "127.0.0.1:0", Path: "stomp"})
	require.ErrorContains(t, err, "slash")
}

func TestWhatIsNoHandshakeIsAnsweredInWords(t *testing.T) {
	s := start(t, websocket.Config{Path: "/stomp"}, func(context.Context, net.Conn) { panic("no client has come as far") })
	at := func(text string) string { return strings.Replace(text, "GET / ", "GET /stomp ", 1) }
	for name, c := range map[string]struct {
		request string
		status  int
		words   string
	}{
		"a browser":          {"GET /stomp HTTP/1.1\r\nHost: a\r\n\r\n", 426, "connect with a WebSocket client"},
		"another path":       {request(), 404, "/stomp"},
		"STOMP itself":       {"CONNECT\naccept-version:1.2\nhost:/\n\n\x00", 400, "this port speaks STOMP within WebSocket"},
		"a POST":             {"POST /stomp HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 405, "GET"},
		"a body":             {at(request("Content-Length: 5\r\n")) + "hello", 400, "no body"},
		"chunks":             {at(request("Transfer-Encoding: chunked\r\n")) + "0\r\n\r\n", 400, "no body"},
		"no host":            {strings.Replace(at(request()), "Host: node.example.org:61614\r\n", "", 1), 400, "host"},
		"no key":             {strings.Replace(at(request()), "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 1), 400, "Sec-WebSocket-Key"},
		"an old version":     {strings.Replace(at(request()), "Version: 13", "Version: 8", 1), 400, "version"},
		"HTTP/1.0":           {strings.Replace(at(request()), "HTTP/1.1", "HTTP/1.0", 1), 426, "HTTP/1.1"},
		"too long":           {at(request("X: " + strings.Repeat("x", 20000) + "\r\n")), 431, "longer than 16384 bytes"},
		"too many":           {at(request(strings.Repeat("a:b\r\n", 5000))), 431, "longer than 16384 bytes"},
		"a header too weird": {at(request("no colon\r\n")), 400, "WebSocket"},
		"HTTP/2":             {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			client := dial(t, s.Addr())
			client.send(c.request)
			a, body := client.answer()
			if c.status != 0 {
				require.Equal(t, c.status, a.StatusCode, body)
			}
			require.GreaterOrEqual(t, a.StatusCode, 400)
			require.Contains(t, body, c.words)
			_, err := client.r.ReadByte()
			require.ErrorIs(t, err, io.EOF)
			if c.status == 426 && name == "a browser" {
				require.Equal(t, "websocket", a.Header.Get("Upgrade"))
			}
		})
	}
	require.NoError(t, s.Wait(t.Context()))
	require.NotContains(t, s.log.String(), "panic")
}

func TestSlowLorisOverWebSocketIsCutInTime(t *testing.T) {
	s := start(t, websocket.Config{Reception: websocket.Reception{Login: 150 * time.Millisecond}}, echo)
	for _, begin := range []string{"", "G", "GET / HTTP/1.1\r\nHost: a\r\nX: "} {
		c := dial(t, s.Addr())
		began := time.Now()
		c.send(begin)
		stop := make(chan struct{})
		dripped := make(chan struct{})
		go func() { // a byte now and then does not help
			defer close(dripped)
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
					if begin != "" {
						_, _ = io.WriteString(c.nc, "x")
					}
				}
			}
		}()
		_, _ = io.ReadAll(c.nc)
		require.Less(t, time.Since(began), soon/2)
		close(stop)
		<-dripped
	}
	require.NoError(t, s.Wait(t.Context()))
}

func TestTheDoorHearsWhatTheRequestSays(t *testing.T) {
	told := make(chan gateway.Introduction, 1)
	from := make(chan string, 1)
	s := start(t, websocket.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, func(_ context.Context, c net.Conn) {
		told <- c.(gateway.Introduced).Introduction()
		from <- c.RemoteAddr().String()
	})
	c := dial(t, s.Addr())
	c.send("PROXY TCP4 203.0.113.5 10.0.0.1 4711 61614\r\n" + request("authorization: bearer  abc.def\r\nUser-Agent: portal/1.0\r\nCookie: token=stolen\r\nX-Forwarded-For: 198.51.100.1\r\n"))
	a, _ := c.answer()
	require.Equal(t, 101, a.StatusCode)
	got := <-told
	require.Equal(t, "abc.def", got.Credentials.Token)
	require.Equal(t, "portal/1.0", got.Library)
	require.False(t, got.Secure)
	require.Equal(t, "203.0.113.5:4711", <-from)

	c = dial(t, s.Addr())
	c.send("PROXY UNKNOWN\r\n" + request("Authorization: Basic YTpi\r\nCookie: Authorization=Bearer x\r\n"))
	require.Empty(t, (<-told).Credentials.Token)
	<-from
}

func TestAboveTheLimitTheAnswerIsHTTP(t *testing.T) {
	s := start(t, websocket.Config{Reception: websocket.Reception{MaxConnections: 1}}, echo)
	upgrade(t, s)
	c := dial(t, s.Addr())
	a, body := c.answer()
	require.Equal(t, http.StatusServiceUnavailable, a.StatusCode)
	require.Contains(t, body, "Too many connections")
}

func TestStoppingDoesNotWaitForRequests(t *testing.T) {
	s := start(t, websocket.Config{Reception: websocket.Reception{Login: time.Hour}}, echo)
	c := dial(t, s.Addr())
	c.send("GET / HTTP/1.1\r\n")
	require.Eventually(t, func() bool { return s.Stats().Unknown == 1 }, soon, time.Millisecond)
	s.StopAccepting()
	require.NoError(t, s.Wait(t.Context()))
	require.NoError(t, <-s.served)
	s.served <- nil
}
