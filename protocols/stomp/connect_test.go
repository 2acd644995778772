package stomp

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSendSubscribeAckDisconnect(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b)
	c := login(t, s, "1.2")
	c.send("SUBSCRIBE\nid:0\ndestination:/queue/a\nack:client-individual\nreceipt:r1\n\n^")
	c.expectReceipt("r1")
	c.send("SEND\ndestination:/queue/a\nreceipt:r2\ncolour:red\n\nhello^")
	c.expectReceipt("r2")
	m := c.expect("MESSAGE")
	require.Equal(t, "hello", m.body)
	require.Equal(t, []string{
		"destination:/queue/a", "subscription:0", "ack:1-0", `message-id:ID\cnode-1-2-0\c1\c-1\c1\c1`,
		"priority:4", "expires:0", "timestamp:1700000000000", "colour:red",
	}, m.lines)
	c.send("ACK\nid:1-0\nreceipt:r3\n\n^")
	c.expectReceipt("r3")
	c.send("DISCONNECT\nreceipt:bye\n\n^")
	c.expectReceipt("bye")
	c.expectClosed()
	c.nc.Close()
	eventually(t, "session ends", func() bool { return b.sessions() == 0 })
}

func TestB1Row01RequestIDIsEchoed(t *testing.T) {
	s := start(t, newFakeBroker())
	for _, name := range []string{"request-id", "receipt"} {
		c := dial(t, s)
		c.send("CONNECT\n" + name + ":1\n\n^")
		r := c.expect("CONNECTED")
		require.Equal(t, "1", r.get("response-id"))
		require.Equal(t, "1", r.get("receipt-id"))
	}
}

func TestB1Row02ConnectedIsNeverEscaped(t *testing.T) {
	s := start(t, newFakeBroker())
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		c := dial(t, s)
		c.send("STOMP\naccept-version:" + version + "\nrequest-id:a:b\\c\n\n^")
		r := c.expect("CONNECTED")
		require.Regexp(t, `^ID:.+-\d+-\d+-0:\d+$`, r.get("session"))
		require.Equal(t, `a:b\c`, r.get("response-id"))
	}
}

func TestB1Rows03To05And16Versions(t *testing.T) {
	s := start(t, newFakeBroker())
	for accept, version := range map[string]string{
		"": "1.0", "accept-version:1.0,1.1\n": "1.1", "accept-version:1.0,10.1\n": "1.0",
		"accept-version:1.0,1.1,1.3\n": "1.1", "accept-version:1.0, 1.1 , 1.2\n": "1.2",
		"accept-version:\n": "1.0", "accept-version:1.1\naccept-version:1.0\n": "1.1",
	} {
		c := dial(t, s)
		c.send("CONNECT\n" + accept + "\n^")
		r := c.expect("CONNECTED")
		require.Equal(t, version, r.get("version"), accept)
		for _, name := range []string{"server", "session", "heart-beat"} {
			require.NotEmpty(t, r.get(name), name)
		}
		require.False(t, r.has("response-id"))
	}
	for _, accept := range []string{"9.0,10.1", "1.3", "x"} {
		c := dial(t, s)
		c.send("CONNECT\naccept-version:" + accept + "\n\n^")
		r := c.expectError("Invalid Protocol version[" + accept + "], supported versions are: [1.2, 1.1, 1.0]")
		require.Equal(t, "1.0,1.1,1.2", r.get("version"))
		c.expectClosed()
	}
}

func TestB1Rows10And26HeartBeatHeader(t *testing.T) {
	s := start(t, newFakeBroker())
	for _, bad := range []string{"0", "T,0", "100,10,50", "1 ,0", "1, 0", "", ",", "1,", "99999999999999999999,0"} {
		c := dial(t, s)
		c.send("CONNECT\naccept-version:1.1\nheart-beat:" + bad + "\n\n^")
		c.expectError("Invalid heart-beat header:" + bad)
		c.expectClosed()
	}
	for given, answer := range map[string]string{
		"heart-beat:0,1000\n": "1000,0", "heart-beat:60000,30000\n": "30000,60000",
		"heart-beat:-1,-5\n": "0,0", "": "0,0", "heart-beat:7,800\nheart-beat:1,2\n": "800,7",
	} {
		c := dial(t, s)
		c.send("CONNECT\n" + given + "\n^")
		require.Equal(t, answer, c.expect("CONNECTED").get("heart-beat"), given)
	}
}

func TestB1Rows13And14And28WrongLogin(t *testing.T) {
	b := newFakeBroker()
	b.users = map[string]string{"u": "p"}
	s := start(t, b)
	c := dial(t, s)
	c.send("CONNECT\naccept-version:1.2\nlogin:u\npasscode:wrong\n\n^")
	r := c.expectError("User name [u] or password is invalid.")
	require.NotContains(t, r.body, "at ")
	c.expectClosed()
	c = dial(t, s)
	c.send("CONNECT\n\n^")
	c.expectError("User name [] or password is invalid.")
	c.expectClosed()
	require.Zero(t, b.sessions())
}

func TestB1Row15AnyHostIsAccepted(t *testing.T) {
	s := start(t, newFakeBroker())
	for _, host := range []string{"", "host:/\n", "host:\n", "host:nowhere.example\n"} {
		c := dial(t, s)
		c.send("CONNECT\naccept-version:1.2\n" + host + "\n^")
		c.expect("CONNECTED")
	}
}

func TestB1Row17ConnectWithoutLogin(t *testing.T) {
	login(t, start(t, newFakeBroker()), "1.2").expectAlive()
}

func TestB1Row18FrameBeforeConnect(t *testing.T) {
	s := start(t, newFakeBroker())
	for _, command := range []string{"SEND", "SUBSCRIBE", "SUB", "ACK", "DISCONNECT", "BEGIN"} {
		c := dial(t, s)
		c.send(command + "\nreceipt:x\ndestination:/queue/a\n\n^")
		require.Equal(t, "x", c.expectError("Not connected.").get("receipt-id"))
		c.expectClosed()
	}
}

func TestB1Row19SecondConnect(t *testing.T) {
	c := login(t, start(t, newFakeBroker()), "1.1")
	c.send("CONNECT\naccept-version:1.2\n\n^STOMP\n\n^")
	c.expectError("Already connected.")
	c.expectError("Already connected.")
	c.expectAlive()
	c = login(t, start(t, newFakeBroker(), strict), "1.1")
	c.send("CONNECT\n\n^")
	c.expectError("Already connected.")
	c.expectClosed()
}

func TestB1Row20ServersFrameFromClient(t *testing.T) {
	s := start(t, newFakeBroker())
	for _, command := range []string{"MESSAGE", "RECEIPT", "ERROR", "CONNECTED"} {
		c := login(t, s, "1.2")
		c.send(command + "\nmessage-id:1\n\n^")
		c.expectError("STOMP action " + command + " is not for clients to send")
		c.expectClosed()
	}
}

func TestB1Row22ServerEndsWithOpenConnections(t *testing.T) {
	s := start(t, newFakeBroker())
	for range 3 {
		login(t, s, "1.2")
	}
	dial(t, s)
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	require.NoError(t, s.Drain(ctx))
}

func TestB1Row23KilledSocketIsForgotten(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b)
	c := login(t, s, "1.2")
	require.Equal(t, 1, b.sessions())
	c.nc.Close()
	eventually(t, "session ends", func() bool { return b.sessions() == 0 })
}

func TestB1Row25ClientIDInUse(t *testing.T) {
	s := start(t, newFakeBroker())
	first := dial(t, s)
	first.send("CONNECT\nclient-id:mine\n\n^")
	require.Equal(t, "mine", first.expect("CONNECTED").get("session"))
	c := dial(t, s)
	c.send("CONNECT\nclient-id:taken\n\n^")
	r := c.expect("ERROR")
	// Before the login nothing is escaped.
	require.Equal(t, "Broker: b - Client: taken already connected from tcp://127.0.0.1:1", r.get("message"))
	c.expectClosed()
	first.expectAlive()
}

func TestB1Row29SessionAndServerHeaders(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b)
	c := dial(t, s)
	c.send("CONNECT\nlogin:u\npasscode:p\naccept-version:1.1\n\n^")
	r := c.expect("CONNECTED")
	require.True(t, strings.HasPrefix(r.get("session"), "ID:"))
	require.Regexp(t, `^ActiveMQ/\d+\.\d+\.\d+ Sluice/`, r.get("server"))
	require.Equal(t, "stomp/1.1", b.logins[0].Protocol)
	require.Equal(t, "p", b.logins[0].Credentials.Passcode)
	require.Equal(t, c.nc.LocalAddr().String(), b.logins[0].Remote)
	s = start(t, b, func(cfg *Config) { cfg.ServerHeader = "RabbitMQ/3.10" })
	c = dial(t, s)
	c.send("CONNECT\n\n^")
	require.Equal(t, "RabbitMQ/3.10", c.expect("CONNECTED").get("server"))
}

func TestPasscodeWithBackslashIsTriedAsItIsFirst(t *testing.T) {
	b := newFakeBroker()
	b.users = map[string]string{"raw": `a\cb`, "escaped": "a:b"}
	s := start(t, b)
	for _, user := range []string{"raw", "escaped"} {
		c := dial(t, s)
		c.send("CONNECT\naccept-version:1.2\nlogin:" + user + "\npasscode:a\\cb\n\n^")
		c.expect("CONNECTED")
	}
	c := dial(t, s)
	c.send("CONNECT\nlogin:raw\npasscode:a:b\n\n^")
	c.expectError("User name [raw] or password is invalid.")
}

func TestTooManyConnectionsAreToldWhy(t *testing.T) {
	s := start(t, newFakeBroker(), func(cfg *Config) { cfg.MaxConnections = 1 })
	first := login(t, s, "1.2")
	c := dial(t, s)
	c.expectError("Too many connections: this node takes no more")
	c.expectClosed()
	first.expectAlive()
}

func TestConfigRefusesNonsense(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no broker":      {Address: "127.0.0.1:0"},
		"negative limit": {Address: "127.0.0.1:0", Broker: newFakeBroker(), Limits: Limits{Body: -1}},
		"negative stall": {Address: "127.0.0.1:0", Broker: newFakeBroker(), Limits: Limits{Stall: -time.Second}},
		"grace":          {Address: "127.0.0.1:0", Broker: newFakeBroker(), HeartBeatGrace: -1},
		"address":        {Address: "nowhere", Broker: newFakeBroker()},
	} {
		_, err := New(cfg)
		require.Error(t, err, name)
	}
}
