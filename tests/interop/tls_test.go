package interop

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	stomp "github.com/go-stomp/stomp/v3"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth/pki/pkitest"
	"github.com/sluice-mq/sluice/tests/node"
)

// patient is the deadline of a program that has to be started first.
const patient = 2 * time.Minute

// site is an authority with what it has signed, in files.
type site struct {
	dir                         string
	authority, stranger         *pkitest.CA
	hostCert, hostKey           string
	authorityFile, strangerFile string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{dir: t.TempDir()}
	var err error
	s.authority, err = pkitest.NewRoot(pkitest.Slash("/DC=org/DC=example/CN=Example CA"))
	require.NoError(t, err)
	s.stranger, err = pkitest.NewRoot(pkitest.Slash("/DC=org/DC=elsewhere/CN=Other CA"))
	require.NoError(t, err)
	s.authorityFile, _, err = s.authority.Write(s.dir, "ca")
	require.NoError(t, err)
	s.strangerFile, _, err = s.stranger.Write(s.dir, "other")
	require.NoError(t, err)
	// Old clients know RSA alone.
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	host, err := s.authority.IssueFor(pkitest.Slash("/DC=org/DC=example/CN=localhost"), key, func(c *x509.Certificate) {
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	})
	require.NoError(t, err)
	s.hostCert, s.hostKey, err = host.Write(s.dir, "host")
	require.NoError(t, err)
	for file, name := range map[string]string{"site1": "/DC=org/DC=example/OU=hosts/CN=site1.example.org", "nobody": "/DC=org/DC=example/OU=hosts/CN=nobody.example.org"} {
		s.issue(t, s.authority, file, name)
	}
	s.issue(t, s.stranger, "foreign", "/DC=org/DC=example/OU=hosts/CN=site1.example.org")
	return s
}

// issue makes a certificate and its key, in files.
func (s *site) issue(t *testing.T, by *pkitest.CA, file, name string) {
	t.Helper()
	pair, err := by.Issue(pkitest.Slash(name))
	require.NoError(t, err)
	_, _, err = pair.Write(s.dir, file)
	require.NoError(t, err)
}

// file is one of the site's.
func (s *site) file(name string) string { return filepath.Join(s.dir, name) }

// start starts a node that lets the site's people in over TLS. Words are more keys of tls.
func (s *site) start(t *testing.T, words string) *node.Node {
	t.Helper()
	within := fmt.Sprintf("{certificate: %q, key: %q, client_ca: [%q]%s}", s.hostCert, s.hostKey, s.authorityFile, words)
	return node.StartConfigured(t, fmt.Sprintf(`listeners:
  - {protocol: stomp, address: "127.0.0.1:0", tls: %[1]s}
  - {protocol: websocket, address: "127.0.0.1:0", tls: %[1]s}
  - {protocol: admin, address: "127.0.0.1:0"}
auth:
  users:
    - {name: alice, password: wonderland}
    - {name: site1, dn: "CN=site1.example.org,OU=hosts,DC=example,DC=org"}
  acl:
    - {users: [alice, site1], allow: [read, write, create], on: ["/queue/guarded"]}
`, within))
}

// who is what a client shows and whom it trusts.
type who struct {
	authority, certificate, login, passcode string
	says                                    []string
}

// people are everybody who tries, with what they are told. refusal is what the client calls an ERROR.
func (s *site) people(refusal string) map[string]who {
	forbidden := refusal + ": User %s is not authorized to write to: queue://forbidden"
	return map[string]who{
		"password":      {s.authorityFile, "", "alice", "wonderland", []string{"received: hello from alice", fmt.Sprintf(forbidden, "alice")}},
		"wrongPassword": {s.authorityFile, "", "alice", "looking-glass", []string{refusal + ": User name [alice] or password is invalid."}},
		"certificate":   {s.authorityFile, "site1", "", "", []string{"received: hello from site1.crt", fmt.Sprintf(forbidden, "site1")}},
		"unknownCertificate": {s.authorityFile, "nobody", "", "", []string{
			refusal + ": User name [null] or password is invalid. No user for client certificate: CN=nobody.example.org, OU=hosts, DC=example, DC=org"}},
		"foreignCertificate": {s.authorityFile, "foreign", "", "", []string{
			refusal + ": User name [null] or password is invalid. the client certificate CN=site1.example.org, OU=hosts, DC=example, DC=org " +
				"is signed by nobody this server trusts (issuer CN=Other CA, DC=elsewhere, DC=org)"}},
		"nothing":        {s.authorityFile, "", "", "", []string{refusal + ": User name [null] or password is invalid."}},
		"wrongAuthority": {s.strangerFile, "", "alice", "wonderland", []string{"no connection"}},
	}
}

// run returns what a program says.
func run(t *testing.T, program string, arguments ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, arguments...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	require.NoError(t, err, "%s\n%s", out, &complaints)
	return strings.TrimSpace(string(out))
}

// visit has each of the people run a program, which is told where to connect and with what.
func (s *site) visit(t *testing.T, addr, refusal string, program ...string) {
	host, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	for name, w := range s.people(refusal) {
		t.Run(name, func(t *testing.T) {
			cert, key := "", ""
			if w.certificate != "" {
				cert, key = s.file(w.certificate+".crt"), s.file(w.certificate+".key")
			}
			arguments := append(program[1:len(program):len(program)], host, port, w.authority, cert, key, w.login, w.passcode)
			out := run(t, program[0], arguments...)
			require.Equal(t, w.says, strings.Split(out, "\n"))
		})
	}
}

func TestStompPyOverTLS(t *testing.T) {
	t.Parallel()
	node.Needs(t, "python3-stomp", python, "-c", "import stomp")
	s := newSite(t)
	s.visit(t, s.start(t, "").Addr("stomp"), "on_error", python, "testdata/guarded.py")
}

func TestNetStompOverTLS(t *testing.T) {
	t.Parallel()
	node.Needs(t, "libnet-stomp-perl", "perl", "-MNet::Stomp", "-e", "1")
	node.Needs(t, "libio-socket-ssl-perl", "perl", "-MIO::Socket::SSL", "-e", "1")
	s := newSite(t)
	s.visit(t, s.start(t, "").Addr("stomp"), "ERROR", "perl", "testdata/guarded.pl")
}

func TestPythonWebSocketOverTLS(t *testing.T) {
	t.Parallel()
	node.Needs(t, "python3-websocket", python, "-c", "import websocket")
	s := newSite(t)
	s.visit(t, s.start(t, "").Addr("websocket"), "ERROR", python, "testdata/wss.py")
}

func TestGoStompOverTLS(t *testing.T) {
	s := newSite(t)
	n := s.start(t, "")
	for name, w := range s.people("ERROR") {
		t.Run(name, func(t *testing.T) {
			trusted := x509.NewCertPool()
			trusted.AddCert(s.authority.Cert)
			if w.authority == s.strangerFile {
				trusted = x509.NewCertPool()
				trusted.AddCert(s.stranger.Cert)
			}
			within := &tls.Config{RootCAs: trusted}
			if w.certificate != "" {
				pair, err := tls.LoadX509KeyPair(s.file(w.certificate+".crt"), s.file(w.certificate+".key"))
				require.NoError(t, err)
				within.Certificates = []tls.Certificate{pair}
			}
			nc, err := tls.Dial("tcp", n.Addr("stomp"), within)
			if w.says[0] == "no connection" {
				var unknown x509.UnknownAuthorityError
				require.ErrorAs(t, err, &unknown)
				return
			}
			require.NoError(t, err)
			defer nc.Close()
			var options []func(*stomp.Conn) error
			if w.login != "" {
				options = append(options, stomp.ConnOpt.Login(w.login, w.passcode))
			}
			c, err := stomp.Connect(nc, options...)
			if refusal, refused := strings.CutPrefix(w.says[0], "ERROR: "); refused {
				require.ErrorContains(t, err, refusal)
				return
			}
			require.NoError(t, err)
			q, err := c.Subscribe("/queue/guarded", stomp.AckAuto)
			require.NoError(t, err)
			require.NoError(t, c.Send("/queue/guarded", "text/plain", []byte("hello"), stomp.SendOpt.Receipt))
			require.Equal(t, "hello", string(receive(t, q).Body))
			err = c.Send("/queue/forbidden", "text/plain", []byte("x"), stomp.SendOpt.Receipt)
			require.ErrorContains(t, err, strings.TrimPrefix(w.says[1], "ERROR: "))
		})
	}
}

// What speaks TLS 1.0 and nothing newer is refused, the log says why, and min_version lets it in.
func TestAClientOfTLS10(t *testing.T) {
	node.Needs(t, "openssl", "openssl", "version")
	s := newSite(t)
	old := func(n *node.Node) string {
		ctx, cancel := context.WithTimeout(context.Background(), patient)
		defer cancel()
		cmd := exec.CommandContext(ctx, "openssl", "s_client", "-quiet", "-tls1", "-cipher", "DEFAULT@SECLEVEL=0",
			"-verify_return_error", "-CAfile", s.authorityFile, "-connect", n.Addr("stomp"))
		cmd.Stdin = strings.NewReader("CONNECT\naccept-version:1.2\nhost:/\nlogin:alice\npasscode:wonderland\n\n\x00DISCONNECT\nreceipt:bye\n\n\x00")
		out, _ := cmd.CombinedOutput() // it has an opinion of its own on how the connection ends
		return string(out)
	}
	n := s.start(t, "")
	require.NotContains(t, old(n), "CONNECTED\n")
	n.AwaitLog("a TLS handshake failed")
	require.Contains(t, n.Log(), "client offered only unsupported versions: [301]")

	n = s.start(t, `, min_version: "1.0"`)
	said := old(n)
	require.Contains(t, said, "CONNECTED\n")
	require.Contains(t, said, "receipt-id:bye")
	require.Contains(t, n.Log(), "OLD TLS")
}
