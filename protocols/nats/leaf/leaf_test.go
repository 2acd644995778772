package leaf_test

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/protocols/nats/leaf"
)

const patience = gatewaytest.Wait

const config = `
accounts { USERS { users: [ { user: users, password: x } ] }, OTHERS { users: [ { user: others, password: x } ] } }
no_auth_user: users
leafnodes { host: 127.0.0.1, port: -1, no_advertise: true, compression: off, authorization { users: [ { user: leaf, password: secret, account: USERS } ] } }
`

func start(t *testing.T, change ...func(*server.Options)) (*server.Server, leaf.Login) {
	t.Cleanup(func() { goleak.VerifyNone(t, goleak.IgnoreCurrent()) })
	o := &server.Options{DontListen: true, NoSigs: true, NoLog: true, MaxPayload: 1 << 20}
	for _, c := range change {
		c(o)
	}
	require.NoError(t, o.ProcessConfigString(config))
	s, err := server.NewServer(o)
	require.NoError(t, err)
	s.Start()
	require.True(t, s.ReadyForConnections(patience))
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	v, err := s.Varz(nil)
	require.NoError(t, err)
	return s, leaf.Login{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(v.LeafNode.Port)), User: "leaf", Password: "secret"}
}

func connect(t *testing.T, s *server.Server, user string) *nats.Conn {
	nc, err := nats.Connect("nats://in-process", nats.InProcessServer(s), nats.UserInfo(user, "x"))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

func TestClientsGetWhatTheServerWouldSend(t *testing.T) {
	s, login := start(t)
	c, err := leaf.Dial(login, func(err error) { t.Errorf("lost: %v", err) })
	require.NoError(t, err)
	defer c.Close()
	nc := connect(t, s, "users")
	inbox, err := nc.SubscribeSync("_INBOX.a.b")
	require.NoError(t, err)
	other, err := connect(t, s, "others").SubscribeSync(">")
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	const ack = "$JS.ACK.QUEUES.w@w.1.2.3.4.5"
	body := strings.Repeat("x", 200_000)
	require.NoError(t, c.Send(leaf.Message{To: "_INBOX.a.b", Subject: "queue.a@b.c", Ack: ack, Header: []byte("NATS/1.0\r\nk: v\r\n\r\n"), Body: []byte(body)}))
	require.NoError(t, c.Send(leaf.Message{To: "_INBOX.a.b", Header: []byte("NATS/1.0 408 Request Timeout\r\nk: v\r\n\r\n")}))
	require.NoError(t, c.Flush())
	m, err := inbox.NextMsg(patience)
	require.NoError(t, err)
	require.Equal(t, "queue.a@b.c", m.Subject)
	require.Equal(t, ack, m.Reply)
	require.Equal(t, body, string(m.Data))
	require.Equal(t, nats.Header{"k": {"v"}}, m.Header)
	m, err = inbox.NextMsg(patience)
	require.NoError(t, err)
	require.Equal(t, "_INBOX.a.b", m.Subject)
	require.Equal(t, nats.Header{"k": {"v"}, "Status": {"408"}, "Description": {"Request Timeout"}}, m.Header)
	_, err = other.NextMsg(10 * time.Millisecond)
	require.ErrorIs(t, err, nats.ErrTimeout)
	require.ErrorIs(t, c.Send(leaf.Message{To: "_INBOX.a.b", Header: []byte("NATS/1.0\r\n\r\n"), Body: make([]byte, 1<<20)}), leaf.ErrTooLarge)
}

// The server asks now and then whether somebody is there, and cuts off who does not answer.
func TestPingsAreAnswered(t *testing.T) {
	t.Parallel()
	const interval, most = 50 * time.Millisecond, 20 // a busy machine may take some time to answer
	s, login := start(t, func(o *server.Options) { o.PingInterval, o.MaxPingsOut = interval, most })
	lost := make(chan error, 1)
	c, err := leaf.Dial(login, func(err error) { lost <- err })
	require.NoError(t, err)
	defer c.Close()
	var nc *nats.Conn
	require.Eventually(t, func() bool { // a client that is pinged while it connects gives up
		nc, err = nats.Connect("nats://in-process", nats.InProcessServer(s), nats.UserInfo("users", "x"), nats.PingInterval(time.Hour))
		return err == nil
	}, patience, time.Millisecond)
	defer nc.Close()
	inbox, err := nc.SubscribeSync("_INBOX.a")
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	select {
	case err := <-lost:
		require.NoError(t, err, "it was cut off")
	case <-time.After(2 * most * interval):
	}
	require.NoError(t, c.Send(leaf.Message{To: "_INBOX.a", Header: []byte("NATS/1.0\r\n\r\n")}))
	require.NoError(t, c.Flush())
	_, err = inbox.NextMsg(patience)
	require.NoError(t, err)
}

func TestWrongPasswordsAreRefused(t *testing.T) {
	_, login := start(t)
	for _, l := range []leaf.Login{{login.Addr, "leaf", "x"}, {login.Addr, "users", "x"}, {login.Addr, "", ""}} {
		_, err := leaf.Dial(l, func(error) {})
		require.ErrorContains(t, err, "the server refuses")
	}
}

func TestTheEndOfTheServerIsTold(t *testing.T) {
	s, login := start(t)
	lost := make(chan error, 1)
	c, err := leaf.Dial(login, func(err error) { lost <- err })
	require.NoError(t, err)
	s.Shutdown()
	select {
	case err := <-lost:
		require.Error(t, err)
	case <-time.After(patience):
		require.FailNow(t, "nobody told")
	}
	require.Error(t, c.Send(leaf.Message{To: "a"}))
	require.Error(t, c.Flush())
	c.Close()
	c.Close()
}

// Whoever answers on the port, nobody waits for ever nor reads without an end.
func TestStrangersAreRefused(t *testing.T) {
	for _, hello := range []string{"HTTP/1.1 400\r\n", "INFO x\r\n", strings.Repeat("x", 2<<20), "INFO {}\r\nLMSG a x\r\n", "INFO {}\r\nHMSG a 1 5\r\nabc"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		served := make(chan struct{})
		go func() {
			defer close(served)
			conn, err := l.Accept()
			if err == nil {
				_, _ = conn.Write([]byte(hello))
				_ = conn.(*net.TCPConn).CloseWrite()
				_, _ = conn.Read(make([]byte, 1000))
				_ = conn.Close()
			}
		}()
		_, err = leaf.Dial(leaf.Login{Addr: l.Addr().String()}, func(error) {})
		require.ErrorContains(t, err, "leaf node: ", "%.20s", hello)
		<-served
		require.NoError(t, l.Close())
	}
}

// What would be more than one word to the server never gets there, and the connection lives on.
func TestSubjectsAreOneWord(t *testing.T) {
	s, login := start(t)
	c, err := leaf.Dial(login, func(err error) { t.Errorf("lost: %v", err) })
	require.NoError(t, err)
	defer c.Close()
	inbox, err := connect(t, s, "users").SubscribeSync("_INBOX.a")
	require.NoError(t, err)
	head := []byte("NATS/1.0\r\n\r\n")
	for _, bad := range []string{"a b", "a\tb", "a\r\nb", "a\x00", "a\x7f", " ", ""} {
		require.ErrorIs(t, c.Send(leaf.Message{To: bad, Header: head}), leaf.ErrSubject, "%q", bad)
		require.ErrorIs(t, c.Send(leaf.Message{To: "_INBOX.a", Ack: "$JS.ACK.a", Subject: bad, Header: head}), leaf.ErrSubject, "%q", bad)
		if bad != "" {
			require.ErrorIs(t, c.Send(leaf.Message{To: "_INBOX.a", Ack: bad, Subject: "a", Header: head}), leaf.ErrSubject, "%q", bad)
		}
	}
	require.Zero(t, c.Sent())
	require.Eventually(t, func() bool {
		require.NoError(t, c.Send(leaf.Message{To: "_INBOX.a", Header: head}))
		require.NoError(t, c.Flush())
		_, err := inbox.NextMsg(10 * time.Millisecond)
		return err == nil
	}, patience, time.Millisecond)
	require.Eventually(t, func() bool { return c.Taken() > 0 && c.Taken() == c.Sent() }, patience, time.Millisecond)
}
