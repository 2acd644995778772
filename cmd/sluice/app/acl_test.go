package app

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const ruled = `auth:
  users:
    - {name: alice, password: x, groups: [ops]}
  acl:
    - {groups: [ops], deny: [write], on: ["/queue/secret.>"]}
    - {groups: [ops], allow: [read, write], on: ["/queue/>"]}
    - {groups: ["*"], allow: [read], on: ["/topic/public.>"]}
`

func TestExplainNamesTheLineThatDecides(t *testing.T) {
	environ := []string{"SLUICE_CONFIG=" + write(t, ruled)}
	for _, c := range []struct {
		args []string
		code int
		says []string
	}{
		{[]string{"alice", "write", "/queue/a"}, 0, []string{"allowed", "c.yaml:6"}},
		{[]string{"alice", "write", "/queue/secret.a"}, 1, []string{"denied", "c.yaml:5"}},
		{[]string{"bob", "write", "/queue/a"}, 1, []string{"denied"}},
		{[]string{"--group", "ops", "bob", "write", "/queue/a"}, 0, []string{"allowed", "c.yaml:6"}},
		{[]string{"-", "read", "/topic/public.x"}, 0, []string{"allowed", "c.yaml:7"}},
	} {
		out, errs, code := spoken(t, environ, append([]string{"acl", "explain"}, c.args...)...)
		require.Equal(t, c.code, code, errs)
		for _, words := range c.says {
			require.Contains(t, out, words, c.args)
		}
	}
	_, errs, code := spoken(t, environ, "acl", "explain", "alice", "reed", "/queue/a")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "reed")
}

func TestWithoutRulesEverythingOrNothing(t *testing.T) {
	for text, allowed := range map[string]bool{"": true, "auth: {anonymous: true}\n": true, "auth: {anonymous: false}\n": false} {
		_, _, code := spoken(t, []string{"SLUICE_CONFIG=" + write(t, text)}, "acl", "explain", "alice", "write", "/queue/a")
		require.Equal(t, allowed, code == 0, text)
	}
}
