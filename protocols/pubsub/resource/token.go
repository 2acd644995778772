package resource

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

// Token is what is stored of a user's token: it recognises the token, and does not give it away.
type Token struct {
	// Sum is its SHA-256, in hexadecimal. Tokens are 32 random bytes: nobody finds one by trying.
	Sum string `json:"sum"`
	// Sealed is the token itself under the key of a Vault; empty if there was none.
	Sealed []byte `json:"sealed,omitempty"`
}

// SumOf is the sum that a token is recognised by.
func SumOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// NewToken makes one as the service writes them: 64 hexadecimal digits.
func NewToken() string {
	var b [32]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// isToken reports whether something looks like a token.
func isToken(s string) bool {
	if len(s) != 2*sha256.Size {
		return false
	}
	_, err := hex.DecodeString(s)
	return err == nil
}

// NewID makes an ID as the service writes them: a random UUID.
func NewID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// Vault seals tokens, so that they can be shown again. Safe for concurrent use.
type Vault struct{ aead cipher.AEAD }

// MinKey is how long the key of a Vault is at least, in bytes.
const MinKey = 32

// NewVault makes a vault whose tokens open with that key alone.
func NewVault(key []byte) (*Vault, error) {
	if len(key) < MinKey {
		return nil, errors.New("the key for tokens is too short: it has to have 32 bytes at least")
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("sluice pubsub tokens"))
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &Vault{aead}, err
}

// keep is what is stored of a user's token. v may be nil. What is sealed for one user opens for no other one.
func (v *Vault) keep(token, user string) Token {
	t := Token{Sum: SumOf(token)}
	if v != nil {
		t.Sealed = v.aead.Seal(nil, nil, []byte(token), []byte(user))
	}
	return t
}

// open returns the token, empty if it cannot be told. v may be nil.
func (v *Vault) open(t Token, user string) string {
	if v == nil || len(t.Sealed) == 0 {
		return ""
	}
	token, err := v.aead.Open(nil, nil, t.Sealed, []byte(user))
	if err != nil {
		return ""
	}
	return string(token)
}
