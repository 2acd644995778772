package authn_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/authn"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// id takes the ID out of an answer.
func id(t testing.TB, body string) string {
	t.Helper()
	var said struct{ UUID string }
	require.NoError(t, json.Unmarshal([]byte(body), &said))
	require.NotEmpty(t, said.UUID)
	return said.UUID
}

// stocked has a service ams with two hosts, and returns its ID.
func stocked(w *world) (service string) {
	w.t.Helper()
	return id(w.t, w.must(201, "POST", "/service-types", `{"name":"ams","hosts":["h1","h2"],"auth_types":["x509"],"auth_method":"api-key","type":"ams"}`))
}

func refusal(message string, code int, status string) string {
	return fmt.Sprintf("{\n \"error\": {\n  \"message\": %s,\n  \"code\": %d,\n  \"status\": %q\n }\n}", quote(message), code, status)
}

func quote(s string) string {
	b, _ := json.Marshal(s) // which a text never fails to be
	return string(b)
}

// What is administered is answered as the service does, to the letter.
func TestAdministration(t *testing.T) {
	w := newWorld(t, nil)
	const asked = `{"name":"ams","hosts":["h1","h2"],"auth_types":["x509"],"auth_method":"api-key","type":"ams","uuid":"forged","created_on":"forged"}`
	made := w.admin("POST", "/service-types", asked)
	service := id(t, made.body)
	shown := fmt.Sprintf("{\n \"name\": \"ams\",\n \"hosts\": [\n  \"h1\",\n  \"h2\"\n ],\n \"auth_types\": [\n  \"x509\"\n ],\n \"auth_method\": \"api-key\",\n \"uuid\": %q,\n \"created_on\": \"2026-11-20T20:33:01Z\",\n \"type\": \"ams\"\n}", service)
	require.Equal(t, answer{201, shown, "application/json; charset=utf-8", false}, made)
	require.NotEqual(t, "forged", service)
	require.Equal(t, shown, w.must(200, "GET", "/service-types/ams", ""))
	require.JSONEq(t, `{"service_types":[`+shown+`]}`, w.must(200, "GET", "/service-types", ""))

	method := w.must(201, "POST", "/service-types/ams/authm", `{"host":"h1","port":443,"access_key":"secret","type":"forged"}`)
	require.Equal(t, fmt.Sprintf("{\n \"service_uuid\": %q,\n \"port\": 443,\n \"host\": \"h1\",\n \"type\": \"api-key\",\n \"uuid\": %q,\n \"created_on\": \"2026-11-20T20:33:01Z\",\n \"access_key\": \"secret\"\n}", service, id(t, method)), method)
	stored := strings.Replace(method, "secret", "", 1)
	require.Equal(t, stored, w.must(200, "GET", "/service-types/ams/hosts/h1/authm", ""), "what opens another service is not kept")
	require.JSONEq(t, `{"auth_methods":[`+stored+`]}`, w.must(200, "GET", "/authm", ""))
	changed := w.must(200, "PUT", "/service-types/ams/hosts/h1/authm", `{"port":8443,"access_key":"other"}`)
	require.JSONEq(t, strings.NewReplacer("secret", "other", "443,", "8443,", "20:33:01Z\",", "20:33:01Z\",\"updated_on\":\"2026-11-20T20:33:01Z\",").Replace(method), changed)
	require.NotContains(t, facts(w), "secret")
	require.NotContains(t, facts(w), "other")
	require.Empty(t, w.must(204, "DELETE", "/service-types/ams/hosts/h1/authm", ""))

	bind := fmt.Sprintf(`{"name":"forged","service_uuid":%q,"host":"h1","auth_identifier":"CN=a,O=o","unique_key":"u1","auth_type":"x509"}`, service)
	bound := w.must(201, "POST", "/bindings/b1", bind)
	require.Equal(t, fmt.Sprintf("{\n \"name\": \"b1\",\n \"service_uuid\": %q,\n \"host\": \"h1\",\n \"uuid\": %q,\n \"auth_identifier\": \"CN=a,O=o\",\n \"unique_key\": \"u1\",\n \"auth_type\": \"x509\",\n \"created_on\": \"2026-11-20T20:33:01Z\"\n}", service, id(t, bound)), bound)
	require.Equal(t, bound, w.must(200, "GET", "/bindings/b1", ""))
	for _, path := range []string{"/bindings", "/service-types/ams/hosts/h1/bindings", "/service-types/ams/hosts/h1/bindings?authID=cn%3DA%2Co%3Do"} {
		require.JSONEq(t, `{"bindings":[`+bound+`]}`, w.must(200, "GET", path, ""), path)
	}
	require.JSONEq(t, `{"bindings":[]}`, w.must(200, "GET", "/service-types/ams/hosts/h2/bindings", ""))
	renamed := w.must(200, "PUT", "/bindings/b1", `{"name":"b.2","uuid":"forged","created_on":"forged","auth_identifier":"CN=a,O=O"}`)
	require.Equal(t, id(t, bound), id(t, renamed))
	require.Contains(t, renamed, `"updated_on": "2026-11-20T20:33:01Z"`)
	require.Equal(t, renamed, w.must(200, "GET", "/bindings/b.2", ""))
	require.Empty(t, w.must(204, "DELETE", "/bindings/b.2", ""))

	w.must(201, "POST", "/bindings/b1", bind)
	w.must(201, "POST", "/service-types/ams/authm", `{"host":"h2","port":443,"access_key":"secret"}`)
	w.must(200, "PUT", "/service-types/ams", `{"name":"ams 2","hosts":["h1"],"type":"web-api"}`)
	require.Contains(t, w.must(200, "GET", "/service-types/ams%202", ""), `"type": "ams"`)
	w.must(204, "DELETE", "/service-types/ams%202", "")
	require.JSONEq(t, `{"bindings":[]}`, w.must(200, "GET", "/bindings", ""), "its bindings go with it")
	require.JSONEq(t, `{"auth_methods":[]}`, w.must(200, "GET", "/authm", ""))
	require.JSONEq(t, `{"service_types":[]}`, w.must(200, "GET", "/service-types", ""))
	require.Equal(t, gateway.Administered, w.heard.last().Kind)
	require.Equal(t, "DELETE /v1/service-types/ams 2", w.heard.last().Operation)
	require.Contains(t, w.server.Calls(), authn.CallCount{Call: "DELETE /v1/service-types/{service-type}", Codes: "2xx", Count: 1})
}

// facts are all that is stored.
func facts(w *world) string {
	var all bytes.Buffer
	require.NoError(w.t, w.disk.Registry().Watch(w.t.Context(), func(key string, value []byte, _ uint64) { fmt.Fprintf(&all, "%s %s\n", key, value) }))
	return all.String()
}

// Headers of an authentication method are kept by name.
func TestHeadersAreNotKept(t *testing.T) {
	w := newWorld(t, nil)
	w.must(201, "POST", "/service-types", `{"name":"s","hosts":["h"],"auth_types":["x509"],"auth_method":"headers","type":"ams"}`)
	require.Contains(t, w.must(201, "POST", "/service-types/s/authm", `{"host":"h","port":1,"headers":{"x-api-key":"secret"}}`), "secret")
	require.NotContains(t, facts(w), "secret")
	require.Contains(t, w.must(200, "GET", "/service-types/s/hosts/h/authm", ""), `"x-api-key": ""`)
	require.Equal(t, refusal("auth method object contains empty fields. empty value for field: headers", 422, "UNPROCESSABLE ENTITY"),
		w.admin("POST", "/service-types/s/authm", `{"host":"h","port":1,"headers":{}}`).body)
}

// What makes no sense is refused in the service's words.
func TestRefusals(t *testing.T) {
	w := newWorld(t, nil)
	service := stocked(w)
	w.must(201, "POST", "/bindings/b1", fmt.Sprintf(`{"service_uuid":%q,"host":"h1","auth_identifier":"CN=a,O=o","unique_key":"u","auth_type":"x509"}`, service))
	w.must(201, "POST", "/bindings/b2", fmt.Sprintf(`{"service_uuid":%q,"host":"h1","auth_identifier":"CN=b,O=p","unique_key":"u","auth_type":"x509"}`, service))
	w.must(201, "POST", "/service-types", `{"name":"other","hosts":["h"],"auth_types":["x509"],"auth_method":"headers","type":"ams"}`)
	w.must(201, "POST", "/service-types/ams/authm", `{"host":"h1","port":1,"access_key":"x"}`)
	bind := func(host, identifier, kind string) string {
		return fmt.Sprintf(`{"service_uuid":%q,"host":%q,"auth_identifier":%q,"unique_key":"u","auth_type":%q}`, service, host, identifier, kind)
	}
	const unprocessable = "UNPROCESSABLE ENTITY"
	for _, c := range []struct {
		method, path, body string
		message            string
		code               int
		status             string
	}{
		{"POST", "/service-types", ``, "Poorly formatted JSON. EOF", 400, "BAD REQUEST"},
		{"POST", "/service-types", `{"name":`, "Poorly formatted JSON. unexpected EOF", 400, "BAD REQUEST"},
		{"POST", "/service-types", `{"name":5}`, "Poorly formatted JSON. json: cannot unmarshal number into Go struct field ServiceType.name of type string", 400, "BAD REQUEST"},
		{"POST", "/service-types", `{}`, "service-type object contains empty fields. empty value for field: name", 422, unprocessable},
		{"POST", "/service-types", `{"name":"x","hosts":[]}`, "service-type object contains empty fields. empty value for field: hosts", 422, unprocessable},
		{"POST", "/service-types", `{"name":"x","hosts":["h"]}`, "service-type object contains empty fields. empty value for field: auth_types", 422, unprocessable},
		{"POST", "/service-types", `{"name":"x","hosts":["h"],"auth_types":[]}`, "service-type object contains empty fields. empty value for field: auth_method", 422, unprocessable},
		{"POST", "/service-types", `{"name":"x","hosts":["h"],"auth_types":[],"auth_method":"api-key"}`, "service-type object contains empty fields. empty value for field: type", 422, unprocessable},
		{"POST", "/service-types", `{"name":"x","hosts":["h"],"auth_types":[],"auth_method":"api-key","type":"ams"}`, "auth_types: empty is not yet supported.Supported:[x509]", 422, unprocessable},
		{"POST", "/service-types", `{"name":"x","hosts":["h"],"auth_types":["oidc"],"auth_method":"api-key","type":"ams"}`, "auth_types: oidc is not yet supported.Supported:[x509]", 422, unprocessable},
		{"POST", "/service-types", `{"name":"x","hosts":["h"],"auth_types":["x509"],"auth_method":"y","type":"ams"}`, "auth_method: y is not yet supported.Supported:[api-key headers]", 422, unprocessable},
		{"POST", "/service-types", `{"name":"x","hosts":["h"],"auth_types":["x509"],"auth_method":"headers","type":"web-api"}`, "type: web-api is not yet supported.Supported:[ams]", 422, unprocessable},
		{"POST", "/service-types", `{"name":"ams","hosts":["h"],"auth_types":["x509"],"auth_method":"headers","type":"ams"}`, "service-type object with name: ams already exists", 409, "CONFLICT"},
		{"PUT", "/service-types/ams", `{"name":"other"}`, "service-type object with name: other already exists", 409, "CONFLICT"},
		{"PUT", "/service-types/ams", `{"hosts":[]}`, "service-type object contains empty fields. empty value for field: hosts", 422, unprocessable},
		{"PUT", "/service-types/nope", `{}`, "Service-type was not found", 404, "NOT FOUND"},
		{"GET", "/service-types/nope", ``, "Service-type was not found", 404, "NOT FOUND"},
		{"DELETE", "/service-types/nope", ``, "Service-type was not found", 404, "NOT FOUND"},
		{"POST", "/service-types/nope/authm", `{}`, "Service-type was not found", 404, "NOT FOUND"},
		{"POST", "/service-types/ams/authm", `[]`, "Poorly formatted JSON. json: cannot unmarshal array into Go value of type authn.AuthMethod", 400, "BAD REQUEST"},
		{"POST", "/service-types/ams/authm", `{}`, "auth method object contains empty fields. empty value for field: port", 422, unprocessable},
		{"POST", "/service-types/ams/authm", `{"port":1}`, "auth method object contains empty fields. empty value for field: host", 422, unprocessable},
		{"POST", "/service-types/ams/authm", `{"port":1,"host":"x"}`, "Host was not found", 404, "NOT FOUND"},
		{"POST", "/service-types/ams/authm", `{"port":1,"host":"h1"}`, "auth method object contains empty fields. empty value for field: access_key", 422, unprocessable},
		{"POST", "/service-types/ams/authm", `{"port":1,"host":"h1","access_key":"x"}`, "Auth method object with host: h1 already exists", 409, "CONFLICT"},
		{"GET", "/service-types/ams/hosts/x/authm", ``, "Host was not found", 404, "NOT FOUND"},
		{"GET", "/service-types/ams/hosts/h2/authm", ``, "Auth method was not found", 404, "NOT FOUND"},
		{"DELETE", "/service-types/ams/hosts/h2/authm", ``, "Auth method was not found", 404, "NOT FOUND"},
		{"POST", "/bindings/x", `x`, "Poorly formatted JSON. invalid character 'x' looking for beginning of value", 400, "BAD REQUEST"},
		{"POST", "/bindings/x", `{}`, "binding object contains empty fields. empty value for field: service_uuid", 422, unprocessable},
		{"POST", "/bindings/x", `{"service_uuid":"x","host":"h","auth_identifier":"a","auth_type":"x509"}`, "binding object contains empty fields. empty value for field: unique_key", 422, unprocessable},
		{"POST", "/bindings/x", `{"service_uuid":"x","host":"h","auth_identifier":"a","unique_key":"u","auth_type":"x509"}`, "Service-type was not found", 404, "NOT FOUND"},
		{"POST", "/bindings/x", bind("h9", "CN=c", "x509"), "Host was not found", 404, "NOT FOUND"},
		{"POST", "/bindings/x", bind("h1", "CN=c", "oidc"), "Auth type: oidc is not yet supported.Supported:[x509]", 422, unprocessable},
		{"POST", "/bindings/x", bind("h1", "cn=A,o=O", "x509"), "binding object with auth_identifier: cn=A,o=O already exists", 409, "CONFLICT"},
		{"POST", "/bindings/b1", bind("h1", "CN=c", "x509"), "binding object with name: b1 already exists", 409, "CONFLICT"},
		{"PUT", "/bindings/b2", `{"name":"b1"}`, "binding object with name: b1 already exists", 409, "CONFLICT"},
		{"PUT", "/bindings/b2", `{"auth_identifier":"CN=A,O=o"}`, "binding object with auth_identifier: CN=A,O=o already exists", 409, "CONFLICT"},
		{"PUT", "/bindings/b2", `{"unique_key":""}`, "binding object contains empty fields. empty value for field: unique_key", 422, unprocessable},
		{"PUT", "/bindings/nope", `{}`, "Binding was not found", 404, "NOT FOUND"},
		{"GET", "/bindings/nope", ``, "Binding was not found", 404, "NOT FOUND"},
		{"DELETE", "/bindings/nope", ``, "Binding was not found", 404, "NOT FOUND"},
		{"GET", "/service-types/nope/hosts/h1/bindings", ``, "Service-type was not found", 404, "NOT FOUND"},
		{"GET", "/service-types/ams/hosts/h9/bindings", ``, "Host was not found", 404, "NOT FOUND"},
		{"GET", "/service-types/ams/hosts/h1/bindings?authID=CN%3Dz", ``, "Binding was not found", 404, "NOT FOUND"},
		{"POST", "/bindings/x", `{"host":"` + strings.Repeat("x", 50_000) + `"}`, "The request is too large", 413, "REQUEST ENTITY TOO LARGE"},
	} {
		a := w.admin(c.method, c.path, c.body)
		require.Equal(t, answer{c.code, refusal(c.message, c.code, c.status), "application/json; charset=utf-8", a.close}, a, "%s %s %.80s", c.method, c.path, c.body)
	}
	require.Len(t, w.directory.Mapping().Bindings, 2)
	require.Equal(t, 201, w.admin("POST", "/bindings/x", bind("h2", "CN=a,O=o", "x509")).code, "another host")
	require.Equal(t, answer{404, "404 page not found\n", "text/plain; charset=utf-8", false}, w.admin("GET", "/nope", ""))
	require.Equal(t, answer{405, "", "", false}, w.admin("DELETE", "/bindings", ""))
	require.Equal(t, answer{200, "null", "application/json; charset=utf-8", false}, w.ask(nil, "GET", "/health", ""))
}

// Only administrators administer, and only they hear the release.
func TestWhoAdministers(t *testing.T) {
	w := newWorld(t, nil)
	token := func(digit string) string { return strings.Repeat(digit, 64) }
	w.user("u1", "boss", token("1"), "service_admin")
	w.user("u2", "mapper", token("2"), "argo_api_authn")
	wrong := refusal("Wrong Credentials", 401, "UNAUTHORIZED")
	for key, code := range map[string]int{serviceToken: 200, token("1"): 200, token("2"): 401, "": 401, "x": 401} {
		a := w.ask(nil, "GET", "/bindings?key="+key, "")
		require.Equal(t, code, a.code, key)
		if code == 401 {
			require.Equal(t, wrong, a.body)
		}
		require.Equal(t, code == 200, strings.Contains(w.ask(nil, "GET", "/version?key="+key, "").body, `"release": "v1"`), key)
	}
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		require.Equal(t, 401, w.ask(nil, method, "/bindings/x", `{}`).code)
	}
	cert := certificate(t, "boss", now(), now().AddDate(50, 0, 0))
	require.Equal(t, 401, w.ask(&cert, "GET", "/bindings", "").code, "a certificate administers nothing")
}

// exchange has certificates of these names bound to users of those, and returns what asks for a token.
func exchange(w *world, service string, bound map[string]string) func(name string) answer {
	for name, user := range bound {
		w.must(201, "POST", "/bindings/"+name, fmt.Sprintf(`{"service_uuid":%q,"host":"h1","auth_identifier":"CN=%s,O=o","unique_key":%q,"auth_type":"x509"}`, service, name, user))
	}
	return func(name string) answer {
		from, to := now().Add(-time.Hour), now().AddDate(50, 0, 0)
		switch name {
		case "expired":
			from, to = now().AddDate(-2, 0, 0), now().AddDate(-1, 0, 0)
		case "early":
			from = now().AddDate(40, 0, 0)
		}
		cert := certificate(w.t, name, from, to)
		return w.ask(&cert, "GET", "/service-types/ams/hosts/h1:authx509", "")
	}
}

// A certificate is exchanged for the token of the user to whom it is bound; what else it may be is said as the service says it.
func TestExchange(t *testing.T) {
	w := newWorld(t, nil)
	own := strings.Repeat("a", 64)
	w.user("u1", "ann", own)
	service := stocked(w)
	show := exchange(w, service, map[string]string{"ann": "u1", "nobody": "u9", "revoked": "u1", "expired": "u1", "early": "u1", "proxy": "u1", "away": "u1"})
	a := show("ann")
	require.Equal(t, answer{200, "{\n \"token\": \"" + own + "\"\n}", "application/json; charset=utf-8", true}, a, "and the connection ends")
	e := w.heard.last()
	require.Equal(t, []any{gateway.Connected, "pubsub/ann", "CN=ann,O=o", "certificate", "binding ann", "authn/1"},
		[]any{e.Kind, e.Principal.Name, e.Principal.DN, e.Principal.Method, e.Subject, e.Protocol})
	const gone = "{\n   \"error\": {\n      \"code\": 404,\n      \"message\": \"User doesn't exist\",\n      \"status\": \"NOT_FOUND\"\n   }\n}"
	for name, want := range map[string]string{
		"revoked":  refusal("Your certificate has been revoked", 403, "ACCESS_FORBIDDEN"),
		"expired":  refusal("Your certificate has expired", 403, "ACCESS_FORBIDDEN"),
		"early":    refusal("Your certificate is not active yet", 403, "ACCESS_FORBIDDEN"),
		"proxy":    refusal("it is a proxy certificate", 403, "ACCESS_FORBIDDEN"),
		"away":     refusal("Internal Error: the store cannot be asked now", 503, "UNAVAILABLE"),
		"stranger": refusal("Binding was not found", 404, "NOT FOUND"),
		"nobody":   refusal("Internal Error: "+gone, 500, "INTERNAL SERVER ERROR"),
	} {
		a := show(name)
		require.Equal(t, want, a.body, name)
		require.True(t, a.close, name)
	}
	require.Equal(t, gateway.LoginRefused, func() gateway.EventKind { show("stranger"); return w.heard.last().Kind }())
	cert := certificate(t, "ann", now(), now().AddDate(50, 0, 0))
	for path, want := range map[string]string{
		"/service-types/nope/hosts/h1:authx509": refusal("Service-type was not found", 404, "NOT FOUND"),
		"/service-types/ams/hosts/h9:authx509":  refusal("Host was not found", 404, "NOT FOUND"),
		"/service-types/ams/hosts/h2:authx509":  refusal("Binding was not found", 404, "NOT FOUND"),
	} {
		require.Equal(t, want, w.ask(&cert, "GET", path, "").body, path)
	}
	require.Equal(t, refusal("No certificate provided", 400, "BAD REQUEST"), w.ask(nil, "GET", "/service-types/ams/hosts/h1:authx509", "").body)
}

// Two bindings for one certificate, made by two nodes at the same moment, count for nobody until one is taken away.
func TestTwoBindingsAreNone(t *testing.T) {
	w := newWorld(t, nil)
	w.user("u1", "ann", strings.Repeat("a", 64))
	service := stocked(w)
	show := exchange(w, service, map[string]string{"ann": "u1"})
	require.NoError(t, w.directory.AdoptMapping(t.Context(), resource.Edit{Binding: &resource.Binding{
		Origin: w.directory.NewOrigin(""), Name: "other", Service: service, Host: "h1", Identifier: "cn=ANN,o=O", AuthType: "x509", User: "u1",
	}}))
	a := show("ann")
	require.Equal(t, 500, a.code)
	require.Contains(t, a.body, "More than 1 bindings found under the service type: "+service+" and host: h1 using the same AuthIdentifier: CN=ann,O=o")
	w.must(204, "DELETE", "/bindings/other", "")
	require.Equal(t, 200, show("ann").code)
}

// Without the key for tokens a certificate gets one that counts as the user's own, is always the same, and is stored nowhere; it goes with his own. What he has
// already goes on to count.
func TestATokenIsLent(t *testing.T) {
	for _, key := range []bool{true, false} {
		w := newWorld(t, func(_ *authn.Config, d *resource.Config) {
			if !key {
				d.Vault = nil
			}
		})
		own := strings.Repeat("a", 64)
		w.user("u1", "ann", own)
		show := exchange(w, stocked(w), map[string]string{"ann": "u1"})
		token := func() string {
			a := show("ann")
			require.Equal(t, 200, a.code, a.body)
			var said authn.Token
			require.NoError(t, json.Unmarshal([]byte(a.body), &said))
			return said.Token
		}
		whose := func(token string) string {
			if u := w.directory.UserByToken(t.Context(), token); u != nil {
				return u.Name
			}
			return ""
		}
		given := token()
		require.Equal(t, key, given == own)
		require.Len(t, given, 64)
		require.Equal(t, given, token())
		require.Equal(t, []string{"ann", "ann"}, []string{whose(own), whose(given)})
		p, found, err := w.directory.VerifyToken(t.Context(), given)
		require.NoError(t, err)
		require.True(t, found, "at every door")
		require.NotContains(t, facts(w), given)
		again, err := resource.Open(t.Context(), resource.Config{Facts: w.disk.Registry(), Loan: serviceToken})
		require.NoError(t, err)
		require.NotNil(t, again.UserByToken(t.Context(), given), "on every node")
		other, err := resource.Open(t.Context(), resource.Config{Facts: w.disk.Registry(), Loan: "another-service-token"})
		require.NoError(t, err)
		require.Equal(t, key, other.UserByToken(t.Context(), given) != nil)
		_, refreshed, err := w.directory.RefreshToken(t.Context(), "ann")
		require.NoError(t, err)
		require.Equal(t, []string{"", "", "ann"}, []string{whose(own), whose(given), whose(refreshed)})
		_, _, err = w.directory.Renew(p)
		require.Equal(t, gateway.Unauthenticated, gateway.KindOf(err))
		require.NotEqual(t, given, token())
		require.NoError(t, w.directory.DeleteUser(t.Context(), "ann"))
		require.Empty(t, whose(refreshed))
	}
	w := newWorld(t, func(_ *authn.Config, d *resource.Config) { d.Vault, d.Loan = nil, "" })
	w.user("u1", "ann", strings.Repeat("a", 64))
	a := exchange(w, stocked(w), map[string]string{"ann": "u1"})("ann")
	require.Equal(t, 500, a.code)
	require.Contains(t, a.body, "The token of the user cannot be told")
}

// Names may be almost anything; requests that are not understood harm nobody.
func TestHostileNames(t *testing.T) {
	w := newWorld(t, nil)
	service := stocked(w)
	for _, name := range []string{"a b", "a.b---c", "x:y", "ü", "a%00b", "..%2e", strings.Repeat("n", 900)} {
		body := fmt.Sprintf(`{"service_uuid":%q,"host":"h1","auth_identifier":%s,"unique_key":"u","auth_type":"x509"}`, service, quote("CN="+name))
		path := "/bindings/" + strings.NewReplacer(" ", "%20", "ü", "%C3%BC").Replace(name)
		w.must(201, "POST", path, body)
		w.must(200, "GET", path, "")
		w.must(204, "DELETE", path, "")
	}
	require.Equal(t, 404, w.admin("GET", "/bindings/a%2Fb", "").code)
	for _, body := range []string{`null`, `{"host":null}`, strings.Repeat(`[`, 40_000), "\xff\xfe", `{"headers":{}}`} {
		for _, path := range []string{"/bindings/x", "/service-types", "/service-types/ams/authm"} {
			code := w.admin("POST", path, body).code
			require.True(t, code == 400 || code == 422, "%d %s %.20q", code, path, body)
		}
	}
	require.Equal(t, 413, w.admin("PUT", "/service-types/ams", `{"hosts":[`+strings.Repeat(`"h",`, 20_000)+`"h"]}`).code)
}

// The store that is away is said to be, and a change that was not made is not there.
func TestTheStoreIsAway(t *testing.T) {
	w := newWorld(t, nil)
	w.registry.Break(gateway.Errorf(gateway.Unavailable, "away"))
	a := w.admin("POST", "/service-types", `{"name":"ams","hosts":["h1"],"auth_types":["x509"],"auth_method":"api-key","type":"ams"}`)
	require.Equal(t, refusal("Internal Error: the store cannot be asked now", 503, "UNAVAILABLE"), a.body)
	w.registry.Break(nil)
	stocked(w)
}

// What one node was told another one knows.
func TestAnotherNodeKnows(t *testing.T) {
	w := newWorld(t, func(_ *authn.Config, d *resource.Config) { d.Shared = true })
	goOn := w.registry.Hold()
	defer goOn()
	other, err := resource.Open(t.Context(), resource.Config{Facts: w.disk.Registry(), Shared: true, Now: now})
	require.NoError(t, err)
	require.NoError(t, other.AdoptMapping(t.Context(), resource.Edit{Type: &resource.ServiceType{Origin: other.NewOrigin(""), Name: "ams", Hosts: []string{"h"}, AuthTypes: []string{"x509"}}}))
	w.must(200, "GET", "/service-types/ams", "")
}

// The description names every call and nothing else.
func TestTheDescriptionIsThatOfTheCalls(t *testing.T) {
	text, err := os.ReadFile("../../../docs/authn.openapi.json")
	require.NoError(t, err)
	var d struct {
		Paths map[string]map[string]struct {
			Summary    string
			Security   *[]map[string][]string
			Parameters []struct{ Name, In string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &d))
	described := 0
	for _, calls := range d.Paths {
		described += len(calls)
	}
	calls := authn.Routes()
	require.Equal(t, len(calls), described)
	for _, r := range calls {
		call, ok := d.Paths[r.Path][strings.ToLower(r.Method)]
		require.True(t, ok, r)
		require.NotEmpty(t, call.Summary, r)
		require.Equal(t, r.Open, call.Security != nil && len((*call.Security)[0]) == 0, r)
		named := 0
		for _, p := range call.Parameters {
			if p.In == "path" {
				named++
				require.Contains(t, r.Path, "{"+p.Name+"}")
			}
		}
		require.Equal(t, strings.Count(r.Path, "{"), named, r)
	}
}

// What a client sends reaches no handler that fails for it.
func FuzzRequests(f *testing.F) {
	w := newWorld(f, nil)
	stocked(w)
	f.Add("POST", "/bindings/x", `{"service_uuid":"x"}`)
	f.Add("PUT", "/service-types/ams", `{"hosts":["a"]}`)
	f.Add("GET", "/service-types/ams/hosts/h1:authx509", ``)
	f.Fuzz(func(t *testing.T, method, path, body string) {
		r, err := http.NewRequest(method, "http://x/v1", strings.NewReader(body))
		if err != nil {
			t.Skip()
		}
		r.URL.Path = "/v1" + path
		r.Header.Set("X-Api-Key", serviceToken)
		a := &recorder{header: make(http.Header)}
		w.server.Handler().ServeHTTP(a, r)
		if a.code == http.StatusInternalServerError {
			t.Fatalf("%d %s", a.code, a.body.String())
		}
	})
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(code int)        { r.code = code }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
