package authn_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/protocols/pubsub/authn"
)

// model is what administrators have made, in two maps.
type model struct {
	t        *rapid.T
	w        *world
	services map[string]string   // IDs by names
	hosts    map[string][]string // by service IDs
	bindings map[string]authn.Binding
}

// ask makes a request without a connection.
func (m *model) ask(method, path string, body any, into any) int {
	text, err := json.Marshal(body)
	require.NoError(m.t, err)
	r, err := http.NewRequest(method, "http://x/v1"+path, strings.NewReader(string(text)))
	require.NoError(m.t, err)
	r.Header.Set("X-Api-Key", serviceToken)
	a := &recorder{header: make(http.Header)}
	m.w.server.Handler().ServeHTTP(a, r)
	if into != nil && a.code < 300 {
		require.NoError(m.t, json.Unmarshal(a.body.Bytes(), into), a.body.String())
	}
	return a.code
}

func (m *model) name() string { return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(m.t, "name") }
func (m *model) host() string { return rapid.SampledFrom([]string{"h1", "h2"}).Draw(m.t, "host") }
func (m *model) subject() string {
	return "CN=" + rapid.SampledFrom([]string{"x", "X", "y"}).Draw(m.t, "subject") + ",O=o"
}

// expected is the code for a binding that becomes another one: its name before, empty for a new one.
func (m *model) expected(before string, b authn.Binding) int {
	hosts, known := m.hosts[b.Service]
	switch {
	case b.Service == "":
		return 422
	case !known, !slices.Contains(hosts, b.Host):
		return 404
	}
	for name, other := range m.bindings {
		same := other.Service == b.Service && other.Host == b.Host && strings.EqualFold(other.Identifier, b.Identifier)
		if name != before && (same || name == b.Name) {
			return 409
		}
	}
	return 200
}

func (m *model) makeService(*rapid.T) {
	name, hosts := m.name(), rapid.SampledFrom([][]string{{"h1"}, {"h1", "h2"}}).Draw(m.t, "hosts")
	var made authn.ServiceType
	code := m.ask("POST", "/service-types", map[string]any{"name": name, "hosts": hosts, "auth_types": []string{"x509"}, "auth_method": "api-key", "type": "ams"}, &made)
	if m.services[name] != "" {
		require.Equal(m.t, 409, code)
		return
	}
	require.Equal(m.t, 201, code)
	m.services[name], m.hosts[made.UUID] = made.UUID, hosts
}

func (m *model) dropService(*rapid.T) {
	name := m.name()
	code := m.ask("DELETE", "/service-types/"+name, nil, nil)
	service := m.services[name]
	if service == "" {
		require.Equal(m.t, 404, code)
		return
	}
	require.Equal(m.t, 204, code)
	delete(m.services, name)
	delete(m.hosts, service)
	maps.DeleteFunc(m.bindings, func(_ string, b authn.Binding) bool { return b.Service == service })
}

func (m *model) bind(*rapid.T) {
	b := authn.Binding{Name: m.name(), Service: m.services[m.name()], Host: m.host(), Identifier: m.subject(), UniqueKey: "u", AuthType: "x509"}
	var made authn.Binding
	code := m.ask("POST", "/bindings/"+b.Name, b, &made)
	want := m.expected("", b)
	if want == 200 {
		want = 201
		m.bindings[b.Name] = made
	}
	require.Equal(m.t, want, code, "%v", b)
}

func (m *model) rebind(*rapid.T) {
	before := m.name()
	b, known := m.bindings[before]
	asked := map[string]string{}
	if rapid.Bool().Draw(m.t, "another name") {
		b.Name = m.name()
		asked["name"] = b.Name
	}
	if rapid.Bool().Draw(m.t, "another subject") {
		b.Identifier = m.subject()
		asked["auth_identifier"] = b.Identifier
	}
	if rapid.Bool().Draw(m.t, "another host") {
		b.Host = m.host()
		asked["host"] = b.Host
	}
	var now authn.Binding
	code := m.ask("PUT", "/bindings/"+before, asked, &now)
	if !known {
		require.Equal(m.t, 404, code)
		return
	}
	require.Equal(m.t, m.expected(before, b), code, "%s to %v", before, b)
	if code == 200 {
		delete(m.bindings, before)
		m.bindings[b.Name] = now
	}
}

func (m *model) unbind(*rapid.T) {
	name := m.name()
	_, known := m.bindings[name]
	require.Equal(m.t, map[bool]int{true: 204, false: 404}[known], m.ask("DELETE", "/bindings/"+name, nil, nil))
	delete(m.bindings, name)
}

// check compares what is there with what should be.
func (m *model) check(*rapid.T) {
	var all authn.Bindings
	require.Equal(m.t, 200, m.ask("GET", "/bindings", nil, &all))
	require.ElementsMatch(m.t, slices.Collect(maps.Values(m.bindings)), all.Bindings)
	for name, service := range m.services {
		for _, host := range m.hosts[service] {
			for _, subject := range []string{"CN=x,O=o", "CN=y,O=o"} {
				var found authn.Bindings
				code := m.ask("GET", fmt.Sprintf("/service-types/%s/hosts/%s/bindings?authID=%s", name, host, strings.ReplaceAll(subject, "=", "%3D")), nil, &found)
				n := 0
				for _, b := range m.bindings {
					if b.Service == service && b.Host == host && strings.EqualFold(b.Identifier, subject) {
						n++
						require.Equal(m.t, []authn.Binding{b}, found.Bindings)
					}
				}
				require.LessOrEqual(m.t, n, 1)
				require.Equal(m.t, map[int]int{0: 404, 1: 200}[n], code)
			}
		}
	}
}

// Whatever administrators do, in whichever order, the mapping is what they made, and no two bindings are for one certificate.
func TestTheMappingIsWhatWasMade(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m := &model{t: r, w: newWorld(t, nil), services: map[string]string{}, hosts: map[string][]string{}, bindings: map[string]authn.Binding{}}
		r.Repeat(map[string]func(*rapid.T){
			"": m.check, "make a service": m.makeService, "drop a service": m.dropService, "bind": m.bind, "bind again": m.rebind, "unbind": m.unbind,
		})
	})
}
