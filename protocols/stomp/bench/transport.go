package bench

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// open connects to an address: "host:port", or "tls://host:port", "ws://host:port/path", "wss://host:port/path".
func (t Target) open(ctx context.Context, address string) (net.Conn, error) {
	d := &net.Dialer{Timeout: loginTime}
	scheme, rest, found := strings.Cut(address, "://")
	if !found {
		scheme, rest = "tcp", address
	}
	switch scheme {
	case "tcp":
		return d.DialContext(ctx, "tcp", rest)
	case "tls":
		return (&tls.Dialer{NetDialer: d, Config: t.TLS}).DialContext(ctx, "tcp", rest)
	case "ws", "wss":
		ctx, cancel := context.WithTimeout(ctx, loginTime)
		defer cancel()
		transport := &http.Transport{DialContext: d.DialContext, TLSClientConfig: t.TLS}
		c, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{
			Subprotocols: []string{"v11.stomp"}, HTTPClient: &http.Client{Transport: transport},
		})
		if err != nil {
			return nil, err
		}
		c.SetReadLimit(-1)
		return websocket.NetConn(context.Background(), c, websocket.MessageBinary), nil
	}
	return nil, fmt.Errorf("%q is not host:port, tls://, ws:// or wss://", address)
}

// beat keeps an idle connection alive until it is closed: it sends a heart-beat each period and reads those of the broker.
func (c *conn) beat(period time.Duration) {
	go func() {
		var b [64]byte
		for {
			if _, err := c.Conn.Read(b[:]); err != nil {
				return
			}
		}
	}()
	go func() {
		tick := time.NewTicker(period)
		defer tick.Stop()
		for range tick.C {
			if _, err := c.Conn.Write([]byte("\n")); err != nil {
				return
			}
		}
	}()
}
