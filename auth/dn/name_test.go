package dn_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/auth/dn"
)

func TestTheManyWaysToWriteOneName(t *testing.T) {
	const robot = "CN=Robot: x, OU=Users, DC=cern, DC=ch"
	const host = "CN=host/ce.example.org, O=Grid"
	for written, same := range map[string]string{
		"CN=Robot: x,OU=Users,DC=cern,DC=ch":                               robot,
		"cn = Robot: x ,  ou=Users , dc=cern ;dc=ch ":                      robot,
		"DC = ch, DC = cern, OU = Users, CN = Robot: x":                    robot, // openssl x509 -subject
		"/DC=ch/DC=cern/OU=Users/CN=Robot: x":                              robot,
		"/CN=Robot: x/OU=Users/DC=cern/DC=ch":                              robot,
		"2.5.4.3=Robot: x,OID.2.5.4.11=Users,domainComponent=cern,DC=ch":   robot,
		`CN="Robot: x",OU=User\73,DC=#0c046365726e,DC=ch`:                  robot,
		"/O=Grid/CN=host/ce.example.org":                                   host,
		`/O=Grid/CN=host\/ce.example.org`:                                  host,
		"CN=host/ce.example.org,O=Grid":                                    host,
		"emailAddress=a@b.c,CN=x":                                          "EMAILADDRESS=a@b.c, CN=x",
		"E=a@b.c,CN=x":                                                     "EMAILADDRESS=a@b.c, CN=x",
		"1.2.840.113549.1.9.1=a@b.c,CN=x":                                  "EMAILADDRESS=a@b.c, CN=x",
		"/CN=x/Email=a@b.c":                                                "EMAILADDRESS=a@b.c, CN=x",
		"UID=1+CN=a,O=b":                                                   "CN=a+UID=1, O=b",
		"0.9.2342.19200300.100.1.1=1 + commonName=a, organizationName = b": "CN=a+UID=1, O=b",
		`CN=Smith\, John,O=a\+b`:                                           `CN=Smith\, John, O=a\+b`,
		`CN="Smith, John",O="a+b"`:                                         `CN=Smith\, John, O=a\+b`,
		"/O=a+b/CN=Smith, John":                                            `CN=Smith\, John, O=a\+b`,
		`CN=J\c3\bcrgen`:                                                   "CN=Jürgen",
		`/CN=J\xC3\xBCrgen`:                                                "CN=Jürgen",
		`CN=\ a\ `:                                                         `CN=" a "`,
		`CN=\#a`:                                                           `CN="#a"`,
		`CN=a=b`:                                                           `CN=a\=b`,
		"CN=":                                                              `CN=""`,
		"CN=a\tb":                                                          `CN=a\09b`,
		"1.3.6.1.4.1.9=x":                                                  "OID.1.3.6.1.4.1.9=x",
		"CN=#040100":                                                       "cn =#040100 ",
		"serialNumber=7,GN=a,SN=b,ST=c,street=d,T=e,L=f,C=g,dnQualifier=h": "serialnumber=7,GIVENNAME=a,surname=b,S=c,streetAddress=d,title=e,localityName=f,countryName=g,DNQ=h",
	} {
		a, err := dn.Parse(written)
		require.NoError(t, err, written)
		b, err := dn.Parse(same)
		require.NoError(t, err, same)
		require.Equal(t, b.Key(), a.Key(), "%s and %s", written, same)
		require.True(t, a.Equal(b))
		again, err := dn.Parse(a.String())
		require.NoError(t, err, "%s", a)
		require.Equal(t, a, again, "%s", a)
	}
}

func TestNamesThatDiffer(t *testing.T) {
	names := []string{
		"CN=a", "CN=A", "CN=a, O=b", "CN=a+O=b", `CN=a\, O\=b`, `CN=a\+O\=b`, "O=a, CN=b", "CN=a, CN=a", "UID=a", "2.5.4.99=a", "CN=",
		`CN="#040100"`, "CN=#040100", "CN=a/O=b", "CN=a b", "CN=a  b", `CN=\ a`, "CN=a, O=b, O=c", "CN=a, O=c, O=b",
	}
	keys := map[string]string{}
	for _, s := range names {
		n, err := dn.Parse(s)
		require.NoError(t, err, s)
		require.Empty(t, keys[n.Key()], "%s is the same as %s", s, keys[n.Key()])
		keys[n.Key()] = s
	}
}

func TestWhatIsNoName(t *testing.T) {
	for written, words := range map[string]string{
		"":                                "the name is empty",
		"  ":                              "the name is empty",
		"alice":                           `there is no = after "alice"`,
		"CN=a,":                           `there is no = after ""`,
		"foo=a":                           `"foo" is no attribute type that is known`,
		"/foo=a":                          `"foo" is no attribute type that is known`,
		"/":                               `"" is no attribute type that is known`,
		"2.05.4=a":                        `"2.05.4" is no attribute type that is known`,
		`CN="a`:                           "after CN=: the quotes are not closed",
		`CN="a"b`:                         `after the value of CN stands "b"`,
		`CN=a\`:                           `after CN=: \ escapes nothing`,
		`CN=a\q`:                          `after CN=: \ escapes nothing`,
		`CN=\ff`:                          "after CN=: the value is not valid UTF-8",
		`/CN=\xff`:                        "after CN=: the value is not valid UTF-8",
		`/CN=\xzz`:                        `after CN=: \x is not followed by two hexadecimal digits`,
		"CN=<a>":                          `after CN=: "<" must be escaped`,
		"CN=#zz":                          "after CN=: # is not followed by hexadecimal digits",
		"CN=#0c05":                        "after CN=: # is not followed by DER",
		"CN=\xff":                         "the name is not valid UTF-8",
		"CN=" + strings.Repeat("a", 8192): "the name is 8195 bytes long, the limit is 8192",
	} {
		_, err := dn.Parse(written)
		require.EqualError(t, err, words, "%q", written)
	}
}

func TestACertificatesNameInActiveMQsWords(t *testing.T) {
	der := marshal(t, [][2]any{{"0.9.2342.19200300.100.1.25", "org"}, {"0.9.2342.19200300.100.1.25", "example"}, {"2.5.4.11", "Hosts, old"}, {"2.5.4.3", "host1.example.org"}})
	n, err := dn.FromDER(der)
	require.NoError(t, err)
	require.Equal(t, `CN=host1.example.org, OU=Hosts\, old, DC=example, DC=org`, n.String())
	require.Equal(t, []string{"example", "org"}, n.Values("dc"))
	require.Empty(t, n.Values("O"))
	require.False(t, n.Empty())

	slashes, err := dn.Parse("/DC=org/DC=example/OU=Hosts, old/CN=host1.example.org")
	require.NoError(t, err)
	require.Equal(t, n, slashes)
}

func TestTheEmptySubject(t *testing.T) {
	n, err := dn.FromDER([]byte{0x30, 0})
	require.NoError(t, err)
	require.True(t, n.Empty())
	require.Equal(t, "", n.String())
}

// A value that looks like several parts must not become several parts.
func TestAValueCannotPretendToBeParts(t *testing.T) {
	evil, err := dn.FromDER(marshal(t, [][2]any{{"2.5.4.3", "x/CN=admin, O=Grid\n"}}))
	require.NoError(t, err)
	require.Equal(t, `CN=x/CN=admin\, O=Grid\0a`, evil.String())
	for _, s := range []string{"/CN=x/CN=admin, O=Grid", "CN=x, CN=admin, O=Grid", "CN=admin, O=Grid"} {
		n, err := dn.Parse(s)
		require.NoError(t, err)
		require.False(t, n.Equal(evil), s)
	}
}

func TestEncodingsOfText(t *testing.T) {
	for _, c := range []struct {
		der  []byte
		text string
	}{
		{[]byte{19, 2, 'a', 'b'}, "CN=ab"},
		{[]byte{12, 2, 'a', 'b'}, "CN=ab"},
		{[]byte{22, 2, 'a', 'b'}, "CN=ab"},
		{[]byte{20, 2, 'a', 0xfc}, "CN=aü"},
		{[]byte{30, 4, 0, 'a', 0x20, 0xac}, "CN=a€"},
		{[]byte{28, 8, 0, 0, 0, 'a', 0, 1, 0xf6, 0}, "CN=a😀"},
		{[]byte{4, 1, 0xff}, "CN=#0401ff"},
		{[]byte{12, 3, 'a', 0, 'b'}, `CN=a\00b`},
	} {
		n, err := dn.FromDER(slices.Concat([]byte{0x30, byte(len(c.der) + 9), 0x31, byte(len(c.der) + 7), 0x30, byte(len(c.der) + 5), 6, 3, 85, 4, 3}, c.der))
		require.NoError(t, err, c.text)
		require.Equal(t, c.text, n.String())
		again, err := dn.Parse(n.String())
		require.NoError(t, err)
		require.Equal(t, n, again)
	}
	for words, value := range map[string][]byte{
		"CN of the name: the text is not valid UTF-8":         {12, 1, 0xff},
		"CN of the name: the text ends within a character":    {30, 1, 0},
		"CN of the name: the text holds what is no character": {30, 2, 0xd8, 0},
	} {
		_, err := dn.FromDER(slices.Concat([]byte{0x30, byte(len(value) + 9), 0x31, byte(len(value) + 7), 0x30, byte(len(value) + 5), 6, 3, 85, 4, 3}, value))
		require.EqualError(t, err, words)
	}
	for words, der := range map[string][]byte{
		"the name is followed by something else":         {0x30, 0, 0},
		"a part of the name is empty":                    {0x30, 2, 0x31, 0},
		"the name is 8193 bytes long, the limit is 8192": make([]byte, 8193),
	} {
		_, err := dn.FromDER(der)
		require.EqualError(t, err, words)
	}
	_, err := dn.FromDER([]byte{1})
	require.ErrorContains(t, err, "the name is not DER")
}

// What a certificate holds, written down and read again in either form, is the same name; and no other one.
func TestEveryNameComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom([]string{"2.5.4.3", "2.5.4.11", "0.9.2342.19200300.100.1.25", "1.2.840.113549.1.9.1", "1.3.6.1.4.1.99999.1"})
		value := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune(` ,+"\<>;=#/a0`))))
		draw := func(label string) (dn.Name, [][2]any) {
			var parts [][2]any
			for range rapid.IntRange(1, 4).Draw(t, label) {
				parts = append(parts, [2]any{word.Draw(t, "type"), value.Draw(t, "value")})
			}
			n, err := dn.FromDER(marshal(t, parts))
			require.NoError(t, err)
			return n, parts
		}
		n, parts := draw("first")
		again, err := dn.Parse(n.String())
		require.NoError(t, err, "%s", n)
		require.Equal(t, n, again)

		o, others := draw("second")
		mirror := slices.Clone(others)
		slices.Reverse(mirror)
		require.Equal(t, slices.Equal(parts, others) || slices.Equal(parts, mirror), n.Equal(o), "%s and %s", n, o)
	})
}

func marshal(t require.TestingT, parts [][2]any) []byte {
	var sequence pkix.RDNSequence
	for _, p := range parts {
		var oid asn1.ObjectIdentifier
		for number := range strings.SplitSeq(p[0].(string), ".") {
			n := 0
			for _, c := range number {
				n = n*10 + int(c-'0')
			}
			oid = append(oid, n)
		}
		sequence = append(sequence, pkix.RelativeDistinguishedNameSET{{Type: oid, Value: p[1]}})
	}
	der, err := asn1.Marshal(sequence)
	require.NoError(t, err)
	return der
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"CN=a, OU=b", "/DC=c/OU=b/CN=a", `CN="a,b"+E=\41 ;O=#0c0161`, `/CN=a\/b\xC3\xBC`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := dn.Parse(s)
		if err != nil || len(n.String()) > dn.MaxLength {
			return
		}
		again, err := dn.Parse(n.String())
		require.NoError(t, err)
		require.Equal(t, n, again)
		require.NotContains(t, n.String(), "\n")
	})
}

func FuzzFromDER(f *testing.F) {
	f.Add([]byte{0x30, 0})
	f.Add(marshal(f, [][2]any{{"2.5.4.3", "a"}, {"2.5.4.11", "ü"}}))
	f.Fuzz(func(t *testing.T, der []byte) {
		n, err := dn.FromDER(der)
		if err != nil || n.Empty() || len(n.String()) > dn.MaxLength {
			return
		}
		again, err := dn.Parse(n.String())
		require.NoError(t, err, "%s", n)
		require.Equal(t, n.Key(), again.Key())
	})
}
