package embed

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// CertificateJudge returns the certificate of the client's own that a connection showed, and an error in words for its owner if it is not to be trusted.
type CertificateJudge func(tls.ConnectionState) (*x509.Certificate, error)

// errUnverified is for listeners that nobody gave a judge.
var errUnverified = errors.New("the certificate could not be verified")

// Secured says how a listener encrypts.
type Secured struct {
	// TLS is nil for a listener in the clear.
	TLS *tls.Config
	// Certificate judges the certificates of clients; nil trusts those that TLS has verified.
	Certificate CertificateJudge
}

// WebSocket is a listener for native clients in browsers, and for MQTT over WebSocket where there is MQTT.
type WebSocket struct {
	// Address is "host:port".
	Address string
	Secured
	// Origins are the pages that may connect, "https://host"; SameOrigin lets those of this host in. Without either, all may.
	Origins    []string
	SameOrigin bool
	// Compression offers it to clients. It costs processor time and memory for each connection.
	Compression bool
}

// MQTT is a listener for MQTT 3.1.1. The sessions of its clients are kept in streams, so that Streams must be switched on.
type MQTT struct {
	// Address is "host:port".
	Address string
	Secured
}

const (
	// handshakeWithin bounds the beginning of connections: TLS, the request for a WebSocket, the login.
	handshakeWithin = 5 * time.Second
	handshakeSecs   = float64(handshakeWithin / time.Second)
)

// secure puts the listeners besides that of plain NATS, and encryption, into the server's options.
func (s *Server) secure(opts *server.Options) error {
	opts.AuthTimeout = handshakeSecs
	if s.cfg.TLS != nil {
		opts.TLSConfig, opts.TLSTimeout = s.cfg.TLS, handshakeSecs
	}
	if w := s.cfg.WebSocket; w != nil {
		host, port, err := hostPort(w.Address)
		if err != nil {
			return fmt.Errorf("resolving the websocket listener's address %q: %w", w.Address, err)
		}
		opts.Websocket = server.WebsocketOpts{
			Host: host, Port: port, NoTLS: w.TLS == nil, TLSConfig: w.TLS, AllowedOrigins: w.Origins, SameOrigin: w.SameOrigin,
			Compression: w.Compression, HandshakeTimeout: handshakeWithin, AuthTimeout: handshakeSecs,
		}
	}
	if m := s.cfg.MQTT; m != nil {
		if !s.Streams() {
			return errors.New("MQTT needs streams of native clients' own: its sessions are kept in them")
		}
		host, port, err := hostPort(m.Address)
		if err != nil {
			return fmt.Errorf("resolving the MQTT listener's address %q: %w", m.Address, err)
		}
		opts.MQTT = server.MQTTOpts{Host: host, Port: port, TLSConfig: m.TLS, TLSTimeout: handshakeSecs, AuthTimeout: handshakeSecs}
	}
	return nil
}

// hostPort is an address as the server's options have it.
func hostPort(address string) (host string, port int, err error) {
	addr, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return "", 0, err
	}
	host, port = "0.0.0.0", addr.Port
	if addr.IP != nil {
		host = addr.IP.String()
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

// listened is a listener as the entrance sees it.
type listened struct {
	protocol, address string
	judge             CertificateJudge
}

// listener finds out by which one a connection came. The server does not tell MQTT over WebSocket from MQTT.
func (s *Server) listener(id uint64) listened {
	z, err := s.ns.Connz(&server.ConnzOptions{CID: id})
	switch {
	case err != nil || len(z.Conns) == 0:
	case z.Conns[0].Type == "mqtt" && s.cfg.MQTT != nil:
		return listened{"mqtt", addressOf(s.mqtt), s.cfg.MQTT.Certificate}
	case z.Conns[0].Type == "websocket" && s.cfg.WebSocket != nil:
		return listened{"nats-websocket", addressOf(s.web), s.cfg.WebSocket.Certificate}
	}
	return listened{"nats", addressOf(s.ns.Addr()), s.cfg.Certificate}
}

func addressOf(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// WebSocketAddr is where native clients in browsers connect, or nil. They wait until Listen.
func (s *Server) WebSocketAddr() net.Addr { return s.web }

// MQTTAddr is where MQTT clients connect, or nil. They wait until Listen.
func (s *Server) MQTTAddr() net.Addr { return s.mqtt }

// locate finds out where the listeners are that the server opened.
func (s *Server) locate() error {
	if s.cfg.WebSocket == nil && s.cfg.MQTT == nil {
		return nil
	}
	v, err := s.ns.Varz(nil)
	if err != nil {
		return fmt.Errorf("asking where native clients connect: %w", err)
	}
	if s.cfg.WebSocket != nil {
		if s.web, err = tcpAddr(v.Websocket.Host, v.Websocket.Port); err != nil {
			return err
		}
	}
	if s.cfg.MQTT != nil {
		s.mqtt, err = tcpAddr(v.MQTT.Host, v.MQTT.Port)
	}
	return err
}

func tcpAddr(host string, port int) (net.Addr, error) {
	return net.ResolveTCPAddr("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
}
