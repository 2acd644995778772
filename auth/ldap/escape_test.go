package ldap

import (
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"
)

// FuzzEscape shows that whatever a login holds, it stays one value of the filter and of the name.
func FuzzEscape(f *testing.F) {
	for _, login := range []string{"alice", "a*)(uid=*", `\2a`, " a ", "#a", "a,b+c=d;e<f>\"", "é", "a  b", "%s%u"} {
		f.Add(login)
	}
	s, err := Config{URLs: []string{"ldap://localhost"}, UserDN: "uid=%s,ou=people,dc=x"}.settings()
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, login string) {
		if !nameable(login) {
			return
		}
		equality(t, s.userFilter(login), "uid", login)
		s.GroupFilter = "(memberUid=%u)"
		equality(t, s.groupFilter("uid=%u", login), "memberUid", login)
		s.GroupFilter = "(member=%s)"
		equality(t, s.groupFilter(login, "%s"), "member", login)
		name, err := ldap.ParseDN(s.userDN(login))
		if err != nil || len(name.RDNs) != 3 || len(name.RDNs[0].Attributes) != 1 || name.RDNs[0].Attributes[0].Value != login {
			t.Fatalf("%q becomes %q: %v %v", login, s.userDN(login), name, err)
		}
	})
}

func equality(t *testing.T, filter, attribute, value string) {
	t.Helper()
	p, err := ldap.CompileFilter(filter)
	if err != nil {
		t.Fatalf("%q: %v", filter, err)
	}
	if p.Tag != ber.Tag(ldap.FilterEqualityMatch) || p.Children[0].Data.String() != attribute || p.Children[1].Data.String() != value {
		t.Fatalf("%q is not about %q alone", filter, value)
	}
}
