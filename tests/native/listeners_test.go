package native_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	c := a.issue("the authority", nil)
	a.cert, a.key = c.Leaf, c.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

func (a *authority) issue(name string, by *authority) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: by == nil, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	require.NoError(a.t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(a.t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// server asks for certificates and takes any: they are judged afterwards.
func (a *authority) server() embed.Secured {
	return embed.Secured{
		TLS: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{a.issue("node", a)}, ClientAuth: tls.RequestClientCert},
		Certificate: func(s tls.ConnectionState) (*x509.Certificate, error) {
			c := s.PeerCertificates[0]
			if c.CheckSignatureFrom(a.cert) != nil {
				return c, errors.New("the certificate is signed by nobody whom this node trusts")
			}
			return c, nil
		},
	}
}

func (a *authority) client(certificates ...tls.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, Certificates: certificates}
}

// A certificate says who its owner is, on the listener of NATS and on that of WebSockets; one that is not trusted nobody.
func TestCertificatesOfNativeClients(t *testing.T) {
	a := newAuthority(t)
	g := newGuarded(t, guardedOptions{embed: func(c *embed.Config) {
		c.Secured = a.server()
		c.WebSocket = &embed.WebSocket{Address: "127.0.0.1:0", Secured: a.server()}
	}})
	stranger := newAuthority(t)
	for protocol, url := range map[string]string{"nats": "tls://" + g.gate.Addr().String(), "nats-websocket": "wss://" + g.server.WebSocketAddr().String()} {
		nc, err := natsgo.Connect(url, natsgo.Secure(a.client(a.issue("alice", a))))
		require.NoError(t, err)
		t.Cleanup(nc.Close)
		l := g.people.last()
		require.Equal(t, protocol, l.Protocol)
		require.Equal(t, "alice", l.Credentials.Certificate.Subject.CommonName)
		require.NoError(t, l.Credentials.CertificateErr)
		_, err = nc.Request("queue.a", nil, patience)
		require.NoError(t, err)
		_, err = natsgo.Connect(url, natsgo.Secure(a.client(stranger.issue("alice", stranger))))
		require.Error(t, err, "the word of it may come too late for a client that still writes")
		require.ErrorContains(t, g.people.last().Credentials.CertificateErr, "signed by nobody")
		_, err = natsgo.Connect(url, natsgo.Secure(a.client()))
		require.Error(t, err, "the word of it may come too late for a client that still writes")
		nc, err = natsgo.Connect(url, natsgo.Secure(a.client()), natsgo.UserInfo("bob", "of bob"))
		require.NoError(t, err)
		nc.Close()
	}
	conn, err := net.Dial("tcp", g.gate.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	in := bufio.NewReader(conn)
	_, err = in.ReadString('\n')
	require.NoError(t, err)
	_, err = conn.Write([]byte("CONNECT {\"user\":\"bob\",\"pass\":\"of bob\"}\r\nPING\r\n"))
	require.NoError(t, err)
	line, _ := in.ReadString('\n')
	require.NotContains(t, line, "PONG", "nobody comes in without TLS")
}

// Clients by WebSocket are those by TCP, and pages of elsewhere are refused.
func TestNativeClientsByWebSocket(t *testing.T) {
	g := newGuarded(t, guardedOptions{embed: func(c *embed.Config) {
		c.WebSocket = &embed.WebSocket{Address: "127.0.0.1:0", Origins: []string{"https://portal.example.org"}}
	}})
	url := "ws://" + g.server.WebSocketAddr().String()
	_, err := natsgo.Connect(url, natsgo.UserInfo("alice", "x"))
	require.Error(t, err, "the word of it may come too late for a client that still writes")
	web, err := natsgo.Connect(url, natsgo.UserInfo("alice", "of alice"))
	require.NoError(t, err)
	t.Cleanup(web.Close)
	require.Equal(t, "nats-websocket", g.people.last().Protocol)
	require.Equal(t, g.server.WebSocketAddr().String(), g.people.last().Listener)
	sub := listen(t, web, "topic.>")
	require.NoError(t, g.as("bob").Publish("topic.x", []byte("hello")))
	require.Equal(t, "hello", string(hear(t, sub).Data))
	for origin, want := range map[string]string{"https://portal.example.org": "101", "https://elsewhere.example.org": "403"} {
		conn, err := net.Dial("tcp", g.server.WebSocketAddr().String())
		require.NoError(t, err)
		_, err = conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: " + origin + "\r\n\r\n"))
		require.NoError(t, err)
		line, err := bufio.NewReader(conn).ReadString('\n')
		require.NoError(t, err)
		require.Contains(t, line, want, origin)
		require.NoError(t, conn.Close())
	}
}

// device speaks as much MQTT 3.1.1 as tests need.
type device struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
	id   uint16
}

func text(s string) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...) }

// newDevice connects and returns what the server answers: 0 is welcome. Its session ends with the connection.
func newDevice(t testing.TB, addr, id, user, password string) (*device, byte) {
	return dial(t, addr, id, user, password, 0xC2)
}

// keptDevice has a session that is kept.
func keptDevice(t testing.TB, addr, id, user, password string) (*device, byte) {
	return dial(t, addr, id, user, password, 0xC0)
}

func dial(t testing.TB, addr, id, user, password string, flags byte) (*device, byte) {
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	d := &device{t: t, conn: conn, in: bufio.NewReader(conn)}
	body := append(text("MQTT"), 4, flags, 0, 60)
	body = append(append(append(body, text(id)...), text(user)...), text(password)...)
	d.write(0x10, body)
	kind, answer := d.read()
	require.Equal(t, byte(0x20), kind)
	return d, answer[1]
}

func (d *device) write(kind byte, body []byte) {
	d.t.Helper()
	packet := []byte{kind}
	n := len(body)
	for {
		b := byte(n % 128)
		if n /= 128; n > 0 {
			packet = append(packet, b|128)
			continue
		}
		packet = append(packet, b)
		break
	}
	_, err := d.conn.Write(append(packet, body...))
	require.NoError(d.t, err)
}

func (d *device) read() (kind byte, body []byte) {
	d.t.Helper()
	require.NoError(d.t, d.conn.SetReadDeadline(time.Now().Add(patience)))
	kind, err := d.in.ReadByte()
	require.NoError(d.t, err)
	n, shift := 0, 0
	for {
		b, err := d.in.ReadByte()
		require.NoError(d.t, err)
		n |= int(b&127) << shift
		if shift += 7; b&128 == 0 {
			break
		}
	}
	body = make([]byte, n)
	_, err = io.ReadFull(d.in, body)
	require.NoError(d.t, err)
	return kind, body
}

func (d *device) subscribe(filter string, qos byte) {
	d.t.Helper()
	d.id++
	d.write(0x82, append(append(binary.BigEndian.AppendUint16(nil, d.id), text(filter)...), qos))
	kind, answer := d.read()
	require.Equal(d.t, byte(0x90), kind)
	require.Equal(d.t, qos, answer[2])
}

// publish waits for the answer with qos 1.
func (d *device) publish(topic, body string, qos byte) {
	d.t.Helper()
	packet := text(topic)
	if qos > 0 {
		d.id++
		packet = binary.BigEndian.AppendUint16(packet, d.id)
	}
	d.write(0x30|qos<<1, append(packet, body...))
	if qos > 0 {
		kind, _ := d.read()
		require.Equal(d.t, byte(0x40), kind)
	}
}

// heard returns topic and body of the next message, which it acknowledges.
func (d *device) heard() (topic, body string) {
	d.t.Helper()
	kind, packet := d.read()
	require.Equal(d.t, byte(0x30), kind&0xF0)
	n := int(binary.BigEndian.Uint16(packet))
	topic, packet = string(packet[2:2+n]), packet[2+n:]
	if kind&0x06 != 0 {
		d.write(0x40, packet[:2])
		packet = packet[2:]
	}
	return topic, string(packet)
}

// Devices speak MQTT as the same users, with the same rights, to the same topics and queues.
func TestDevicesSpeakMQTT(t *testing.T) {
	g := newGuarded(t, guardedOptions{
		embed: func(c *embed.Config) { c.MQTT = &embed.MQTT{Address: "127.0.0.1:0"} },
		rules: allow(may{
			"alice": {gateway.Write: {"topic://x", "topic://y", "queue://q"}, gateway.Read: {"topic://x"}},
			"bob":   {gateway.Read: {"topic://x", "topic://y", "queue://q"}, gateway.Write: {"topic://x"}},
		}),
	})
	addr := g.server.MQTTAddr().String()
	_, code := newDevice(t, addr, "d0", "alice", "x")
	require.Equal(t, byte(5), code, "not authorized")
	alice, code := newDevice(t, addr, "d1", "alice", "of alice")
	require.Zero(t, code)
	l := g.people.last()
	require.Equal(t, "mqtt", l.Protocol)
	require.Equal(t, gateway.Credentials{Login: "alice", Passcode: "of alice"}, l.Credentials)
	bob, code := newDevice(t, addr, "d1", "bob", "of bob")
	require.Zero(t, code, "the ids of devices are a user's own")
	eve, code := newDevice(t, addr, "d3", "eve", "of eve")
	require.Zero(t, code)
	bob.subscribe("topic/#", 1)
	eve.subscribe("#", 1)
	stomp := subscribe(t, g.other("bob"), topic("x"))
	queue := subscribe(t, g.other("bob"), queue("q"))
	native := listen(t, g.as("bob"), "topic.x")
	for qos := range byte(2) {
		alice.publish("topic/x", "from a device", qos)
		topic, body := bob.heard()
		require.Equal(t, "topic/x", topic)
		require.Equal(t, "from a device", body)
		require.Equal(t, "from a device", string(hear(t, native).Data))
		require.Equal(t, "from a device", string(stomp.next().Body))
		alice.publish("queue/q", "work", qos)
		require.Equal(t, "work", string(queue.next().Body))
	}
	require.NoError(t, send(g.other("alice"), topic("y"), "from a STOMP client"))
	_, body := bob.heard()
	require.Equal(t, "from a STOMP client", body)
	eve.publish("topic/x", "from eve", 0)
	alice.publish("topic/x", "the end", 0)
	_, body = bob.heard()
	require.Equal(t, "the end", body, "who may not write is not heard")
	_, body = eve.heard()
	require.Equal(t, "from eve", body, "and hears herself and nobody else")
	// Its own streams of the server's clients see, and cannot touch.
	js := g.js("bob")
	require.Error(t, js.DeleteStream(ctx(t), "$MQTT_msgs"))
	_, err := js.Stream(ctx(t), "$MQTT_msgs")
	require.NoError(t, err)
}

// A device that comes back finds what its user's others said while it was away, and no other user has its session.
func TestDevicesThatComeBack(t *testing.T) {
	g := newGuarded(t, guardedOptions{embed: func(c *embed.Config) { c.MQTT = &embed.MQTT{Address: "127.0.0.1:0"} }})
	addr := g.server.MQTTAddr().String()
	sender, _ := newDevice(t, addr, "sender", "alice", "of alice")
	kept, code := keptDevice(t, addr, "kept", "alice", "of alice")
	require.Zero(t, code)
	kept.subscribe("other/#", 1)
	here := g.sessions()
	require.NoError(t, kept.conn.Close())
	require.Eventually(t, func() bool { return g.sessions() == here-1 }, patience, time.Millisecond)
	sender.publish("other/x", "while it was away", 1)
	foreign, code := keptDevice(t, addr, "kept", "eve", "of eve")
	require.Zero(t, code)
	foreign.subscribe("other/#", 1)
	kept, code = keptDevice(t, addr, "kept", "alice", "of alice")
	require.Zero(t, code)
	_, body := kept.heard()
	require.Equal(t, "while it was away", body)
	foreign.publish("other/x", "of eve", 0)
	_, body = foreign.heard()
	require.Equal(t, "of eve", body)
}
