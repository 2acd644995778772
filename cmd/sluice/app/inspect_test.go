package app

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What serve refuses check-config refuses as well, with the place in the file: files that are not there or hold something else, secrets, rules.
func TestCheckConfigLooksAtWhatTheFileNames(t *testing.T) {
	const door = "listeners: [{protocol: stomp, address: \"127.0.0.1:0\", tls: {certificate: no.crt, key: no.key}}]\n"
	const pubsub = "listeners: [{protocol: pubsub, address: \"127.0.0.1:0\"}]\n"
	for name, c := range map[string]struct{ file, want string }{
		"certificate":   {door, "c.yaml:1:60: listeners[0].tls: tls: stat no.crt: "},
		"of a service":  {"service: {code: \"10\", host: 127.0.0.1, tls: {certificate: no.crt, key: no.key}}\n", "c.yaml:1:45: service.tls: tls: stat no.crt: "},
		"users":         {"auth:\n  users_file: none\n", "c.yaml:2:15: auth.users_file: open none: "},
		"password":      {"auth:\n  users:\n  - {name: a, password: \"file:none\"}\n", "c.yaml:3:5: auth.users[0]: password: open none: "},
		"keys":          {"auth:\n  issuers: [{issuer: \"https://a.example\", audiences: [a], keys: none}]\n", "c.yaml:2:12: auth.issuers: issuer \"https://a.example\": open none: "},
		"directory":     {"auth:\n  ldap: {urls: [\"ldaps://127.0.0.1\"], user_dn: \"uid=%s\", ca: none}\n", "c.yaml:2:9: auth.ldap: "},
		"secret":        {"cluster:\n  name: c\n  address: 127.0.0.1:1\n  routes: [\"127.0.0.1:1\", \"127.0.0.1:2\", \"127.0.0.1:3\"]\n  secret_file: none\n", "c.yaml:2:3: cluster: the cluster's secret: open none: "},
		"replicas":      {"cluster:\n  name: c\n  address: 127.0.0.1:1\n  routes: [\"127.0.0.1:1\", \"127.0.0.1:2\", \"127.0.0.1:3\"]\n  replicas: 5\n", "c.yaml:5:13: cluster.replicas: 5 are wanted, but there are only 3 nodes"},
		"token":         {"pubsub: {service_token: \"file:none\"}\n", "c.yaml:1:25: pubsub.service_token: open none: "},
		"short token":   {"pubsub: {service_token: \"file:short\"}\n" + pubsub, "c.yaml:1:25: pubsub.service_token: it is shorter than 16 characters"},
		"short key":     {"pubsub: {token_key: \"file:short\"}\n" + pubsub, "c.yaml:1:21: pubsub.token_key: "},
		"endpoints":     {"pubsub: {push: {ca: [none]}}\n", "c.yaml:1:21: pubsub.push.ca: open none: "},
		"audit":         {"audit_file: none/audit.log\n", "c.yaml:1:13: audit_file: stat none: "},
		"pattern":       {"auth:\n  acl:\n  - {users: [a], allow: [read], on: [queue/x]}\n", "c.yaml:3:5: auth.acl[0]: pattern \"queue/x\"; want /queue/, "},
		"action":        {"auth:\n  acl:\n  - {users: [a], allow: [reed], on: [/queue/x]}\n", "c.yaml:3:5: auth.acl[0]: unknown action \"reed\"; "},
		"all of a rule": {"auth:\n  acl:\n  - {users: [a], allow: [reed], on: [queue/x]}\n", "; want /queue/, "},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, c.file)
			require.NoError(t, os.WriteFile("short", []byte("abc\n"), 0o600))
			code, out, errs := command(nil, "check-config", file)
			require.Equal(t, 1, code, out)
			require.Contains(t, errs, c.want)
			p := launch(t, "serve", "--config", file, "--data-dir", "data")
			require.Equal(t, 1, p.exit(), "serve takes it")
		})
	}
}

// Whose environment check-config does not have it does not judge, and it leaves nothing behind.
func TestCheckConfigChangesNothing(t *testing.T) {
	file := write(t, "data_dir: data\naudit_file: audit.log\npubsub: {service_token: \"env:TOKEN\"}\nlisteners: [{protocol: pubsub, address: \"127.0.0.1:0\"}]\n"+
		"auth:\n  users:\n  - {name: a, password: \"credential:a\"}\n")
	code, out, errs := command(nil, "check-config", file)
	require.Equal(t, 0, code, errs)
	require.Equal(t, "c.yaml: ok\n", out)
	require.Contains(t, errs, "c.yaml: warning: pubsub.service_token: the environment variable TOKEN is empty; without it this could not be looked at\n")
	require.Contains(t, errs, "c.yaml: warning: auth.users[0]: password: there are no credentials: ")
	code, _, errs = command([]string{"TOKEN=abc"}, "check-config", file)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "pubsub.service_token: it is shorter than")
	left, err := os.ReadDir(".")
	require.NoError(t, err)
	require.Len(t, left, 1, "only the configuration")
}

// What serve would warn of in its log is said where somebody reads it.
func TestCheckConfigSaysWhatTheLogWould(t *testing.T) {
	file := write(t, "auth:\n  users:\n  - {name: a, password: \"file:secret\"}\n  acl:\n  - {users: [a], allow: [all], on: [/queue/>]}\n")
	require.NoError(t, os.WriteFile("secret", []byte("in clear\n"), 0o644))
	code, _, errs := command(nil, "check-config", file)
	require.Equal(t, 0, code)
	for _, want := range []string{"the password is in clear", "can be read by everybody on this machine"} {
		require.Contains(t, errs, want)
	}
	require.Equal(t, 2, strings.Count(errs, "warning: "), errs)
}
