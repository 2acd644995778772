package users

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// MaxPasscode is the longest password, in bytes. Some forms take time in proportion to it.
const MaxPasscode = 1024

// The highest costs that are accepted from a file: a login must not take a second, nor the memory of the node.
const (
	maxArgonMemory  = 128 << 10 // KiB
	maxArgonWork    = 1 << 20   // KiB times passes
	maxArgonThreads = 16
	maxBcryptCost   = 14
	minSHARounds    = 1000
	maxSHARounds    = 1_000_000
)

// secret is a password as it is kept. Immutable.
type secret interface {
	// matches compares in constant time. It costs what the form costs, whether it matches or not.
	matches(passcode string) bool
	// form names the form and its parameters: secrets of one form cost the same.
	form() string
}

// parseSecret reads a password in any of the forms of a file. clear: it stood there for everybody to read.
func parseSecret(s string) (_ secret, clear bool, err error) {
	switch {
	case strings.HasPrefix(s, "$argon2id$"):
		h, err := parseArgon(s)
		return h, false, err
	case strings.HasPrefix(s, "$2"):
		h, err := parseBcrypt(s)
		return h, false, err
	case strings.HasPrefix(s, "$5$"), strings.HasPrefix(s, "$6$"):
		h, err := parseSHA(s)
		return h, false, err
	case strings.HasPrefix(s, "$"), schemed.MatchString(s):
		return nil, false, errors.New("the password is a hash of a kind that is not known here (argon2id, bcrypt, SHA-crypt are)")
	case strings.HasPrefix(s, "ENC(") && strings.HasSuffix(s, ")"):
		return nil, false, errors.New("the password is encrypted, ENC(...): write it in clear or as a hash")
	case len(s) > MaxPasscode:
		return nil, false, fmt.Errorf("the password is %d bytes long, the limit is %d", len(s), MaxPasscode)
	}
	return newPlain(s), true, nil
}

// schemed are the hashes of LDAP and htpasswd.
var schemed = regexp.MustCompile(`^\{[A-Za-z0-9-]+\}`)

type argon struct {
	memory, passes uint32
	threads        uint8
	salt, sum      []byte
}

// parseArgon reads "$argon2id$v=19$m=19456,t=2,p=1$salt$sum".
func parseArgon(s string) (argon, error) {
	bad := func(what string) (argon, error) { return argon{}, errors.New("the argon2id hash " + what) }
	fields := strings.Split(s, "$")
	if len(fields) != 6 {
		return bad("has not the form $argon2id$v=19$m=...,t=...,p=...$salt$hash")
	}
	if fields[2] != "v=19" {
		return bad("is not of version 19")
	}
	var n [3]uint64
	parameters := strings.Split(fields[3], ",")
	for i, name := range []string{"m=", "t=", "p="} {
		if len(parameters) != 3 || !strings.HasPrefix(parameters[i], name) {
			return bad("has not the parameters m=...,t=...,p=...")
		}
		var err error
		if n[i], err = strconv.ParseUint(parameters[i][2:], 10, 32); err != nil || n[i] == 0 {
			return bad("has a parameter that is no positive number")
		}
	}
	switch {
	case n[0] > maxArgonMemory:
		return bad(fmt.Sprintf("takes %d KiB of memory for each login, the limit is %d", n[0], maxArgonMemory))
	case n[2] > maxArgonThreads:
		return bad(fmt.Sprintf("takes %d threads for each login, the limit is %d", n[2], maxArgonThreads))
	case n[0] < 8*n[2]:
		return bad("has less than 8 KiB of memory for a thread")
	case n[0]*n[1] > maxArgonWork:
		return bad(fmt.Sprintf("takes %d passes over %d KiB for each login, the limit is %d", n[1], n[0], maxArgonWork/n[0]))
	}
	salt, err := base64.RawStdEncoding.DecodeString(fields[4])
	if err != nil || len(salt) < 8 || len(salt) > 64 {
		return bad("has no salt of 8 to 64 bytes")
	}
	sum, err := base64.RawStdEncoding.DecodeString(fields[5])
	if err != nil || len(sum) < 16 || len(sum) > 64 {
		return bad("has no sum of 16 to 64 bytes")
	}
	return argon{uint32(n[0]), uint32(n[1]), uint8(n[2]), salt, sum}, nil
}

func (a argon) matches(passcode string) bool {
	sum := argon2.IDKey([]byte(passcode), a.salt, a.passes, a.memory, a.threads, uint32(len(a.sum)))
	return subtle.ConstantTimeCompare(sum, a.sum) == 1
}

func (a argon) form() string {
	return fmt.Sprintf("argon2id m=%d,t=%d,p=%d", a.memory, a.passes, a.threads)
}

// The cost of new hashes: a few dozen milliseconds, 19 MiB.
const (
	newArgonMemory  = 19 << 10 // KiB
	newArgonPasses  = 2
	newArgonThreads = 1
)

// Hash returns a password as argon2id, fit for a file of users. The password has 1 to MaxPasscode bytes.
func Hash(password string) (string, error) {
	if password == "" || len(password) > MaxPasscode {
		return "", fmt.Errorf("the password has %d bytes; 1 to %d are possible", len(password), MaxPasscode)
	}
	salt := make([]byte, 16)
	rand.Read(salt)
	sum := argon2.IDKey([]byte(password), salt, newArgonPasses, newArgonMemory, newArgonThreads, 32)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, newArgonMemory, newArgonPasses, newArgonThreads,
		b64.EncodeToString(salt), b64.EncodeToString(sum)), nil
}

type bcrypted struct {
	hash []byte
	cost int
}

func parseBcrypt(s string) (bcrypted, error) {
	cost, err := bcrypt.Cost([]byte(s))
	switch {
	case err != nil || len(s) != 60 || strings.IndexByte("aby", s[2]) < 0:
		return bcrypted{}, errors.New("the bcrypt hash has not the form $2b$12$ and 53 characters")
	case cost > maxBcryptCost:
		return bcrypted{}, fmt.Errorf("the bcrypt hash has the cost %d, the limit is %d", cost, maxBcryptCost)
	}
	return bcrypted{[]byte(s), cost}, nil
}

// matches looks at the first 72 bytes, as bcrypt does everywhere.
func (b bcrypted) matches(passcode string) bool {
	return bcrypt.CompareHashAndPassword(b.hash, []byte(passcode)) == nil
}

func (b bcrypted) form() string { return fmt.Sprintf("bcrypt cost=%d", b.cost) }

type shaCrypted struct {
	digest algorithm.Digest
	name   string
}

// parseSHA reads "$6$salt$sum" and "$6$rounds=5000$salt$sum".
func parseSHA(s string) (shaCrypted, error) {
	bad := func(what string) (shaCrypted, error) { return shaCrypted{}, errors.New("the SHA-crypt hash " + what) }
	fields := strings.Split(s[1:], "$")
	rounds := uint64(5000)
	if len(fields) == 4 {
		digits, found := strings.CutPrefix(fields[1], "rounds=")
		var err error
		if rounds, err = strconv.ParseUint(digits, 10, 64); err != nil || !found {
			return bad("has no rounds=... between its salt and its kind")
		}
		fields = append(fields[:1], fields[2:]...)
	}
	length := 43
	if fields[0] == "6" {
		length = 86
	}
	switch {
	case len(fields) != 3 || len(fields[1]) > 16 || len(fields[2]) != length:
		return bad("has not the form $6$salt$hash")
	case rounds < minSHARounds || rounds > maxSHARounds:
		return bad(fmt.Sprintf("has %d rounds; %d to %d are possible", rounds, minSHARounds, maxSHARounds))
	}
	digest, err := shacrypt.Decode(s)
	if err != nil {
		return bad("cannot be read")
	}
	return shaCrypted{digest, fmt.Sprintf("sha-crypt %s rounds=%d", fields[0], rounds)}, nil
}

func (s shaCrypted) matches(passcode string) bool { return s.digest.Match(passcode) }

func (s shaCrypted) form() string { return s.name }

// plain keeps no password, but a sum under a random key, so that no memory of the process shows it.
type plain struct {
	key [32]byte
	sum [32]byte
}

func newPlain(password string) plain {
	var p plain
	rand.Read(p.key[:])
	p.sum = p.of(password)
	return p
}

func (p plain) of(password string) (sum [32]byte) {
	h := hmac.New(sha256.New, p.key[:])
	h.Write([]byte(password))
	h.Sum(sum[:0])
	return sum
}

func (p plain) matches(passcode string) bool {
	sum := p.of(passcode)
	return subtle.ConstantTimeCompare(sum[:], p.sum[:]) == 1
}

func (plain) form() string { return plainForm }

const plainForm = "plain"
