// Package doors tests STOMP through every way in: plain, within TLS, within WebSocket and within both, with the real broker behind them.
package doors

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/protocols/stomp"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
	"github.com/sluice-mq/sluice/protocols/websocket"
)

const soon = 30 * time.Second

// ways are all there are.
var ways = []string{"tcp", "tls", "ws", "wss"}

// world is a broker with a door for each way.
type world struct {
	testing.TB
	broker *core.Broker
	doors  map[string]*stomp.Server
}

type settings struct {
	core      core.Config
	stomp     stomp.Config
	websocket websocket.Config
}

func newWorld(t testing.TB, change ...func(*settings)) *world {
	t.Helper()
	store := gatewaytest.NewMemory(gatewaytest.NewDisk(3))
	log := slog.New(slog.DiscardHandler)
	s := settings{core: core.Config{Node: "n1", Store: store, Authenticator: gatewaytest.Everyone{}, Authorizer: gatewaytest.Everyone{}, Logger: log}}
	for _, f := range change {
		f(&s)
	}
	broker, err := core.New(context.Background(), s.core)
	require.NoError(t, err)
	w := &world{TB: t, broker: broker, doors: map[string]*stomp.Server{}}
	within := &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	ctx, cancel := context.WithCancel(context.Background())
	var served []chan error
	for _, way := range ways {
		s := settings{stomp: stomp.Config{Address: "127.0.0.1:0", Broker: broker}, websocket: websocket.Config{Address: "127.0.0.1:0"}}
		for _, f := range change {
			f(&s)
		}
		switch way {
		case "tls":
			s.stomp.TLS = within
		case "wss":
			s.websocket.TLS = within
			fallthrough
		case "ws":
			s.websocket.Reception.Login = s.stomp.Limits.Login
			transport, err := websocket.New(s.websocket)
			require.NoError(t, err)
			s.stomp.Transport = transport
		}
		d, err := stomp.New(s.stomp)
		require.NoError(t, err)
		w.doors[way] = d
		done := make(chan error, 1)
		served = append(served, done)
		go func() { done <- d.Serve(ctx) }()
	}
	t.Cleanup(func() {
		cancel()
		for _, d := range served {
			<-d
		}
		require.NoError(t, broker.Close(context.Background()))
		store.Close()
	})
	return w
}

func certificate(t testing.TB) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// open connects by one of the ways, without a login.
func (w *world) open(way string) net.Conn {
	w.Helper()
	nc, err := net.DialTimeout("tcp", w.doors[way].Addr().String(), soon)
	require.NoError(w, err)
	w.Cleanup(func() { nc.Close() })
	if way == "tls" || way == "wss" {
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	}
	if way == "ws" || way == "wss" {
		return webSocket(w, nc)
	}
	return nc
}

// client speaks STOMP.
type client struct {
	testing.TB
	nc net.Conn
	r  *wire.Reader
}

func (w *world) dial(way string) *client {
	w.Helper()
	c := w.bare(way)
	c.send("CONNECT\naccept-version:1.2\nhost:/\n\n\x00")
	c.expect("CONNECTED")
	c.r.SetVersion(wire.V12)
	return c
}

func (w *world) bare(way string) *client {
	nc := w.open(way)
	return &client{w, nc, wire.NewReader(nc, wire.AfterLogin(256<<20))}
}

func (c *client) send(text string) {
	c.Helper()
	_, err := io.WriteString(c.nc, text)
	require.NoError(c, err)
}

func (c *client) expect(command string) wire.Frame {
	c.Helper()
	var f wire.Frame
	require.NoError(c, c.nc.SetReadDeadline(time.Now().Add(soon)))
	require.NoError(c, c.r.Next(&f))
	require.Equal(c, command, f.Command, "%v %.200s", f.Header, f.Body)
	return f
}

func (c *client) expectEnd() {
	c.Helper()
	var f wire.Frame
	require.NoError(c, c.nc.SetReadDeadline(time.Now().Add(soon)))
	require.ErrorIs(c, c.r.Next(&f), io.EOF)
}

// socket is the client's end of a WebSocket, and as cheap as one can be. It sends each Write as a binary message.
type socket struct {
	net.Conn
	r    *bufio.Reader
	left uint64
	// kinds counts messages that came, by opcode; goodbye is the close frame's payload.
	kinds   map[byte]int
	goodbye []byte
}

func webSocket(t testing.TB, nc net.Conn) *socket {
	t.Helper()
	s := &socket{Conn: nc, r: bufio.NewReaderSize(nc, 64<<10), kinds: map[byte]int{}}
	_, err := io.WriteString(nc, "GET /stomp HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: v12.stomp\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	require.NoError(t, err)
	a, err := http.ReadResponse(s.r, &http.Request{Method: http.MethodGet})
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, a.StatusCode)
	return s
}

func header(head byte, n int) []byte {
	b := []byte{head}
	switch {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(b, 0, 0, 0, 0) // a mask that changes nothing
}

func (s *socket) Write(p []byte) (int, error) {
	if _, err := s.Conn.Write(append(header(0x82, len(p)), p...)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (s *socket) Read(p []byte) (int, error) {
	for s.left == 0 {
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n, err := s.r.Read(p[:min(uint64(len(p)), s.left)])
	s.left -= uint64(n)
	return n, err
}

func (s *socket) next() error {
	head, err := s.r.ReadByte()
	if err != nil {
		return err
	}
	n, err := s.r.ReadByte()
	if err != nil {
		return err
	}
	size, more := uint64(n), 0
	if n == 126 {
		more = 2
	} else if n == 127 {
		more = 8
	}
	for i := range more {
		b, err := s.r.ReadByte()
		if err != nil {
			return err
		}
		if i == 0 {
			size = 0
		}
		size = size<<8 | uint64(b)
	}
	s.kinds[head&0xf]++
	switch head & 0xf {
	case 8:
		s.goodbye = make([]byte, size)
		_, err := io.ReadFull(s.r, s.goodbye)
		return errors.Join(err, io.EOF)
	case 9, 10:
		_, err := s.r.Discard(int(size))
		return err
	}
	s.left = size
	return nil
}
