package admin_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/admin"
)

// people knows alice, who may drain, and bob, who may read the metrics; robot is alice's token.
type people struct{}

func (people) Authenticate(_ context.Context, l gateway.Login) (gateway.Principal, error) {
	c := l.Credentials
	switch {
	case c.Token == "robot", c.Login == "alice" && c.Passcode == "secret":
		return gateway.Principal{Name: "alice"}, nil
	case c.Login == "bob" && c.Passcode == "secret":
		return gateway.Principal{Name: "bob"}, nil
	case c.Login == "hasty":
		return gateway.Principal{}, gateway.Errorf(gateway.Limit, "too many failed logins")
	}
	return gateway.Principal{}, gateway.Errorf(gateway.Unauthenticated, "User name [%s] or password is invalid.", c.Login)
}

func (people) Renew(p gateway.Principal) (gateway.Principal, error) { return p, nil }

func (people) Rights(p gateway.Principal) gateway.Rights { return duties(p.Name) }

type duties string

func (duties) May(gateway.Action, gateway.Destination) error { return nil }
func (duties) All(gateway.Action, gateway.Destination) bool  { return true }

func (d duties) Operate(operation string) error {
	if d == "alice" && operation != "metrics" || d == "bob" && operation == "metrics" {
		return nil
	}
	return gateway.Errorf(gateway.Denied, "User %s is not authorized to %s", string(d), operation)
}

// ask sends a request as somebody: "name:passcode", "Bearer token" or nobody.
func (d *door) ask(method, path, who string, header ...string) (int, http.Header, string) {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, "http://"+d.Addr().String()+path, strings.NewReader("body"))
	require.NoError(d.t, err)
	if login, passcode, ok := strings.Cut(who, ":"); ok {
		r.SetBasicAuth(login, passcode)
	} else if who != "" {
		r.Header.Set("Authorization", who)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := d.client.Do(r)
	require.NoError(d.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(d.t, err)
	for k, v := range res.Trailer {
		res.Header[k] = v
	}
	return res.StatusCode, res.Header, string(text)
}

func guarded(t *testing.T) (*door, *book) {
	audit := &book{}
	var n node
	return open(t, admin.Config{
		Health: &n, Operations: (&operations{}).table(),
		Guard: admin.Guard{Authenticator: people{}, Authorizer: people{}, Auditor: audit},
	}), audit
}

func TestOperationsAreForThoseWhoMay(t *testing.T) {
	d, audit := guarded(t)
	for _, c := range []struct {
		method, path, who string
		status            int
		text              string
	}{
		{"POST", "/operations/drain", "alice:secret", 200, "draining\n"},
		{"POST", "/operations/drain", "Bearer robot", 200, "draining\n"},
		{"POST", "/operations/drain", "bob:secret", 403, "User bob is not authorized to drain\n"},
		{"POST", "/operations/drain", "alice:wrong", 401, "User name [alice] or password is invalid.\n"},
		{"POST", "/operations/drain", "hasty:x", 429, "too many failed logins\n"},
		{"POST", "/operations/drain", "", 401, "User name [] or password is invalid.\n"},
		{"GET", "/metrics", "bob:secret", 200, ""},
		{"GET", "/metrics", "alice:secret", 403, "User alice is not authorized to metrics\n"},
		{"GET", "/metrics", "", 401, "User name [] or password is invalid.\n"},
		{"GET", "/livez", "", 200, "live\n"},
	} {
		status, header, text := d.ask(c.method, c.path, c.who)
		require.Equal(t, c.status, status, c)
		require.Equal(t, c.text, text, c)
		if status == 401 {
			require.Len(t, header.Values("WWW-Authenticate"), 2)
		}
	}
	var told []string
	for _, e := range audit.events {
		told = append(told, string(e.Kind)+" "+e.Principal.Name+e.Claimed+" "+e.Operation)
	}
	require.Equal(t, []string{
		"admin alice drain", "admin alice drain", "admin alice drain", "admin alice drain", "denied bob drain", "login_refused alice drain", "login_refused hasty drain", "login_refused  drain",
		"denied alice metrics", "login_refused  metrics",
	}, told)
}

func TestPagesOfOtherOriginsCannotOperate(t *testing.T) {
	d, _ := guarded(t)
	for _, header := range [][]string{{"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "cross-site"}} {
		status, _, _ := d.ask("POST", "/operations/drain", "alice:secret", header...)
		require.Equal(t, 403, status, header)
	}
	status, _, _ := d.ask("GET", "/operations/drain", "alice:secret")
	require.Equal(t, 404, status)
}

func TestWithoutGuardThereAreNoOperations(t *testing.T) {
	var n node
	d := open(t, admin.Config{Health: &n, Operations: (&operations{}).table()})
	status, _, text := d.ask("POST", "/operations/drain", "")
	require.Equal(t, 404, status)
	require.Contains(t, text, "without an auth section")
	status, _, _ = d.ask("GET", "/metrics", "")
	require.Equal(t, 200, status)
}
