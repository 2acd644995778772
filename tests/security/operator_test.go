package security

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
)

// migrated is a place with the users of an ActiveMQ.
func migrated(t *testing.T) *place {
	p := newPlace(t)
	p.write(t, "users.properties", "# of the old broker\nadmin=admin-secret\nsensor = sensor-secret\nsecret=ENC(abcdef)\n")
	p.write(t, "groups.properties", "admins=admin\nsensors=sensor, ghost\n")
	return p
}

const migratedRules = `
  - {groups: [admins], allow: [all], on: ["/queue/>", "/topic/>", "/admin/>"]}
  - {groups: [sensors], allow: [write, create], on: ["/queue/readings.>"]}
`

// An ActiveMQ's files are either imported, with hashes, or read as they are: their users have the same passwords and groups.
func TestActiveMQUsersMove(t *testing.T) {
	p := migrated(t)
	imported := p.sluice(t, "user", "import", "users.properties", "--groups", "groups.properties")
	require.NotContains(t, imported, "-secret", "passwords are hashed")
	require.Equal(t, 2, strings.Count(imported, "$argon2id$"))
	indented := strings.ReplaceAll("\n"+strings.TrimSpace(imported), "\n", "\n  ")
	for name, who := range map[string]string{
		"imported": indented + "\n",
		"as it is": "\n  users_file: users.properties\n  groups_file: groups.properties\n",
	} {
		t.Run(name, func(t *testing.T) {
			q := migrated(t)
			text := listeners + "auth:" + who + "  acl:" + migratedRules
			if name == "imported" { // nobody can be a user without a password
				text = strings.Replace(text, "\n  - name: secret", "\n  - name: secret\n    password: of-its-own", 1)
			}
			q.run(t, text)
			_, told := login(t, q.open(t, 0, false, "", shown{}), shown{login: "sensor", passcode: "wrong"}, false)
			require.Equal(t, refusal("sensor"), told)
			v, told := login(t, q.open(t, 0, false, "", shown{}), shown{login: "sensor", passcode: "sensor-secret"}, false)
			require.Empty(t, told)
			c := v.(*stomper)
			c.c.Send("SEND", "21.5", "destination:/queue/readings.1", "receipt:r")
			c.want(t, "RECEIPT")
			read, _ := v.trespass(t, "/queue/orders")
			require.Equal(t, "User sensor is not authorized to read from: queue://orders", read)
			v, told = login(t, q.open(t, 0, false, "", shown{}), shown{login: "admin", passcode: "admin-secret"}, false)
			require.Empty(t, told)
			v.use(t, "/queue/orders")
		})
	}
}

// sluice acl explain says what the gateway does, and which line it is.
func TestExplainSaysWhatTheGatewayDoes(t *testing.T) {
	p := newPlace(t)
	text := listeners + `auth:
  users:
  - {name: alice, password: alice-secret, groups: [ops]}
  acl:
  - {users: [alice], deny: [write], on: ["/queue/closed.>"]}
  - {groups: [ops], allow: [read, write, create], on: ["/queue/>"]}
`
	p.run(t, text)
	place := "sluice.yaml:" + lineOf(t, text, "deny")
	said := p.refuses(t, "acl", "explain", "--config", "sluice.yaml", "alice", "write", "/queue/closed.a")
	require.Contains(t, said, place)
	require.Contains(t, p.sluice(t, "acl", "explain", "--config", "sluice.yaml", "alice", "read", "/queue/closed.a"), "sluice.yaml:"+lineOf(t, text, "groups: [ops], allow"))
	v, told := login(t, p.open(t, 0, false, "", shown{}), shown{login: "alice", passcode: "alice-secret"}, false)
	require.Empty(t, told)
	c := v.(*stomper)
	c.c.Send("SEND", "", "destination:/queue/closed.a")
	require.Equal(t, "User alice is not authorized to write to: queue://closed.a", c.want(t, "ERROR").Body)
	v.listen(t, "/queue/closed.a")
}

func lineOf(t *testing.T, text, part string) string {
	t.Helper()
	before, _, found := strings.Cut(text, part)
	require.True(t, found)
	number, err := json.Marshal(strings.Count(before, "\n") + 1)
	require.NoError(t, err)
	return string(number)
}

const watched = listeners + `audit: commands
auth:
  users:
  - {name: alice, password: alice-secret}
  - {name: boss, password: boss-secret}
  - {name: clerk, password: clerk-secret}
  acl:
  - {users: [alice], allow: [read, write, create], on: ["/queue/>"]}
  - {users: [boss], allow: [all], on: ["/queue/orders.>", "/admin/tap", "/admin/connections", "/admin/disconnect"]}
  - {users: [clerk], allow: [manage], on: ["/admin/tap"]}
`

// boss and clerk are who asks over HTTP.
func (p *place) operator(t testing.TB, name string) *caller {
	t.Helper()
	return &caller{url: "https://" + p.Addr("admin"), shown: shown{login: name, passcode: name + "-secret"}, client: &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: p.trusting(nil)},
	}}
}

// watching is a tap under way.
type watching struct {
	lines chan string
	stop  func()
}

func (w *watching) next(t testing.TB) string {
	t.Helper()
	select {
	case l, ok := <-w.lines:
		require.True(t, ok, "the tap has ended")
		return l
	case <-t.Context().Done():
		require.FailNow(t, "nothing is seen")
		return ""
	}
}

// tapHTTP taps over the admin door.
func (v *caller) tap(t testing.TB, arguments string) *watching {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.url+"/operations/tap?"+arguments, http.NoBody)
	require.NoError(t, err)
	req.SetBasicAuth(v.shown.login, v.shown.passcode)
	answered := make(chan *http.Response, 1)
	w := &watching{lines: make(chan string, 100), stop: cancel}
	go func() {
		defer close(w.lines)
		res, err := v.client.Do(req)
		if err != nil {
			return
		}
		defer res.Body.Close()
		answered <- res
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			w.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		cancel()
		for range w.lines {
		}
	})
	return w
}

// tapCommand is sluice tap.
func (p *place) tap(t testing.TB, arguments ...string) *watching {
	t.Helper()
	cmd := p.Command(append([]string{"tap", "--config", "sluice.yaml"}, arguments...)...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	var said bytes.Buffer
	cmd.Stderr = &said
	require.NoError(t, cmd.Start())
	w := &watching{lines: make(chan string, 100)}
	w.stop = func() { _ = cmd.Process.Signal(syscall.SIGINT) }
	go func() {
		defer close(w.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			w.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		for range w.lines {
		}
		_ = cmd.Wait()
	})
	return w
}

// until sends messages until a tap shows the first: nobody says when it has begun.
func (w *watching) begun(t testing.TB, send func()) string {
	t.Helper()
	var first string
	eventually(t, func() bool {
		send()
		select {
		case l, ok := <-w.lines:
			require.True(t, ok, "the tap has ended")
			first = l
		default:
		}
		return first != ""
	}, "the tap shows what is sent")
	return first
}

// Taps show live what may be seen, to those who may, and the audit has who watched.
func TestTapsAreLiveGuardedAndAudited(t *testing.T) {
	p := newPlace(t)
	p.run(t, watched)
	v, told := login(t, p.open(t, 0, false, "", shown{}), shown{login: "alice", passcode: "alice-secret"}, false)
	require.Empty(t, told)
	alice := v.(*stomper)
	send := func() {
		for _, to := range []string{"/queue/private", "/queue/orders.1"} {
			alice.c.Send("SEND", "body of "+to, "destination:"+to, "receipt:r")
			alice.want(t, "RECEIPT")
		}
	}
	line := p.tap(t, "/queue/orders.>", "--bodies").begun(t, send)
	require.Contains(t, line, "sent")
	require.Contains(t, line, "user=alice")
	require.Contains(t, line, `body="body of /queue/orders.1"`)
	// boss may watch orders and nothing else: of everything that matches he sees orders alone.
	code, text := p.operator(t, "boss").ask(t, "tap?destination=/queue/private")
	require.Equal(t, http.StatusOK, code) // it has begun to answer
	require.Empty(t, text)
	var seen struct{ Destination, User, Body string }
	require.NoError(t, json.Unmarshal([]byte(p.operator(t, "boss").tap(t, "destination=/queue/orders.1").begun(t, send)), &seen))
	require.Equal(t, "queue://orders.1", seen.Destination)
	require.Equal(t, "alice", seen.User)
	require.Empty(t, seen.Body, "bodies are shown to who asks for them")
	session := p.sessionOf(t, "alice")
	first := p.operator(t, "boss").tap(t, "session="+session).begun(t, send)
	require.NotContains(t, first, "private", "what boss may not manage")
	// clerk may tap, and no destination; alice may not even tap.
	_, text = p.operator(t, "clerk").ask(t, "tap?destination=/queue/orders.1")
	require.Empty(t, text)
	code, text = p.operator(t, "alice").ask(t, "tap?destination=/queue/orders.1")
	require.Equal(t, http.StatusForbidden, code)
	require.Equal(t, "User alice is not authorized to manage: /admin/tap", text)
	eventually(t, func() bool {
		file := p.read(t, "audit.log")
		return strings.Contains(file, `"operation":"tap bodies=\"\" destination=\"/queue/orders.\u003e\" every=\"1\""`) || strings.Contains(file, `tap bodies=\"\" destination=\"/queue/orders.>\" every=\"1\"`)
	}, "who tapped at the machine is in the audit")
	eventually(t, func() bool {
		boss, clerk := false, false
		for _, l := range p.audit(t) {
			boss = boss || l.Event == "admin" && l.User == "boss" && l.Operation == `tap destination="/queue/orders.1"`
			clerk = clerk || l.Event == "admin" && l.User == "clerk" && strings.Contains(l.Error, "not authorized")
		}
		return boss && clerk
	}, "who tapped over HTTP is in the audit")
}

// sessionOf finds a client in sluice connections.
func (p *place) sessionOf(t testing.TB, user string) string {
	t.Helper()
	for line := range strings.Lines(p.sluice(t, "connections", "--config", "sluice.yaml")) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == user {
			return f[0]
		}
	}
	require.FailNow(t, "no session of "+user)
	return ""
}

// Somebody who may not watch any more sees nothing more, although the tap is open.
func TestATapEndsWithItsRight(t *testing.T) {
	for name, change := range map[string]string{"right": "users: [boss], allow", "user": "- {name: boss, password: boss-secret}"} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.run(t, watched)
			v, told := login(t, p.open(t, 0, false, "", shown{}), shown{login: "alice", passcode: "alice-secret"}, false)
			require.Empty(t, told)
			alice := v.(*stomper)
			send := func(body string) {
				alice.c.Send("SEND", body, "destination:/queue/orders.1", "receipt:r")
				alice.want(t, "RECEIPT")
			}
			w := p.operator(t, "boss").tap(t, "destination=/queue/orders.1&bodies")
			w.begun(t, func() { send("before") })
			if name == "right" {
				p.Configure(strings.Replace(watched, change, "users: [nobody], allow", 1))
			} else {
				p.Configure(strings.Replace(watched, change, "", 1))
			}
			p.sluice(t, "reload", "--config", "sluice.yaml")
			send("after")
			own := p.tap(t, "/queue/orders.1", "--bodies")
			own.begun(t, func() { send("after") }) // what is shown to others now has been shown to boss, or never is
			w.stop()
			for line := range w.lines {
				require.NotContains(t, line, "after")
			}
		})
	}
}

// sluice connections lists who is there, and sluice disconnect sends one away, who is told so.
func TestClientsAreListedAndSentAway(t *testing.T) {
	p := newPlace(t)
	p.run(t, watched)
	v := &stomper{raw.Over(t, p.open(t, 1, true, "", shown{}))}
	v.c.Send("CONNECT", "", "accept-version:1.2", "host:/", "login:alice", "passcode:alice-secret", "client-id:meter\x1b[31m7")
	v.want(t, "CONNECTED")
	v.listen(t, "/queue/a")
	list := p.sluice(t, "connections", "--config", "sluice.yaml")
	require.Contains(t, list, "alice")
	require.NotContains(t, list, "\x1b", "what a client says cannot disturb a terminal")
	require.Contains(t, list, `meter\x1b[31m7`)
	require.Contains(t, p.refuses(t, "disconnect", "--config", "sluice.yaml", "nobody-1"), "nobody-1")
	p.sluice(t, "disconnect", "--config", "sluice.yaml", p.sessionOf(t, "alice"))
	require.Equal(t, "disconnected by an administrator", v.dismissed(t))
	eventually(t, func() bool {
		for _, l := range p.audit(t) {
			if l.Event == "disconnect" && l.User == "alice" {
				return strings.Contains(l.Error, "administrator")
			}
		}
		return false
	}, "why she has gone is in the audit")
}

// The audit's file has each command, in order, with who it was, and nothing of a body.
func TestTheAuditHasCommandsAndNoBodies(t *testing.T) {
	p := newPlace(t)
	p.run(t, watched)
	v, told := login(t, p.open(t, 0, false, "", shown{}), shown{login: "alice", passcode: "alice-secret"}, false)
	require.Empty(t, told)
	c := v.(*stomper)
	c.c.Send("SUBSCRIBE", "", "id:1", "destination:/queue/a", "ack:client-individual", "receipt:1")
	c.want(t, "RECEIPT")
	c.c.Send("SEND", "a-body-of-mine", "destination:/queue/a", "persistent:true", "receipt:2")
	var ack string
	for range 2 {
		if f := c.next(t); f.Command == "MESSAGE" {
			ack = f.Get("ack")
		}
	}
	c.c.Send("ACK", "", "id:"+ack, "receipt:3")
	c.want(t, "RECEIPT")
	c.c.Send("DISCONNECT", "", "receipt:4")
	c.want(t, "RECEIPT")
	p.Stop()
	var events []string
	for _, l := range p.audit(t) {
		if l.User == "alice" {
			events = append(events, l.Event+" "+l.Destination)
		}
	}
	require.Equal(t, []string{"connect ", "subscribe queue://a", "send queue://a", "ack queue://a", "disconnect "}, events)
	require.NotContains(t, p.read(t, "audit.log"), "a-body-of-mine")
}

// Who is nobody any more is sent away also if something else of the configuration cannot be read.
func TestABrokenCertificateKeepsNobodyInside(t *testing.T) {
	p := newPlace(t)
	p.run(t, watched)
	v, told := login(t, p.open(t, 0, false, "", shown{}), shown{login: "alice", passcode: "alice-secret"}, false)
	require.Empty(t, told)
	p.write(t, "host.crt", "this is no certificate")
	p.Configure(strings.Replace(watched, "- {name: alice, password: alice-secret}", "", 1))
	require.Contains(t, p.refuses(t, "reload", "--config", "sluice.yaml"), "host.crt")
	require.Equal(t, refusal("alice"), v.dismissed(t))
}

// What a reload does not change it says.
func TestAReloadSaysWhatItLeaves(t *testing.T) {
	p := newPlace(t)
	p.run(t, watched)
	p.Configure(strings.Replace(strings.Replace(watched, "audit: commands", "audit: off", 1), "audit_file: audit.log\n", "", 1))
	require.Contains(t, p.sluice(t, "reload", "--config", "sluice.yaml"), "audit")
	p.Configure("no: such key\n")
	p.Signal(syscall.SIGHUP)
	p.AwaitLog("reload failed")
	_, told := login(t, p.open(t, 0, false, "", shown{}), shown{login: "alice", passcode: "alice-secret"}, false)
	require.Empty(t, told, "what was in force stays")
}
