package security

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

const issuerName = "https://idp.example.org"

// issuer signs tokens.
type issuer struct {
	key *ecdsa.PrivateKey
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return &issuer{key}
}

// publish writes the public key into a file.
func (i *issuer) publish(t testing.TB, dir, name string) {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: "k", Use: "sig"}}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
}

// token is one for Sluice.
func (i *issuer) token(t testing.TB, subject string, until time.Time, groups ...string) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"iss": issuerName, "aud": "sluice", "sub": subject, "groups": groups, "iat": time.Now().Add(-time.Hour).Unix(), "exp": until.Unix(),
	})
	require.NoError(t, err)
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: i.key, KeyID: "k"}}, nil)
	require.NoError(t, err)
	signed, err := s.Sign(text)
	require.NoError(t, err)
	token, err := signed.CompactSerialize()
	require.NoError(t, err)
	return token
}
