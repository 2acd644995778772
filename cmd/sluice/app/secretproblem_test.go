package app

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/auth/users"
)

// problemsOf is all that is said of a configuration.
func problemsOf(text string) string {
	var said strings.Builder
	if p := readDocument("c.yaml", []byte(text)).problems; len(p) > 0 {
		said.WriteString(p.Error() + "\n")
	}
	return said.String()
}

func TestAHashThatIsNotQuotedIsNotRepeated(t *testing.T) {
	hash, err := users.Hash("geheim")
	require.NoError(t, err)
	for _, text := range []string{
		"auth: {users: [{name: a, password: " + hash + "}]}",
		"auth:\n  users:\n  - {name: a, password: " + hash + ", groups: [b]}",
		"auth:\n  users:\n  - {name: a, groups: [" + hash + "], token: {" + hash + "}}",
		"auth:\n  ldap: {bind_password: " + hash + "}",
		"auth: {" + hash + "}",
		"{" + hash + "}",
		hash + ": x",
		"auth:\n  users:\n  - " + hash,
	} {
		said := problemsOf(text)
		for i := range len(hash) - 5 {
			require.NotContains(t, said, hash[i:i+5], text)
		}
	}
	require.Contains(t, problemsOf("auth: {users: [{name: a, password: "+hash+"}]}"),
		"c.yaml:1:59: unknown key in auth.users[0] (not shown, since it may be a part of a secret: values with a comma or a colon have to be quoted)")
	require.Contains(t, problemsOf("auth: {users: [{name: a, pasword: b}]}"), `unknown key in auth.users[0], did you mean "password"? (not shown`)
}

// Whatever is in a secret and however it breaks the file, no part of it is in what is said.
func TestNoSecretIsInAProblem(t *testing.T) {
	word := regexp.MustCompile(`[A-Z]{6}`)
	rapid.Check(t, func(r *rapid.T) {
		secret := rapid.StringMatching(`[A-Z]{6}([,:#{}\[\]&*!|>'"%@ $=.-]{1,2}[A-Z]{6}){1,4}`).Draw(r, "secret")
		text := rapid.SampledFrom([]string{
			"auth: {users: [{name: a, password: %}]}", "auth:\n  users:\n  - {name: a, password: %, groups: [b]}\n", "auth:\n  users:\n  - name: a\n    password: %\n    token: x\n",
			"auth:\n  ldap:\n    bind_password: %\n", "auth: {users: [{name: a, password: \"%\"}]}", "auth: {users: [{name: a, token: '%', password: }]}",
		}).Draw(r, "text")
		said := problemsOf(strings.ReplaceAll(text, "%", secret))
		for _, part := range word.FindAllString(secret, -1) {
			require.NotContains(r, said, part)
		}
	})
}
