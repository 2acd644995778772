package oidc_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth"
	"github.com/sluice-mq/sluice/auth/oidc"
	"github.com/sluice-mq/sluice/gateway"
)

const iss = "https://iam.example.org/"

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// signer is an issuer's key.
type signer struct {
	private crypto.Signer
	kid     string
	alg     jose.SignatureAlgorithm
}

func newSigner(t testing.TB, kid string, alg jose.SignatureAlgorithm) signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch alg[:2] {
	case "RS", "PS":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES":
		curve := map[jose.SignatureAlgorithm]elliptic.Curve{jose.ES256: elliptic.P256(), jose.ES384: elliptic.P384(), jose.ES512: elliptic.P521()}[alg]
		key, err = ecdsa.GenerateKey(curve, rand.Reader)
	default:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	require.NoError(t, err)
	return signer{key, kid, alg}
}

func (s signer) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: s.private.Public(), KeyID: s.kid, Use: "sig"}
}

func (s signer) sign(t testing.TB, payload string, headers map[jose.HeaderKey]any) string {
	t.Helper()
	o := &jose.SignerOptions{ExtraHeaders: headers}
	j, err := jose.NewSigner(jose.SigningKey{Algorithm: s.alg, Key: jose.JSONWebKey{Key: s.private, KeyID: s.kid}}, o)
	require.NoError(t, err)
	signed, err := j.Sign([]byte(payload))
	require.NoError(t, err)
	token, err := signed.CompactSerialize()
	require.NoError(t, err)
	return token
}

// says is a payload: a good one, with changes; nil takes a claim out.
func says(changes map[string]any) string {
	c := map[string]any{"iss": iss, "sub": "alice", "aud": "sluice", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix()}
	for k, v := range changes {
		c[k] = v
		if v == nil {
			delete(c, k)
		}
	}
	b, _ := json.Marshal(c)
	return string(b)
}

func keyFile(t testing.TB, keys ...any) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{"keys": keys})
	require.NoError(t, err)
	name := filepath.Join(t.TempDir(), "keys.json")
	require.NoError(t, os.WriteFile(name, b, 0o600))
	return name
}

func issuers(t testing.TB, i oidc.Issuer) *oidc.Issuers {
	t.Helper()
	if i.Issuer == "" {
		i.Issuer = iss
	}
	if i.Audiences == nil {
		i.Audiences = []string{"sluice", "https://sluice.example.org"}
	}
	s, err := oidc.New(oidc.Config{Issuers: []oidc.Issuer{i}, Now: func() time.Time { return now }})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func TestEveryAlgorithmThatIsAccepted(t *testing.T) {
	var keys []any
	var tokens []string
	rsa := newSigner(t, "", jose.RS256) // they are dear
	for _, alg := range []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA} {
		s := signer{rsa.private, string(alg), alg}
		if alg[1] != 'S' || alg[0] == 'E' {
			s = newSigner(t, string(alg), alg)
		}
		keys = append(keys, s.public())
		tokens = append(tokens, s.sign(t, says(nil), nil))
	}
	all := issuers(t, oidc.Issuer{Keys: keyFile(t, keys...)})
	for _, token := range tokens {
		p, found, err := all.VerifyToken(t.Context(), token)
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, gateway.Principal{Name: "alice", Method: "jwt", Proof: p.Proof, Expires: now.Add(time.Hour).Local()}, p)
		again, found, err := all.Renew(p)
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, p, again)
	}
	p, _, err := all.VerifyToken(t.Context(), tokens[0])
	require.NoError(t, err)
	for words, i := range map[string]oidc.Issuer{
		"which is not trusted here": {Issuer: "https://other.example.org/", Keys: keyFile(t, keys...), Audiences: []string{"sluice"}},
		"is for another audience":   {Keys: keyFile(t, keys...), Audiences: []string{"elsewhere"}},
	} {
		_, found, err := issuers(t, i).Renew(p)
		require.True(t, found)
		require.Equal(t, gateway.Unauthenticated, gateway.KindOf(err))
		require.ErrorContains(t, err, words)
	}
	_, found, err := all.Renew(gateway.Principal{Name: "alice", Method: "password"})
	require.NoError(t, err)
	require.False(t, found)
}

func TestWhoATokenSpeaksOf(t *testing.T) {
	key := newSigner(t, "k", jose.ES256)
	file := keyFile(t, key.public())
	for _, c := range []struct {
		why    string
		issuer oidc.Issuer
		says   map[string]any
		name   string
		groups []string
	}{
		{"nothing special", oidc.Issuer{}, nil, "alice", nil},
		{"groups", oidc.Issuer{}, map[string]any{"groups": []string{"b", "a", "b"}}, "alice", []string{"a", "b"}},
		{"groups of WLCG", oidc.Issuer{}, map[string]any{"wlcg.ver": "1.0", "wlcg.groups": []string{"/cms", "/cms/ops"}}, "alice", []string{"/cms", "/cms/ops"}},
		{"one group alone", oidc.Issuer{}, map[string]any{"groups": "a"}, "alice", []string{"a"}},
		{"prefixes", oidc.Issuer{NamePrefix: "iam:", GroupPrefix: "iam:"}, map[string]any{"groups": []string{"ops"}}, "iam:alice", []string{"iam:ops"}},
		{"other claims", oidc.Issuer{NameClaim: "preferred_username", GroupClaims: []string{"roles"}}, map[string]any{"preferred_username": "al", "roles": []any{"r", 7, nil}, "groups": []string{"no"}}, "al", []string{"r"}},
		{"scopes", oidc.Issuer{GroupPrefix: "x:", Mappings: []oidc.Mapping{{Value: "compute.create", Group: "submitters"}, {Value: "storage.read:/x", Group: "readers"}, {Value: "storage.read:/", Group: "all"}}},
			map[string]any{"scope": "openid storage.read:/x  compute.create"}, "alice", []string{"readers", "submitters"}},
		{"entitlements", oidc.Issuer{Mappings: []oidc.Mapping{{Claim: "eduperson_entitlement", Value: "urn:mace:egi.eu:group:vo:role=member#aai.egi.eu", Group: "vo"}, {Claim: "eduperson_entitlement", Value: "urn:mace", Group: "no"}}},
			map[string]any{"eduperson_entitlement": []string{"urn:mace:egi.eu:group:vo:role=member#aai.egi.eu"}}, "alice", []string{"vo"}},
		{"a list of audiences", oidc.Issuer{}, map[string]any{"aud": []string{"other", "https://sluice.example.org"}}, "alice", nil},
		{"any audience of WLCG", oidc.Issuer{}, map[string]any{"wlcg.ver": "1.2", "aud": "https://wlcg.cern.ch/jwt/v1/any"}, "alice", nil},
		{"any audience of SciTokens", oidc.Issuer{}, map[string]any{"ver": "scitoken:2.0", "aud": []string{"ANY"}}, "alice", nil},
		{"clocks apart", oidc.Issuer{}, map[string]any{"nbf": now.Add(59 * time.Second).Unix(), "iat": float64(now.Unix()) + 59.5}, "alice", nil},
		{"claims of another case", oidc.Issuer{}, map[string]any{"SUB": "root", "Groups": []string{"admins"}, "EXP": 1, "Aud": "x"}, "alice", nil},
	} {
		c.issuer.Keys = file
		p, _, err := issuers(t, c.issuer).VerifyToken(t.Context(), key.sign(t, says(c.says), nil))
		require.NoError(t, err, c.why)
		require.Equal(t, c.name, p.Name, c.why)
		require.Equal(t, c.groups, p.Groups, c.why)
	}
}

func TestWithinTheSkewATokenEndsAfterIt(t *testing.T) {
	key := newSigner(t, "k", jose.ES256)
	p, _, err := issuers(t, oidc.Issuer{Keys: keyFile(t, key.public())}).VerifyToken(t.Context(), key.sign(t, says(map[string]any{"exp": now.Add(-59 * time.Second).Unix(), "iat": nil}), nil))
	require.NoError(t, err)
	require.Equal(t, now.Add(time.Second).Local(), p.Expires)
}

func TestRefusalsNameTheReason(t *testing.T) {
	key, stranger := newSigner(t, "k", jose.RS256), newSigner(t, "k", jose.RS256)
	all := issuers(t, oidc.Issuer{Keys: keyFile(t, key.public())})
	const of = "the token of issuer https://iam.example.org/ "
	good := key.sign(t, says(nil), nil)
	parts := strings.Split(good, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	hs, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(strings.Repeat("k", 32))}, nil)
	require.NoError(t, err)
	symmetric, err := hs.Sign([]byte(says(nil)))
	require.NoError(t, err)
	hs256, err := symmetric.CompactSerialize()
	require.NoError(t, err)
	say := func(changes map[string]any) string { return key.sign(t, says(changes), nil) }
	any256 := strings.Repeat("x", 257)
	const algorithm = "the token is signed by an algorithm that is not accepted; RS256, ES256, PS256, EdDSA and their like are"
	for _, c := range []struct{ token, text string }{
		{say(map[string]any{"exp": now.Add(-time.Minute).Unix()}), of + "has expired at 2026-11-21T11:59:00Z"},
		{say(map[string]any{"exp": nil}), of + "never expires; only tokens that do are accepted"},
		{say(map[string]any{"exp": "soon"}), of + "cannot be used: its exp is no time"},
		{say(map[string]any{"exp": 1e300}), of + "cannot be used: its exp is no time"},
		{say(map[string]any{"nbf": now.Add(2 * time.Minute).Unix()}), of + "is not good before 2026-11-21T12:02:00Z (its nbf); is a clock wrong?"},
		{say(map[string]any{"iat": now.Add(2 * time.Minute).Unix()}), of + "is not good before 2026-11-21T12:02:00Z (its iat); is a clock wrong?"},
		{say(map[string]any{"iat": now.Add(30 * time.Second).Unix(), "exp": now.Unix()}), of + "cannot be used: it expires before its iat"},
		{say(map[string]any{"nbf": []int{1}}), of + "cannot be used: its nbf is no time"},
		{say(map[string]any{"aud": nil}), of + "is for no audience; sluice would do"},
		{say(map[string]any{"aud": []string{"other"}}), of + "is for another audience; sluice would do"},
		{say(map[string]any{"aud": "https://wlcg.cern.ch/jwt/v1/any"}), of + "is for another audience; sluice would do"},
		{say(map[string]any{"aud": "ANY", "wlcg.ver": "1.0"}), of + "is for another audience; sluice would do"},
		{say(map[string]any{"wlcg.ver": "2.0"}), of + "has a version of the WLCG profile that is not known here; 1.x is"},
		{say(map[string]any{"ver": "scitoken:3.0"}), of + "has a version of the SciToken profile that is not known here; scitoken:2.0 is"},
		{say(map[string]any{"sub": nil}), of + "names nobody: there is no sub"},
		{say(map[string]any{"sub": 7}), of + "names nobody: there is no sub"},
		{say(map[string]any{"sub": "a\nb"}), of + "names somebody whom nothing here could name: it holds a control character"},
		{say(map[string]any{"sub": any256}), of + "names somebody whom nothing here could name: it is 257 bytes long, the limit is 256"},
		{say(map[string]any{"groups": []string{any256}}), of + "names a group that nothing here could name: it is 257 bytes long, the limit is 256"},
		{say(map[string]any{"groups": []string{""}}), of + "names a group that nothing here could name: it is empty"},
		{say(map[string]any{"groups": strings.Split(strings.Repeat("a,aa,aaa,", 1)+manyNames(), ",")}), of + "names 303 groups, the limit is 256"},
		{say(map[string]any{"iss": "https://evil.example.org"}), "the token is of issuer https://evil.example.org, which is not trusted here"},
		{say(map[string]any{"iss": "https://iam.example.org"}), "the token is of issuer https://iam.example.org, which is not trusted here"},
		{stranger.sign(t, says(nil), nil), of + "is not signed by it"},
		{parts[0] + "." + b64([]byte(says(map[string]any{"sub": "root"}))) + "." + parts[2], of + "is not signed by it"},
		{parts[0] + "." + parts[1] + ".", of + "is not signed by it"},
		{b64([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".", algorithm},
		{hs256, algorithm},
		{key.sign(t, says(nil), map[jose.HeaderKey]any{"crit": []string{"b64"}, "b64": true}), "the token demands an extension that is not known here"},
		{good + ".x.y", "the token is encrypted; only signed ones are accepted"},
		{good + "=", "the token is malformed"},
		{"a.b", "the token is malformed"},
		{"a.b.c", "the token is malformed"},
		{key.sign(t, "[]", nil), "the token is malformed"},
		{key.sign(t, says(map[string]any{"x": strings.Repeat("x", 16<<10)}), nil), "the token is longer than 16 KiB"},
	} {
		p, found, err := all.VerifyToken(t.Context(), c.token)
		require.True(t, found)
		require.Zero(t, p)
		require.Equal(t, gateway.Unauthenticated, gateway.KindOf(err), c.text)
		require.Equal(t, c.text, gateway.TextOf(err))
		require.NotContains(t, err.Error(), parts[2])
		require.NotContains(t, err.Error(), c.token)
	}
	_, _, err = all.VerifyToken(t.Context(), say(map[string]any{"exp": 1}))
	require.ErrorIs(t, err, auth.ErrExpired)
}

func manyNames() string {
	names := make([]string, 300)
	for i := range names {
		names[i] = "g" + strings.Repeat("x", i%17) + string(rune('A'+i/17))
	}
	return strings.Join(names, ",")
}

func TestAnyAudienceCanBeRefused(t *testing.T) {
	key := newSigner(t, "k", jose.ES256)
	all := issuers(t, oidc.Issuer{Keys: keyFile(t, key.public()), RefuseAny: true})
	_, _, err := all.VerifyToken(t.Context(), key.sign(t, says(map[string]any{"wlcg.ver": "1.0", "aud": "https://wlcg.cern.ch/jwt/v1/any"}), nil))
	require.ErrorContains(t, err, "is for another audience")
}

// The public key of an issuer, taken as the secret of HS256, is the oldest trick of all; a key in the token's own header is another.
func TestTricksWithKeys(t *testing.T) {
	key := newSigner(t, "k", jose.RS256)
	all := issuers(t, oidc.Issuer{Keys: keyFile(t, key.public())})
	der, err := json.Marshal(key.public())
	require.NoError(t, err)
	hs, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: der}, nil)
	require.NoError(t, err)
	signed, err := hs.Sign([]byte(says(nil)))
	require.NoError(t, err)
	token, err := signed.CompactSerialize()
	require.NoError(t, err)
	_, _, err = all.VerifyToken(t.Context(), token)
	require.ErrorContains(t, err, "an algorithm that is not accepted")

	own := newSigner(t, "k", jose.RS256)
	_, _, err = all.VerifyToken(t.Context(), own.sign(t, says(nil), map[jose.HeaderKey]any{"jwk": own.public()}))
	require.ErrorContains(t, err, "is not signed by it")
	pss := signer{key.private, "k", jose.PS256}
	public := key.public()
	public.Algorithm = "RS256"
	strict := issuers(t, oidc.Issuer{Keys: keyFile(t, public)})
	_, _, err = strict.VerifyToken(t.Context(), pss.sign(t, says(nil), nil))
	require.ErrorContains(t, err, "is not signed by it", "the key is for RS256 alone")
	_, _, err = strict.VerifyToken(t.Context(), key.sign(t, says(nil), nil))
	require.NoError(t, err)
}

// A token may have no kid, and keys neither.
func TestKeysWithoutNames(t *testing.T) {
	a, b := newSigner(t, "", jose.ES256), newSigner(t, "", jose.ES256)
	all := issuers(t, oidc.Issuer{Keys: keyFile(t, a.public(), b.public())})
	for _, s := range []signer{a, b, {b.private, "unknown", jose.ES256}} {
		_, _, err := all.VerifyToken(t.Context(), s.sign(t, says(nil), nil))
		require.NoError(t, err)
	}
}

func TestWhatAConfigurationRefuses(t *testing.T) {
	file := keyFile(t, newSigner(t, "k", jose.ES256).public())
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	useless := keyFile(t, jose.JSONWebKey{Key: []byte("a symmetric key, which nobody should have")}, jose.JSONWebKey{Key: newSigner(t, "k", jose.ES256).private},
		jose.JSONWebKey{Key: &weak.PublicKey}, map[string]string{"kty": "new"})
	encrypting := newSigner(t, "k", jose.RS256).public()
	encrypting.Use = "enc"
	garbage := filepath.Join(t.TempDir(), "garbage")
	require.NoError(t, os.WriteFile(garbage, []byte("no JSON"), 0o600))
	long := filepath.Join(t.TempDir(), "long")
	require.NoError(t, os.WriteFile(long, make([]byte, 1<<20+1), 0o600))
	aud := []string{"sluice"}
	for text, i := range map[string]oidc.Issuer{
		`issuer "": the name is empty`:                 {Audiences: aud, Keys: file},
		`there is no audience`:                         {Issuer: iss, Keys: file},
		`an audience is empty`:                         {Issuer: iss, Audiences: []string{""}, Keys: file},
		`keys come by https; http is for loopback`:     {Issuer: iss, Audiences: aud, Keys: "http://iam.example.org/jwks"},
		`issuer "plain": keys come from a file or a`:   {Issuer: "plain", Audiences: aud},
		`the URL of keys has no user or password`:      {Issuer: iss, Audiences: aud, Keys: "https://u:p@iam.example.org/jwks"},
		`keys come by https; http is for`:              {Issuer: iss, Audiences: aud, Keys: "http://127.0.0.1.example.org/"},
		`no such file`:                                 {Issuer: iss, Audiences: aud, Keys: "missing.json"},
		`none of its 4 keys is a public key that`:      {Issuer: iss, Audiences: aud, Keys: useless},
		`none of its 1 keys`:                           {Issuer: iss, Audiences: aud, Keys: keyFile(t, encrypting)},
		`this is no set of keys (JWKS)`:                {Issuer: iss, Audiences: aud, Keys: garbage},
		`it is longer than 1048576 bytes`:              {Issuer: iss, Audiences: aud, Keys: long},
		`the mapping of "" to the group "g" lacks one`: {Issuer: iss, Audiences: aud, Keys: file, Mappings: []oidc.Mapping{{Group: "g"}}},
	} {
		_, err := oidc.New(oidc.Config{Issuers: []oidc.Issuer{i}})
		require.ErrorContains(t, err, text)
	}
	i := oidc.Issuer{Issuer: iss, Audiences: aud, Keys: file}
	_, err = oidc.New(oidc.Config{Issuers: []oidc.Issuer{i, i}})
	require.EqualError(t, err, `issuer "https://iam.example.org/": it is there twice`)
}

// A token as clients of STOMP send it: in the passcode, through the chain.
func TestThroughTheChain(t *testing.T) {
	key := newSigner(t, "k", jose.ES256)
	a := auth.NewChain(auth.ChainConfig{JWTs: issuers(t, oidc.Issuer{Keys: keyFile(t, key.public())}), Now: func() time.Time { return now }})
	p, err := a.Authenticate(t.Context(), gateway.Login{Credentials: gateway.Credentials{Login: "oauth2", Passcode: key.sign(t, says(nil), nil)}})
	require.NoError(t, err)
	require.Equal(t, "alice", p.Name)
	_, err = a.Authenticate(t.Context(), gateway.Login{Credentials: gateway.Credentials{Token: key.sign(t, says(map[string]any{"exp": 0}), nil)}})
	require.Equal(t, "User name [null] or password is invalid. the token of issuer https://iam.example.org/ has expired at 1970-01-01T00:00:00Z", gateway.TextOf(err))
	p, err = a.Renew(p)
	require.NoError(t, err)
	p.Expires = now
	_, err = a.Renew(p)
	require.ErrorIs(t, err, auth.ErrExpired)
}

func FuzzVerifyToken(f *testing.F) {
	key := newSigner(f, "k", jose.EdDSA)
	all := issuers(f, oidc.Issuer{Keys: keyFile(f, key.public())})
	good := key.sign(f, says(nil), nil)
	f.Add(good)
	f.Add(good + "A")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		_, found, err := all.VerifyToken(context.Background(), token)
		require.True(t, found)
		if err == nil { // the last character has bits that do not count
			require.Equal(t, good[:len(good)-1], token[:len(token)-1])
		}
	})
}

// FuzzClaims: whatever an issuer signs, nobody comes of it whom rules could not name.
func FuzzClaims(f *testing.F) {
	key := newSigner(f, "k", jose.EdDSA)
	all := issuers(f, oidc.Issuer{Keys: keyFile(f, key.public())})
	f.Add(says(nil))
	f.Add(says(map[string]any{"groups": []any{"a", nil}, "nbf": 1.5, "wlcg.ver": "1.0"}))
	f.Add(`{"iss":"https://iam.example.org/","exp":1e400}`)
	f.Fuzz(func(t *testing.T, payload string) {
		p, _, err := all.VerifyToken(context.Background(), key.sign(t, payload, nil))
		if err != nil {
			require.Equal(t, gateway.Unauthenticated, gateway.KindOf(err))
			return
		}
		require.NotEmpty(t, p.Name)
		require.True(t, p.Expires.After(now))
		for _, s := range append(p.Groups, p.Name) {
			require.NotContains(t, s, "\n")
			require.LessOrEqual(t, len(s), 256)
		}
	})
}
