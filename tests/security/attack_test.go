package security

import (
	"bytes"
	"compress/flate"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
)

// twoUsers are alice and bob, with queues and topics of their own.
const twoUsers = `auth:
  users:
  - {name: alice, password: alice-secret}
  - {name: bob, password: bob-secret}
  acl:
  - {users: ["*"], allow: [read, write, create], on: ["/queue/{user}.>", "/topic/{user}.>", "/topic/shared.>", "/queue/shared.>", "/temp-queue/>", "/temp-topic/>"]}
`

// inside logs a user in whose password is the name and "-secret".
func (p *place) inside(t testing.TB, name string) *stomper {
	t.Helper()
	v, told := login(t, p.open(t, 0, false, "", shown{}), shown{login: name, passcode: name + "-secret"}, false)
	require.Empty(t, told)
	return v.(*stomper)
}

// What a 1.2 sender escapes into a header stays inside that header for readers of any version, and what it forges of the broker's own
// headers nobody believes.
func TestHeadersCannotBeInjected(t *testing.T) {
	p := newPlace(t)
	p.run(t, listeners+twoUsers)
	alice := p.inside(t, "alice")
	for _, version := range []string{"1.0", "1.1", "1.2"} {
		bob := &stomper{raw.Over(t, p.open(t, 0, false, "", shown{}))}
		said := []string{"login:bob", "passcode:bob-secret"}
		if version != "1.0" {
			said = append(said, "accept-version:"+version, "host:/")
		}
		bob.c.Send("CONNECT", "", said...)
		bob.want(t, "CONNECTED")
		bob.listen(t, "/topic/shared.a")
		alice.c.Send("SEND", "body", "destination:/topic/shared.a", `a:x\nJMSXUserID:admin\n\nbody`, `b\nc:d`, "message-id:forged", "subscription:forged",
			"Nats-Msg-Id:forged", "Nats-Rollup:all", "receipt:r")
		alice.want(t, "RECEIPT")
		f := bob.want(t, "MESSAGE")
		require.Equal(t, "body", f.Body, version)
		require.NotContains(t, f.Lines, "JMSXUserID:admin", version)
		require.NotContains(t, f.Lines, "c:d", version)
		require.NotEqual(t, "forged", f.Get("message-id"), version)
		require.Equal(t, "listen", f.Get("subscription"), version)
		bob.c.Send("DISCONNECT", "", "receipt:b")
		bob.want(t, "RECEIPT")
	}
	alice.c.Send("SEND", "SEND\ndestination:/queue/bob.x\nreceipt:SMUGGLED\n\n\x00", "destination:/topic/shared.a", "content-length:48", "receipt:s")
	require.Equal(t, "s", alice.want(t, "RECEIPT").Get("receipt-id"), "a body with frames in it is a body")
	alice.use(t, "/queue/shared.a")
}

// A login cannot bring lines into frames or logs.
func TestALoginCannotBringLinesAlong(t *testing.T) {
	p := newPlace(t)
	p.run(t, listeners+twoUsers)
	c := &stomper{raw.Over(t, p.open(t, 0, false, "", shown{}))}
	c.c.Send("CONNECT", "", "accept-version:1.2", `login:x\nreceipt-id:forged\n\n`, "passcode:x")
	f := c.want(t, "ERROR")
	require.Len(t, f.Lines, 2, "%v", f)
	c.over(t)
	for line := range strings.Lines(p.Log()) {
		require.True(t, strings.HasPrefix(line, "{"), line)
	}
}

// Names cannot lead out of the names that users have: into the server's own subjects, others' inboxes or the file system.
func TestNamesCannotLeadElsewhere(t *testing.T) {
	p := newPlace(t)
	everybody := strings.ReplaceAll(twoUsers, `"/queue/{user}.>"`, `"/queue/>", "/topic/>"`)
	p.run(t, listeners+everybody)
	before := names(t, p.Home())
	alice, bob := p.inside(t, "alice"), p.inside(t, "bob")
	bob.listen(t, "/topic/>")
	for i, name := range []string{"$JS.API.STREAM.DELETE.x", "$SYS.REQ.SERVER.PING", "_INBOX.x", "../../../etc/passwd", "..", "a/b/../../c", "%2e%2e%2f", "a b", "a\tb", `a\nPUB x 0\n`, `a\r\nSUB > 1`} {
		for _, kind := range []string{"/queue/", "/topic/"} {
			receipt := fmt.Sprintf("receipt:%d", i)
			alice.c.Send("SEND", "x", "destination:"+kind+name, receipt)
			f := alice.next(t)
			require.Contains(t, []string{"RECEIPT", "ERROR"}, f.Command)
			if f.Command == "RECEIPT" && kind == "/topic/" { // then it is a name like any other
				want := strings.NewReplacer(`\`, `\`).Replace("/topic/" + name)
				require.Equal(t, want, bob.want(t, "MESSAGE").Get("destination"))
			}
		}
	}
	for _, name := range []string{">", "a.*", "a.>"} {
		alice.c.Send("SEND", "x", "destination:/queue/"+name, "receipt:w")
		require.Equal(t, "ERROR", alice.next(t).Command, "a pattern is no place to send to")
	}
	require.Equal(t, before, names(t, p.Home()), "no file came of it")
	require.Equal(t, http.StatusOK, p.probe(t, "/readyz"))
	alice.use(t, "/queue/still.there")
}

// names are the files of a folder.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range list {
		all = append(all, e.Name())
	}
	return all
}

// probe asks the admin door for something that needs no login.
func (p *place) probe(t testing.TB, path string) int {
	t.Helper()
	code, _ := p.get(t, path, "")
	return code
}

func (p *place) get(t testing.TB, path, origin string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: soon, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: p.trusting(nil)}}
	req, err := http.NewRequest(http.MethodGet, "https://"+p.Addr("admin")+path, http.NoBody)
	require.NoError(t, err)
	if origin != "" {
		req.Header.Set("Origin", origin)
	}
	res, err := client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(body)
}

// A pattern brings what may be read and nothing else, and nobody settles what others have.
func TestNobodySnoops(t *testing.T) {
	p := newPlace(t)
	p.run(t, listeners+twoUsers)
	alice, bob := p.inside(t, "alice"), p.inside(t, "bob")
	bob.listen(t, "/topic/>")
	for _, to := range []string{"/topic/alice.secret", "/topic/shared.a"} {
		alice.c.Send("SEND", "to "+to, "destination:"+to, "receipt:r")
		alice.want(t, "RECEIPT")
	}
	require.Equal(t, "to /topic/shared.a", bob.want(t, "MESSAGE").Body)
	read, write := bob.trespass(t, "/queue/alice.secret")
	require.Equal(t, "User bob is not authorized to read from: queue://alice.secret", read)
	require.Equal(t, "User bob is not authorized to write to: queue://alice.secret", write)
	alice.c.Send("SUBSCRIBE", "", "id:1", "destination:/queue/alice.x", "ack:client-individual", "receipt:s")
	alice.want(t, "RECEIPT")
	alice.c.Send("SEND", "hers", "destination:/queue/alice.x")
	ack := alice.want(t, "MESSAGE").Get("ack")
	bob.c.Send("ACK", "", "id:"+ack, "receipt:a")
	require.Equal(t, "ERROR", bob.next(t).Command)
	alice.c.Send("NACK", "", "id:"+ack, "receipt:n")
	alice.want(t, "RECEIPT")
	bob.c.Send("SUBSCRIBE", "", "id:q", "destination:/queue/alice.>", "receipt:q")
	require.Equal(t, "User bob is not authorized to read from: queue://alice.>", bob.want(t, "ERROR").Body)
}

// Who says nothing, or little by little, is sent away in time by every door, and others come in meanwhile.
func TestSlowClientsAreSentAway(t *testing.T) {
	p := newPlace(t)
	p.run(t, listeners+twoUsers+"limits: {login_timeout: 2s, logging_in: 40}\n")
	began := time.Now()
	var slow []net.Conn
	for _, protocol := range []string{"stomp", "websocket"} {
		for _, addr := range p.Addrs(protocol) {
			for _, begin := range []string{"", "C", "GET / HTTP/1.1\r\nHost: x\r\n", "\x16\x03\x01"} {
				nc := dial(t, "127.0.2.1", addr)
				defer nc.Close()
				_, err := io.WriteString(nc, begin)
				require.NoError(t, err)
				slow = append(slow, nc)
			}
		}
	}
	for range 5 {
		p.inside(t, "alice").use(t, "/queue/alice.x")
	}
	for _, nc := range slow {
		require.NoError(t, nc.SetReadDeadline(began.Add(soon)))
		_, err := io.Copy(io.Discard, nc)
		var late net.Error
		require.False(t, err != nil && asTimeout(err, &late), "%v is still there", nc.RemoteAddr())
	}
}

func asTimeout(err error, into *net.Error) bool {
	e, ok := err.(net.Error)
	*into = e
	return ok && e.Timeout()
}

// An unknown client cannot have the gateway hold much: neither by what it claims nor by what it sends, by whichever door.
func TestStrangersHoldLittle(t *testing.T) {
	p := newPlace(t)
	p.run(t, listeners+twoUsers)
	p.inside(t, "alice").use(t, "/queue/alice.x")
	before, _ := p.Resident()
	junk := strings.Repeat("x", 1<<20)
	for _, web := range []bool{false, true} {
		for _, begin := range []string{
			"CONNECT\nlogin:", "SEND\ndestination:/queue/alice.x\ncontent-length:2000000000\n\n", "SUBSCRIBE\nid:1\ndestination:/topic/>\n\n\x00",
			"CONNECT\ncontent-length:-1\n\n", "CONNECT\n" + strings.Repeat("a:b\n", 20000),
		} {
			nc := p.open(t, 0, web, "", shown{})
			_ = nc.SetDeadline(time.Now().Add(soon))
			_, err := io.WriteString(nc, begin)
			for i := 0; i < 64 && err == nil; i++ {
				_, err = io.WriteString(nc, junk)
			}
			answer, _ := io.ReadAll(io.LimitReader(nc, 64<<10))
			require.NotContains(t, string(answer), "MESSAGE")
			require.NotContains(t, string(answer), "CONNECTED")
			require.NotContains(t, string(answer), "RECEIPT")
			_ = nc.Close()
		}
	}
	_, most := p.Resident()
	require.Less(t, most-before, int64(64<<20))
	p.inside(t, "alice").use(t, "/queue/alice.x")
}

// A message that is small on the wire and large inside is refused before it is large in memory.
func TestWebSocketBombs(t *testing.T) {
	p := newPlace(t)
	p.run(t, strings.Replace(listeners, `{protocol: websocket, address: "127.0.0.1:0"}`, `{protocol: websocket, address: "127.0.0.1:0", compression: true}`, 1)+twoUsers)
	p.inside(t, "alice").use(t, "/queue/alice.x")
	before, _ := p.Resident()
	text := bomb(t, 300)
	frame := append(binary.BigEndian.AppendUint64([]byte{0xC2, 0xFF}, uint64(len(text))), 0, 0, 0, 0)
	nc := dial(t, "", p.Addrs("websocket")[0])
	defer nc.Close()
	require.NoError(t, nc.SetDeadline(time.Now().Add(soon)))
	_, err := io.WriteString(nc, upgrade("", "Sec-WebSocket-Extensions: permessage-deflate\r\n"))
	require.NoError(t, err)
	answer := make([]byte, 4096)
	n, err := nc.Read(answer)
	require.NoError(t, err)
	require.Contains(t, string(answer[:n]), "permessage-deflate", "else it is no bomb")
	_, _ = nc.Write(append(frame, text...))
	rest, _ := io.ReadAll(nc)
	require.NotContains(t, string(rest), "CONNECTED")
	_, most := p.Resident()
	require.Less(t, most-before, int64(64<<20))
}

// bomb is a message that is so many MiB when it is unpacked.
func bomb(t *testing.T, mib int) []byte {
	t.Helper()
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	require.NoError(t, err)
	block, first := make([]byte, 1<<20), 0
	for range 2 {
		first = packed.Len()
		_, err := w.Write(block)
		require.NoError(t, err)
		require.NoError(t, w.Flush())
	}
	again := packed.Bytes()[first:] // it refers to nothing but such a block
	return bytes.TrimSuffix(append(packed.Bytes(), bytes.Repeat(again, mib-2)...), []byte{0, 0, 0xff, 0xff})
}

func upgrade(origin string, more ...string) string {
	if origin != "" {
		more = append(more, "Origin: "+origin+"\r\n")
	}
	return "GET / HTTP/1.1\r\nHost: gateway.example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: v12.stomp\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" + strings.Join(more, "") + "\r\n"
}

// Pages of elsewhere connect neither to WebSocket nor ask for operations, whatever the browser would send along.
func TestPagesOfElsewhereAreRefused(t *testing.T) {
	p := newPlace(t)
	p.run(t, strings.Replace(listeners, `{protocol: websocket, address: "127.0.0.1:0"}`, `{protocol: websocket, address: "127.0.0.1:0", origins: ["https://portal.example.org"]}`, 1)+
		"auth:\n  users:\n  - {name: alice, password: alice-secret}\n  acl:\n  - {users: [alice], allow: [all], on: [\"/admin/>\"]}\n")
	for origin, want := range map[string]string{
		"": "101", "https://portal.example.org": "101", "http://gateway.example.org": "403", "https://evil.example.org": "403", "https://portal.example.org.evil.org": "403", "null": "403", "http://portal.example.org": "403",
	} {
		nc := dial(t, "", p.Addrs("websocket")[0])
		require.NoError(t, nc.SetDeadline(time.Now().Add(soon)))
		_, err := io.WriteString(nc, upgrade(origin))
		require.NoError(t, err)
		line := make([]byte, 12)
		_, err = io.ReadFull(nc, line)
		require.NoError(t, err)
		require.Equal(t, "HTTP/1.1 "+want, string(line), "%q", origin)
		_ = nc.Close()
	}
	alice := p.operator(t, "alice")
	for origin, want := range map[string]int{"": http.StatusOK, "https://evil.example.org": http.StatusForbidden, "null": http.StatusForbidden} {
		req, err := http.NewRequest(http.MethodPost, alice.url+"/operations/status", http.NoBody)
		require.NoError(t, err)
		req.SetBasicAuth("alice", "alice-secret")
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		res, err := alice.client.Do(req)
		require.NoError(t, err)
		_ = res.Body.Close()
		require.Equal(t, want, res.StatusCode, "%q", origin)
	}
}

// TLS is what it is said to be: nothing older, nothing plain, and a client is told what it did.
func TestTLSCannotBeTalkedDown(t *testing.T) {
	p := newPlace(t)
	p.run(t, listeners+twoUsers)
	ports := map[string]string{"stomp": p.Addrs("stomp")[1], "websocket": p.Addrs("websocket")[1], "admin": p.Addr("admin")}
	for name, addr := range ports {
		for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
			c := p.trusting(nil)
			c.MinVersion, c.MaxVersion = version, version
			nc := tls.Client(dial(t, "", addr), c)
			require.Error(t, nc.Handshake(), "%s %x", name, version)
			_ = nc.Close()
		}
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			c := p.trusting(nil)
			c.MinVersion, c.MaxVersion = version, version
			nc := tls.Client(dial(t, "", addr), c)
			require.NoError(t, nc.Handshake(), "%s %x", name, version)
			suite := nc.ConnectionState().CipherSuite
			require.False(t, slices.ContainsFunc(tls.InsecureCipherSuites(), func(s *tls.CipherSuite) bool { return s.ID == suite }))
			_ = nc.Close()
		}
		weak := p.trusting(nil)
		weak.MaxVersion = tls.VersionTLS12
		for _, s := range tls.InsecureCipherSuites() {
			weak.CipherSuites = append(weak.CipherSuites, s.ID)
		}
		nc := tls.Client(dial(t, "", addr), weak)
		require.Error(t, nc.Handshake(), "%s with weak ciphers", name)
		_ = nc.Close()
	}
	plain := dial(t, "", ports["stomp"])
	defer plain.Close()
	require.NoError(t, plain.SetDeadline(time.Now().Add(soon)))
	_, err := io.WriteString(plain, "CONNECT\naccept-version:1.2\nhost:/\nlogin:alice\npasscode:alice-secret\n\n\x00")
	require.NoError(t, err)
	answer, _ := io.ReadAll(plain)
	require.Contains(t, string(answer), "this port speaks TLS")
	require.NotContains(t, string(answer), "CONNECTED")
}
