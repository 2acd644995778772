package pubsub

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth/pki/pkitest"
	nodes "github.com/sluice-mq/sluice/tests/node"
)

// mapper is a node with a mapping service, and the authority that it trusts.
type mapper struct {
	*nodes.Node
	t  testing.TB
	ca *pkitest.CA
	// dir is where the authority keeps its files.
	dir string
}

// authority makes one, with the certificate of the nodes' host.
func authority(t testing.TB) *mapper {
	t.Helper()
	m := &mapper{t: t, dir: t.TempDir()}
	var err error
	m.ca, err = pkitest.NewRoot(pkitest.Slash("/DC=org/DC=example/CN=Test CA"))
	require.NoError(t, err)
	_, _, err = m.ca.Write(m.dir, "ca")
	require.NoError(t, err)
	host, err := m.ca.Issue(pkitest.Slash("/DC=org/DC=example/CN=localhost"), pkitest.DNSNames("localhost"))
	require.NoError(t, err)
	_, _, err = host.Write(m.dir, "host")
	require.NoError(t, err)
	m.revoke()
	return m
}

// configuration is that of a node of which the authority knows; words are more keys of pubsub.
func (m *mapper) configuration(words string) string {
	return strings.ReplaceAll(`
audit: "on"
audit_file: audit.log
listeners:
- {protocol: admin, address: "127.0.0.1:0"}
- {protocol: stomp, address: "127.0.0.1:0"}
- {protocol: pubsub, address: "127.0.0.1:0", tls: {certificate: DIR/host.crt, key: DIR/host.key}}
- {protocol: authn, address: "127.0.0.1:0", tls: {certificate: DIR/host.crt, key: DIR/host.key, client_ca: [DIR/ca.crt], crl: [DIR/ca.r0]}}
pubsub: {service_token: `+token+words+`}
`, "DIR", m.dir)
}

// mapping is a node with a mapping service.
func mapping(t testing.TB, words string) *mapper {
	t.Helper()
	m := authority(t)
	m.Node = nodes.StartConfigured(t, m.configuration(words))
	return m
}

// revoke has the authority take these back, and no others.
func (m *mapper) revoke(all ...*pkitest.Pair) {
	m.t.Helper()
	var list pkitest.List
	for _, p := range all {
		list.Revoked = append(list.Revoked, p.Cert)
	}
	crl, err := m.ca.CRL(list)
	require.NoError(m.t, err)
	require.NoError(m.t, pkitest.Replace(filepath.Join(m.dir, "ca.r0"), crl))
}

// ask makes a request to the door of a protocol, with a certificate if it is not nil.
func (m *mapper) ask(protocol string, pair *pkitest.Pair, method, path, key, body string) (code int, answer string) {
	m.t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(m.ca.Cert)
	settings := &tls.Config{RootCAs: pool, ServerName: "localhost"}
	if pair != nil {
		shown := tls.Certificate{PrivateKey: pair.Key, Certificate: [][]byte{pair.Cert.Raw}}
		for _, c := range pair.Chain {
			shown.Certificate = append(shown.Certificate, c.Raw)
		}
		settings.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown, nil } // whoever is asked for
	}
	client := http.Client{Timeout: soon, Transport: &http.Transport{TLSClientConfig: settings, DisableKeepAlives: true}}
	r, err := http.NewRequest(method, "https://"+m.Addr(protocol)+"/v1"+path, strings.NewReader(body))
	require.NoError(m.t, err)
	if key != "" {
		r.Header.Set("X-Api-Key", key)
	}
	a, err := client.Do(r)
	require.NoError(m.t, err)
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	require.NoError(m.t, err)
	return a.StatusCode, string(text)
}

// must is ask of the administrator for what has to go well; what it answers is read into a pointer, if that is not nil.
func (m *mapper) must(protocol, method, path, body string, into any) {
	m.t.Helper()
	code, answer := m.ask(protocol, nil, method, path, token, body)
	require.Less(m.t, code, 300, answer)
	if into != nil {
		require.NoError(m.t, json.Unmarshal([]byte(answer), into), answer)
	}
}

// person is a user with a part in project P, bound by a subject as somebody has written it.
func (m *mapper) person(name, service, subject string) (uuid, own string) {
	m.t.Helper()
	var u struct{ UUID, Token string }
	m.must("pubsub", "POST", "/projects/P/members/"+name, `{"projects":[{"project":"P","roles":["publisher"]}]}`, &u)
	m.must("authn", "POST", "/bindings/"+name, fmt.Sprintf(`{"service_uuid":%q,"host":"localhost","auth_identifier":%q,"unique_key":%q,"auth_type":"x509"}`, service, subject, u.UUID), nil)
	return u.UUID, u.Token
}

// service makes project P, topic t and the service ams.
func (m *mapper) service() (uuid string) {
	m.t.Helper()
	m.must("pubsub", "POST", "/projects/P", `{"description":""}`, nil)
	m.must("pubsub", "PUT", "/projects/P/topics/t", "", nil)
	var s struct{ UUID string }
	m.must("authn", "POST", "/service-types", `{"name":"ams","hosts":["localhost"],"auth_types":["x509"],"auth_method":"api-key","type":"ams"}`, &s)
	return s.UUID
}

// exchange shows a certificate as the service's own library does.
func (m *mapper) exchange(pair *pkitest.Pair) (code int, given, said string) {
	m.t.Helper()
	code, answer := m.ask("authn", pair, "GET", "/service-types/ams/hosts/localhost:authx509", "", "")
	var a struct {
		Token string
		Error struct{ Message string }
	}
	require.NoError(m.t, json.Unmarshal([]byte(answer), &a), answer)
	return code, a.Token, a.Error.Message
}

func (m *mapper) pair(subject string, options ...pkitest.Option) *pkitest.Pair {
	m.t.Helper()
	pair, err := m.ca.Issue(pkitest.Slash(subject), options...)
	require.NoError(m.t, err)
	return pair
}

const subject = "/DC=org/DC=example/OU=hosts/OU=ce/CN=ce.example.org"

// However the subject was written when it was bound, its certificate gets the user's token, and no other certificate does; with the token the user publishes.
func TestACertificateIsExchanged(t *testing.T) {
	m := mapping(t, `, token_key: "0123456789abcdef0123456789abcdef"`)
	service := m.service()
	for i, written := range []string{
		subject, "CN=ce.example.org, OU=ce, OU=hosts, DC=example, DC=org", "CN=ce.example.org,OU=hosts+OU=ce,DC=org+DC=example", "dc=org,dc=example,ou=hosts,ou=ce,cn=ce.example.org",
	} {
		name := fmt.Sprint("user", i)
		_, own := m.person(name, service, written)
		code, given, said := m.exchange(m.pair(subject))
		require.Equal(t, []any{200, own, ""}, []any{code, given, said}, written)
		for _, other := range []string{"/DC=org/DC=example/OU=ce/OU=hosts/CN=ce.example.org", "/DC=org/DC=example/OU=hosts/OU=ce/CN=CE.example.org", subject + "/CN=more", "/DC=org/DC=example/OU=hosts/CN=ce.example.org"} {
			code, _, said := m.exchange(m.pair(other))
			require.Equal(t, []any{404, "Binding was not found"}, []any{code, said}, "%s is not %s", other, written)
		}
		m.must("pubsub", "POST", "/projects/P/topics/t:modifyAcl", fmt.Sprintf(`{"authorized_users":[%q]}`, name), nil)
		code, answer := m.ask("pubsub", nil, "POST", "/projects/P/topics/t:publish", given, `{"messages":[{"data":"QQ=="}]}`)
		require.Equal(t, 200, code, answer)
		code, answer = m.ask("authn", nil, "GET", "/service-types/ams/hosts/localhost/bindings?key="+token+"&authID=%2FDC%3Dorg%2FDC%3Dexample%2FOU%3Dhosts%2FOU%3Dce%2FCN%3Dce.example.org", "", "")
		require.Equal(t, 200, code)
		require.Contains(t, answer, name)
		m.must("authn", "DELETE", "/bindings/"+name, "", nil)
	}
	var audit string
	require.Eventually(t, func() bool { // it is written behind the answers
		text, err := os.ReadFile(filepath.Join(m.Home(), "audit.log"))
		require.NoError(t, err)
		audit = string(text)
		return strings.Contains(audit, `"operation":"DELETE /v1/bindings/user3"`)
	}, soon, 10*time.Millisecond)
	require.Contains(t, audit, `"user":"pubsub/user0","dn":"CN=ce.example.org, OU=ce, OU=hosts, DC=example, DC=org"`)
	require.NotContains(t, audit, token)
}

// Which certificates count, and what is said of those that do not.
func TestTheMatrixOfCertificates(t *testing.T) {
	t.Parallel()
	m := mapping(t, "")
	_, _ = m.person("ce", m.service(), subject)
	good := m.pair(subject)
	between, err := m.ca.NewIntermediate(pkitest.Slash("/DC=org/DC=example/CN=Issuing CA"))
	require.NoError(t, err)
	below, err := between.Issue(pkitest.Slash(subject))
	require.NoError(t, err)
	strangers, err := pkitest.NewRoot(pkitest.Slash("/DC=org/DC=example/CN=Test CA")) // the same name, and another key
	require.NoError(t, err)
	forged, err := strangers.Issue(pkitest.Slash(subject))
	require.NoError(t, err)
	revoked := m.pair(subject)
	m.revoke(revoked)
	day := 24 * time.Hour
	type want struct {
		pair *pkitest.Pair
		code int
		said string
	}
	all := map[string]want{
		"good": {good, 200, ""}, "below another authority": {below, 200, ""},
		"none": {nil, 400, "No certificate provided"}, "revoked": {revoked, 403, "Your certificate has been revoked"}, "forged": {forged, 403, "is signed by nobody this server trusts"},
		"expired":      {m.pair(subject, pkitest.Valid(time.Now().Add(-2*day), time.Now().Add(-day))), 403, "Your certificate has expired"},
		"not yet":      {m.pair(subject, pkitest.Valid(time.Now().Add(day), time.Now().Add(2*day))), 403, "Your certificate is not active yet"},
		"servers only": {m.pair(subject, pkitest.Usages(x509.ExtKeyUsageServerAuth)), 403, "is not for clients"},
		"somebody":     {m.pair("/DC=org/DC=example/CN=somebody"), 404, "Binding was not found"},
	}
	for name, kind := range map[string]pkitest.ProxyKind{"RFC 3820 proxy": pkitest.RFC3820, "draft proxy": pkitest.Draft, "legacy proxy": pkitest.Legacy, "limited proxy": pkitest.Limited} {
		proxy, err := pkitest.NewProxy(good, kind)
		require.NoError(t, err)
		all[name] = want{proxy, 403, "proxy"}
	}
	require.Eventually(t, func() bool { code, _, _ := m.exchange(revoked); return code == 403 }, 3*soon, 100*time.Millisecond, "the list is looked at now and then")
	for name, w := range all {
		code, given, said := m.exchange(w.pair)
		require.Equal(t, w.code, code, "%s: %s", name, said)
		require.Contains(t, said, w.said, name)
		require.Equal(t, w.code == 200, given != "", name)
	}
	m.revoke(revoked, good)
	require.Eventually(t, func() bool { code, _, _ := m.exchange(good); return code == 403 }, 3*soon, 100*time.Millisecond, "a list that comes later counts")
}

// Without the key for tokens whoever shows a certificate gets one that is always the same, also after a start, and that lives beside the user's own until that is refreshed.
func TestWithoutAKeyATokenIsLent(t *testing.T) {
	m := mapping(t, "")
	_, own := m.person("ce", m.service(), subject)
	_, given, said := m.exchange(m.pair(subject))
	require.Len(t, given, 64, said)
	require.NotEqual(t, own, given)
	m.Stop()
	m.Launch()
	m.AwaitReady()
	_, again, _ := m.exchange(m.pair(subject))
	require.Equal(t, given, again)
	known := func(key string) bool {
		code, answer := m.ask("pubsub", nil, "GET", "/users/profile", key, "")
		require.Equal(t, code == 200, strings.Contains(answer, `"name": "ce"`))
		return code == 200
	}
	require.Equal(t, []bool{true, true}, []bool{known(own), known(given)})
	m.must("pubsub", "POST", "/users/ce:refreshToken", "", nil)
	require.Equal(t, []bool{false, false}, []bool{known(own), known(given)})
	_, another, _ := m.exchange(m.pair(subject))
	require.True(t, known(another))
}

// A configuration in which the mapping service could not do what it is for is refused.
func TestAMappingServiceThatCannotBe(t *testing.T) {
	const files = "certificate: host.crt, key: host.key"
	for listener, want := range map[string]string{
		`{protocol: authn, address: "127.0.0.1:0"}`:                                                                                  "needs tls with client_ca",
		`{protocol: authn, address: "127.0.0.1:0", tls: {` + files + `}}`:                                                            "needs tls with client_ca",
		`{protocol: authn, address: "127.0.0.1:0", tls: {` + files + `, client_ca: [ca.crt], client_auth: none}}`:                    "are of no use",
		`{protocol: authn, address: "127.0.0.1:0", tls: {` + files + `, client_ca: [ca.crt]}}`:                                       "there is none",
		`{protocol: authn, address: "127.0.0.1:0", tls: {` + files + `, client_ca: [ca.crt]}, path: /x}`:                             "only a websocket listener has it",
		`{protocol: authn, address: "127.0.0.1:0", tls: {` + files + `, client_ca: [ca.crt]}}` + "\n- " + pubsubListener + inCluster: "pubsub.service_token: is needed for an authn listener of a cluster",
	} {
		n := nodes.Configured(t)
		n.Configure("listeners:\n- " + listener + "\n")
		out, err := n.Command("check-config", "sluice.yaml").CombinedOutput()
		require.Error(t, err, listener)
		require.Contains(t, string(out), want, listener)
	}
}

const (
	pubsubListener = `{protocol: pubsub, address: "127.0.0.1:0"}`
	// inCluster has a node be one of a cluster.
	inCluster = "\ncluster: {name: c, address: \"127.0.0.1:6222\", routes: [\"127.0.0.1:6223\"], replicas: 3}"
)
