package pki

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth/pki/pkitest"
)

func TestPoliciesAsTheyAreInTheWild(t *testing.T) {
	for text, want := range map[string]policy{
		"access_id_CA X509 '/C=CH/O=CERN/CN=CERN Grid CA'\npos_rights globus CA:sign\ncond_subjects globus '\"/DC=ch/DC=cern/*\"'\n": {
			"/c=ch/o=cern/cn=cern grid ca": {"/dc=ch/dc=cern/*"}},
		"# c\r\naccess_id_CA\tx509  \"/CN=A\"\r\npos_rights globus CA:sign # c\r\ncond_subjects globus \"/O=a b/*\" \"/Email=x/USERID=y/*\"": {
			"/cn=a": {"/o=a b/*", "/emailaddress=x/uid=y/*"}},
		"access_id_CA X509 '/CN=A'\npos_rights globus CA:sign\ncond_subjects globus '/O=bare/*'\n" +
			"access_id_CA X509 '/CN=B'\npos_rights globus 'CA:sign'\ncond_subjects globus '\"/O=1/*\" \"/O=2\\x2f*\"\n \"/O=3/*\"'": {
			"/cn=a": {"/o=bare/*"}, "/cn=b": {"/o=1/*", "/o=2/*", "/o=3/*"}},
		"access_id_CA X509 '/CN=A'\ncond_subjects globus '\"*\"'": {"/cn=a": nil},
		"access_id_CA X509 '/CN=A'\n":                             {"/cn=a": nil},
	} {
		p, err := parsePolicy([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, want, p, text)
	}
	for text, words := range map[string]string{
		"":                          "names no authority",
		"# nothing":                 "names no authority",
		"hello world again":         `"hello" is not understood`,
		"access_id_CA X509":         `"access_id_CA" is not understood`,
		"pos_rights globus CA:sign": "pos_rights comes before access_id_CA",
		"access_id_CA X509 '/CN=A":  "a quotation is not closed",
		"access_id_CA X509 '/CN=A' neg_rights globus CA:sign":                                                                     "neg_rights is not supported",
		"access_id_CA X509 '/CN=A' cond_time globus '1-2'":                                                                        "cond_time is not supported",
		"access_id_CA X509 '/CN=A' pos_rights globus CA:sign cond_subjects globus '" + strings.Repeat(`"a"`, maxPatterns+1) + "'": "more than 4096 patterns",
		strings.Repeat("a ", 5*maxPatterns):                                                                                       "more than 16384 words",
	} {
		_, err := parsePolicy([]byte(text))
		require.ErrorContains(t, err, words)
	}
}

func TestPatternsMatchNames(t *testing.T) {
	for pattern, names := range map[string][2][]string{
		"*":        {{"", "/a", "/a/b"}, {}},
		"/o=a/*":   {{"/o=a/", "/o=a/cn=x", "/o=a/cn=x/cn=y"}, {"/o=a", "/o=ab/cn=x", "x/o=a/cn=x"}},
		"/o=?/c*d": {{"/o=a/cd", "/o=b/cn=xd"}, {"/o=/cd", "/o=ab/cd", "/o=a/cdx"}},
		"":         {{""}, {"/a"}},
		"a*b*c":    {{"abc", "axbxbxc"}, {"ab", "acb"}},
	} {
		for _, n := range names[0] {
			require.True(t, glob(pattern, n), "%s %s", pattern, n)
		}
		for _, n := range names[1] {
			require.False(t, glob(pattern, n), "%s %s", pattern, n)
		}
	}
}

// TestGlobDoesNotExplode would take years with a matcher that tries all ways.
func TestGlobDoesNotExplode(t *testing.T) {
	require.False(t, glob(strings.Repeat("a*", 1000)+"b", strings.Repeat("a", 4000)))
}

func TestNamesAndPoliciesMeetInOneSpelling(t *testing.T) {
	name, err := plain(pkitest.Name{"C=CH", "DC=cern", "O=x", "OU=host/a", "ST=b", "L=c", "UID=d", "emailAddress=E@f", "CN=host/Ö.ch"}.DER())
	require.NoError(t, err)
	require.Equal(t, "/c=ch/dc=cern/o=x/ou=host/a/st=b/l=c/uid=d/emailaddress=e@f/cn=host/ö.ch", name)
	require.Equal(t, name, plainText(`/C=CH/DC=cern/O=x/OU=host/a/S=b/L=c/USERID=d/Email=E@F/CN=host/\xC3\x96.ch`))

	der, err := asn1.Marshal(pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: 5}}})
	require.NoError(t, err)
	_, err = plain(der)
	require.Error(t, err)
}

func FuzzPolicy(f *testing.F) {
	f.Add([]byte("access_id_CA X509 '/CN=A'\npos_rights globus CA:sign\ncond_subjects globus '\"/O=a/*\" \"/O=\\xc3\\x96*\"'\n"), "/o=a/cn=x")
	f.Add([]byte("# x\n\"' access_id_CA"), "")
	f.Fuzz(func(t *testing.T, text []byte, name string) {
		p, err := parsePolicy(text)
		if err != nil {
			return
		}
		if len(p) == 0 {
			t.Fatal("a policy without an authority")
		}
		for _, patterns := range p {
			if len(patterns) > maxPatterns {
				t.Fatal("too many patterns")
			}
			for _, pattern := range patterns {
				if !strings.ContainsAny(pattern, "*?") && glob(pattern, name) != (pattern == name) {
					t.Fatalf("%q %q", pattern, name)
				}
			}
			if allows(patterns, name) && len(patterns) == 0 {
				t.Fatal("nothing allows something")
			}
		}
	})
}

func FuzzWords(f *testing.F) {
	f.Add(pkitest.Name{"DC=org", "CN=a\nb\u2028c\u0085"}.DER())
	f.Add([]byte{0x30, 0})
	f.Fuzz(func(t *testing.T, der []byte) {
		s := words(der)
		if s == "" || len(s) > maxWords+3 || !utf8.ValidString(s) {
			t.Fatalf("%q", s)
		}
		for _, r := range s {
			if r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 {
				t.Fatalf("%q", s)
			}
		}
	})
}

func FuzzLists(f *testing.F) {
	ca, err := pkitest.NewRoot(pkitest.Slash("/CN=x"))
	require.NoError(f, err)
	text, err := ca.CRL(pkitest.List{})
	require.NoError(f, err)
	f.Add(text)
	f.Add([]byte("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		lists, err := parseLists(text)
		if (err == nil) != (len(lists) > 0) {
			t.Fatal(len(lists), err)
		}
		certs, err := parseCertificates(text)
		if (err == nil) != (len(certs) > 0) {
			t.Fatal(len(certs), err)
		}
	})
}
