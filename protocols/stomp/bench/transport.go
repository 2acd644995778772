package bench

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
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
		return t.openWebSocket(ctx, d, scheme == "wss", address)
	}
	return nil, fmt.Errorf("%q is not host:port, tls://, ws:// or wss://", address)
}

func (t Target) openWebSocket(ctx context.Context, d *net.Dialer, private bool, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, loginTime)
	defer cancel()
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	port := map[bool]string{false: "80", true: "443"}[private]
	if u.Port() != "" {
		port = u.Port()
	}
	var nc net.Conn
	if host := net.JoinHostPort(u.Hostname(), port); private {
		nc, err = (&tls.Dialer{NetDialer: d, Config: t.TLS}).DialContext(ctx, "tcp", host)
	} else {
		nc, err = d.DialContext(ctx, "tcp", host)
	}
	if err != nil {
		return nil, err
	}
	ws, err := upgrade(ctx, nc, address)
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	return ws, nil
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
