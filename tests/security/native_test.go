package security

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// nativeListeners are those of NATS with TLS, and without it NATS over WebSocket and MQTT.
const nativeListeners = `
- {protocol: nats, address: "127.0.0.1:0", tls: {certificate: host.crt, key: host.key, client_ca: [ca.crt]}}
- {protocol: nats-websocket, address: "127.0.0.1:0"}
- {protocol: mqtt, address: "127.0.0.1:0"}
`

// violation is all that native clients are told who are refused.
const violation = "Authorization Violation"

func nativeDoors() []door {
	return []door{
		{name: "nats+tls", from: "127.0.1.6", secure: true, enter: enterNATS("nats", "tls://")},
		{name: "nats-websocket", from: "127.0.1.7", enter: enterNATS("nats-websocket", "ws://")},
		{name: "mqtt", from: "127.0.1.8", enter: enterMQTT},
	}
}

// sender dials from an address.
type sender struct{ net.Dialer }

func enterNATS(protocol, scheme string) func(testing.TB, *place, door, shown) (visitor, string) {
	return func(t testing.TB, p *place, d door, s shown) (visitor, string) {
		t.Helper()
		v := &worker{ended: make(chan struct{})}
		options := []nats.Option{
			nats.NoReconnect(), nats.Timeout(soon), nats.ClosedHandler(func(*nats.Conn) { close(v.ended) }),
			nats.SetCustomDialer(&sender{net.Dialer{Timeout: soon, LocalAddr: &net.TCPAddr{IP: net.ParseIP(d.from)}}}),
		}
		if d.secure {
			options = append(options, nats.Secure(p.trusting(s.certificate)))
		}
		switch {
		case s.bearer != "":
			options = append(options, nats.Token(s.bearer))
		case s.login != "":
			options = append(options, nats.UserInfo(s.login, s.passcode))
		}
		nc, err := nats.Connect(scheme+p.Addr(protocol), options...)
		if err != nil { // by WebSocket the word of it may come too late for a client that still writes
			return nil, violation
		}
		t.Cleanup(nc.Close)
		v.js, err = jetstream.New(nc)
		require.NoError(t, err)
		return v, ""
	}
}

// worker is a visitor by NATS.
type worker struct {
	js    jetstream.JetStream
	ended chan struct{}
}

// subject is a destination as NATS has it.
func subject(destination string) string {
	return strings.Replace(strings.TrimPrefix(destination, "/"), "/", ".", 1)
}

// consumer makes one for a queue, or returns the words why not.
func (v *worker) consumer(t testing.TB, destination string) (jetstream.Consumer, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	filter := subject(destination)
	c, err := v.js.CreateOrUpdateConsumer(ctx, "QUEUES", jetstream.ConsumerConfig{Durable: strings.NewReplacer(".", "_", "+", "_").Replace(filter), FilterSubject: filter})
	return c, said(t, err)
}

func (v *worker) publish(t testing.TB, destination string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	_, err := v.js.Publish(ctx, subject(destination), []byte("hello"))
	return said(t, err)
}

// said are the words of an error that the node sent.
func said(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var e *jetstream.APIError
	require.True(t, errors.As(err, &e), "%v", err)
	return e.Description
}

func (v *worker) use(t testing.TB, destination string) {
	t.Helper()
	require.Empty(t, v.publish(t, destination))
	c, told := v.consumer(t, destination)
	require.Empty(t, told)
	m, err := c.Next(jetstream.FetchMaxWait(soon))
	require.NoError(t, err)
	require.Equal(t, "hello", string(m.Data()))
	require.NoError(t, m.DoubleAck(context.Background()))
}

func (v *worker) trespass(t testing.TB, destination string) (read, write string) {
	t.Helper()
	_, read = v.consumer(t, destination)
	return read, v.publish(t, destination)
}

func (v *worker) listen(t testing.TB, destination string) {
	t.Helper()
	_, told := v.consumer(t, destination)
	require.Empty(t, told)
}

func (v *worker) warned(t testing.TB) string {
	t.Helper()
	_, told := v.consumer(t, "/queue/team.listen")
	return told
}

func (v *worker) dismissed(t testing.TB) string {
	t.Helper()
	select {
	case <-v.ended:
	case <-time.After(soon):
		require.FailNow(t, "the connection has not ended")
	}
	return ""
}

// device is a visitor by MQTT. Nobody tells it what is refused: that is in the audit.
type device struct {
	nc net.Conn
	in *bufio.Reader
}

func enterMQTT(t testing.TB, p *place, d door, s shown) (visitor, string) {
	t.Helper()
	nc := dial(t, d.from, p.Addr("mqtt"))
	t.Cleanup(func() { _ = nc.Close() })
	v := &device{nc, bufio.NewReader(nc)}
	flags, rest := byte(2), text("d"+strings.NewReplacer(".", "", ":", "").Replace(nc.LocalAddr().String()))
	if s.login != "" {
		flags, rest = flags|0x80, append(rest, text(s.login)...)
	}
	if s.passcode != "" {
		flags, rest = flags|0x40, append(rest, text(s.passcode)...)
	}
	v.write(t, 0x10, append(append(text("MQTT"), 4, flags, 0, 0), rest...))
	kind, answer, err := v.read()
	if err != nil || answer[1] != 0 {
		return nil, violation
	}
	require.Equal(t, byte(0x20), kind)
	return v, ""
}

func text(s string) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...) }

func (v *device) write(t testing.TB, kind byte, body []byte) {
	t.Helper()
	_, err := v.nc.Write(append(binary.AppendUvarint([]byte{kind}, uint64(len(body))), body...))
	require.NoError(t, err)
}

func (v *device) read() (kind byte, body []byte, err error) {
	_ = v.nc.SetReadDeadline(time.Now().Add(soon))
	if kind, err = v.in.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(v.in)
	if err != nil || n > 1<<20 {
		return 0, nil, errors.Join(err, io.ErrUnexpectedEOF)
	}
	body = make([]byte, n)
	_, err = io.ReadFull(v.in, body)
	return kind, body, err
}

func (v *device) use(t testing.TB, destination string) {
	t.Helper()
	topic := text(strings.ReplaceAll(strings.ReplaceAll(strings.TrimPrefix(destination, "/"), ".", "/"), "+", "-"))
	v.write(t, 0x32, append(append(topic, 0, 1), "hello"...)) // once at least
	kind, _, err := v.read()
	require.NoError(t, err)
	require.Equal(t, byte(0x40), kind)
}

func (v *device) trespass(t testing.TB, destination string) (read, write string) {
	t.Helper()
	v.use(t, destination)
	return "", ""
}

func (v *device) listen(testing.TB, string) {}

func (v *device) warned(t testing.TB) string {
	t.Helper()
	v.use(t, "/queue/team.listen")
	return ""
}

func (v *device) dismissed(t testing.TB) string {
	t.Helper()
	_, _, err := v.read()
	var late net.Error
	require.Error(t, err)
	require.False(t, asTimeout(err, &late), "the connection has not ended")
	return ""
}
