package security

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/sluice-mq/sluice/auth/pki/pkitest"
	"github.com/sluice-mq/sluice/auth/users"
	"github.com/sluice-mq/sluice/tests/node"
)

// place is a node with certificates around it.
type place struct {
	*node.Node
	ca *pkitest.CA
}

// newPlace makes a node that is still to be configured, an authority in ca.crt and the certificate of the host in host.crt and host.key.
func newPlace(t testing.TB, settings ...string) *place {
	t.Helper()
	ca, err := pkitest.NewRoot(pkitest.Slash("/DC=org/DC=example/CN=Test CA"))
	require.NoError(t, err)
	p := &place{Node: node.Configured(t, settings...), ca: ca}
	_, _, err = ca.Write(p.Home(), "ca")
	require.NoError(t, err)
	host, err := ca.Issue(pkitest.Slash("/DC=org/DC=example/CN=localhost"), pkitest.DNSNames("localhost"))
	require.NoError(t, err)
	_, _, err = host.Write(p.Home(), "host")
	require.NoError(t, err)
	return p
}

// run configures the node and starts it.
func (p *place) run(t testing.TB, configuration string) {
	t.Helper()
	p.Configure(configuration)
	p.Launch()
	p.AwaitReady()
}

// client is a certificate of the authority.
func (p *place) client(t testing.TB, subject string, options ...pkitest.Option) *pkitest.Pair {
	t.Helper()
	pair, err := p.ca.Issue(pkitest.Slash(subject), options...)
	require.NoError(t, err)
	return pair
}

// write puts a file that only its owner may read beside the configuration.
func (p *place) write(t testing.TB, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(p.Home(), name), []byte(text), 0o600))
}

// read is a file beside the configuration.
func (p *place) read(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.Home(), name))
	require.NoError(t, err)
	return string(text)
}

// sluice runs the program in the node's folder; it has to succeed.
func (p *place) sluice(t testing.TB, arguments ...string) (stdout string) {
	t.Helper()
	var errors strings.Builder
	cmd := p.Command(arguments...)
	cmd.Stderr = &errors
	out, err := cmd.Output()
	require.NoError(t, err, "sluice %v: %s%s", arguments, out, &errors)
	return string(out)
}

// refuses runs the program; it has to fail, and says so.
func (p *place) refuses(t testing.TB, arguments ...string) (said string) {
	t.Helper()
	out, err := p.Command(arguments...).CombinedOutput()
	require.Error(t, err, "sluice %v: %s", arguments, out)
	return string(out)
}

// listeners are all there are: of STOMP and WebSocket one without and one with TLS, in that order.
const listeners = `
node: n1
data_dir: data
audit_file: audit.log
listeners:
- {protocol: admin, address: "127.0.0.1:0", tls: {certificate: host.crt, key: host.key, client_ca: [ca.crt]}}
- {protocol: stomp, address: "127.0.0.1:0"}
- {protocol: stomp, address: "127.0.0.1:0", tls: {certificate: host.crt, key: host.key, client_ca: [ca.crt]}}
- {protocol: websocket, address: "127.0.0.1:0"}
- {protocol: websocket, address: "127.0.0.1:0", tls: {certificate: host.crt, key: host.key, client_ca: [ca.crt]}}
`

// argon is a password as Sluice keeps it; each costs a while, and so tests share.
func argon(t testing.TB, password string) string {
	t.Helper()
	h, err := users.Hash(password)
	require.NoError(t, err)
	return h
}

func bcrypted(t testing.TB, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	require.NoError(t, err)
	return string(h)
}

// lines joins what is one line each.
func lines(format string, values ...any) string { return fmt.Sprintf(format, values...) + "\n" }
