package users_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth/users"
)

func TestWhatADirectoryRefuses(t *testing.T) {
	argon := func(parameters string) string {
		return "$argon2id$v=19$" + parameters + "$c2FsdHNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg"
	}
	for words, u := range map[string]users.User{
		`the 1. user: the name is empty`:                            {},
		`is 257 bytes long, the limit is 256`:                       {Name: strings.Repeat("a", 257)},
		`user "a\nb": the name holds a control character at byte 1`: {Name: "a\nb"},
		`the name is not valid UTF-8`:                               {Name: "a\xff"},
		`group "": the name is empty`:                               {Name: "a", Groups: []string{""}},
		`user "a": dn "alice": there is no = after "alice"`:         {Name: "a", DNs: []string{"alice"}},
		`user "a": san "x.org": it has not the form`:                {Name: "a", SANs: []string{"x.org"}},
		`san "email:x": an email address has an @`:                  {Name: "a", SANs: []string{"email:x"}},
		`san "uri:x": it is no URI`:                                 {Name: "a", SANs: []string{"uri:x"}},
		`the token has not the form sha256:`:                        {Name: "a", Token: "sha256:00"},
		`the token is 1025 bytes long`:                              {Name: "a", Token: strings.Repeat("x", 1025)},
		`the password is 1025 bytes long`:                           {Name: "a", Password: strings.Repeat("x", 1025)},
		`the password is encrypted, ENC(...)`:                       {Name: "a", Password: "ENC(mYRkg+4Q4hua)"},
		`a hash of a kind that is not known here`:                   {Name: "a", Password: "$apr1$aa$bb"},
		`is not known here (argon2id`:                               {Name: "a", Password: "{SSHA}aGFsbG8="},
		`takes 4194304 KiB of memory`:                               {Name: "a", Password: argon("m=4194304,t=1,p=1")},
		`takes 999999 passes over 19456 KiB`:                        {Name: "a", Password: argon("m=19456,t=999999,p=1")},
		`takes 255 threads`:                                         {Name: "a", Password: argon("m=19456,t=1,p=255")},
		`has less than 8 KiB of memory for a thread`:                {Name: "a", Password: argon("m=15,t=1,p=2")},
		`has a parameter that is no positive number`:                {Name: "a", Password: argon("m=99999999999,t=1,p=1")},
		`has a parameter that is no positive`:                       {Name: "a", Password: argon("m=19456,t=0,p=1")},
		`has not the parameters`:                                    {Name: "a", Password: argon("t=1,m=19456,p=1")},
		`is not of version 19`:                                      {Name: "a", Password: "$argon2id$v=16$m=1,t=1,p=1$$"},
		`has not the form $argon2id$`:                               {Name: "a", Password: "$argon2id$v=19"},
		`has no salt of 8 to 64 bytes`:                              {Name: "a", Password: "$argon2id$v=19$m=64,t=1,p=1$aa$MDEyMzQ1Njc4OWFiY2RlZg"},
		`has no sum of 16 to 64 bytes`:                              {Name: "a", Password: "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aa"},
		`the bcrypt hash has the cost 20, the limit is 14`:          {Name: "a", Password: "$2b$20$" + strings.Repeat("a", 53)},
		`the bcrypt hash has not the form`:                          {Name: "a", Password: "$2x$10$" + strings.Repeat("a", 53)},
		`the bcrypt hash has not`:                                   {Name: "a", Password: "$2b$10$" + strings.Repeat("a", 52)},
		`has 999999999 rounds`:                                      {Name: "a", Password: "$6$rounds=999999999$ab$" + strings.Repeat("a", 86)},
		`has no rounds=`:                                            {Name: "a", Password: "$6$x=1$ab$" + strings.Repeat("a", 86)},
		`the SHA-crypt hash has not the form`:                       {Name: "a", Password: "$5$ab$" + strings.Repeat("a", 86)},
	} {
		_, err := users.NewDirectory([]users.User{u}, nil)
		require.ErrorContains(t, err, words)
		if len(u.Password) > 20 {
			require.NotContains(t, err.Error(), u.Password)
		}
	}
}

func TestWhatBelongsToTwoIsRefused(t *testing.T) {
	for words, twins := range map[string][2]users.User{
		`user "a": the name is there twice`:                  {{Name: "a"}, {Name: "a"}},
		`user "b": the token is that of user "a", too`:       {{Name: "a", Token: "t"}, {Name: "b", Token: users.HashToken("t")}},
		`user "b": dn "CN=x, O=y" is that of user "a", too`:  {{Name: "a", DNs: []string{"/O=y/CN=x"}}, {Name: "b", DNs: []string{"CN=x,O=y"}}},
		`user "b": san "DNS:X.org" is that of user "a", too`: {{Name: "a", SANs: []string{"dns:x.org"}}, {Name: "b", SANs: []string{"DNS:X.org"}}},
	} {
		_, err := users.NewDirectory(twins[:], nil)
		require.EqualError(t, err, words)
	}
	_, err := users.NewDirectory(nil, []users.Group{{Name: "g"}, {Name: "g"}, {Name: ""}})
	require.EqualError(t, err, "group \"g\" is there twice\ngroup \"\": the name is empty")
}

func TestAllThatIsWrongIsSaidAtOnce(t *testing.T) {
	_, err := users.NewDirectory([]users.User{{Name: "a", DNs: []string{"x"}}, {Name: "b"}, {Name: "c", Token: "sha256:"}}, nil)
	require.ErrorContains(t, err, `user "a"`)
	require.ErrorContains(t, err, `user "c"`)
	require.NotContains(t, err.Error(), `user "b"`)
}

func TestWarningsNameTheUserAndNoSecret(t *testing.T) {
	d, err := users.NewDirectory([]users.User{
		{Name: "clear", Password: "geheim"},
		{Name: "short", Token: "kurz"},
		{Name: "nothing"},
		{Name: "off", Disabled: true},
		{Name: "good", Token: users.HashToken("x")},
	}, nil)
	require.NoError(t, err)
	require.Equal(t, 5, d.Len())
	require.Equal(t, []string{
		"user \"clear\": the password is in clear; keep what `sluice user hash` makes of it",
		`user "short": the token is in clear; keep its sum, sha256:...`,
		`user "short": the token is so short that it can be guessed`,
		`user "nothing": there is no password, token or certificate, so nobody can log in`,
	}, d.Warnings())
}

func TestGroupsOfPeopleWhomOthersKnow(t *testing.T) {
	d, err := users.NewDirectory(nil, []users.Group{{Name: "ops", Members: []string{"ldap-user"}}, {Name: "all", Members: []string{"ldap-user"}}})
	require.NoError(t, err)
	require.Equal(t, []string{"all", "ops"}, d.Listed("ldap-user"))
	require.Empty(t, d.Listed("stranger"))
}
