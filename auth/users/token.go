package users

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"

	"github.com/sluice-mq/sluice/auth"
	"github.com/sluice-mq/sluice/gateway"
)

const tokenPrefix = "sha256:"

// NewToken returns a token that nobody can guess, for its user, and what a file should keep of it.
func NewToken() (token, stored string) {
	b := make([]byte, 32)
	rand.Read(b)
	token = base64.RawURLEncoding.EncodeToString(b)
	return token, HashToken(token)
}

// HashToken returns what a file should keep of a token. A plain sum is enough for a token of NewToken; it is not for a password.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return tokenPrefix + hex.EncodeToString(sum[:])
}

// VerifyToken implements auth.Tokens for opaque tokens. It costs a microsecond and never waits.
func (u *Users) VerifyToken(_ context.Context, token string) (gateway.Principal, bool, error) {
	if len(token) > MaxPasscode {
		return gateway.Principal{}, false, nil
	}
	sum := sha256.Sum256([]byte(token))
	m := u.directory.Load().byToken[sum]
	if m == nil || subtle.ConstantTimeCompare(m.token[:], sum[:]) != 1 {
		return gateway.Principal{}, false, nil
	}
	if m.disabled {
		return gateway.Principal{}, true, refused(auth.ErrDisabled)
	}
	return u.principal(m, "token"), true, nil
}
