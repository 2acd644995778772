package users_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/sluice-mq/sluice/auth/users"
)

// Of "geheim" with the salt "abcdefgh", made by openssl passwd and by crypt(3).
const (
	shaCrypt256    = "azU9PNNJw9essBuwq5yihWY9lFXM0dF54Ph4sAxX.YB"
	shaCrypt512    = "msgktWxVAbjjh3X7lA5LaM7dS/ZfABJL6T4qcRsnjcOTj0kptUvZcrvrXIoO5fgPA9xz6UnF2To2Y7jGc/IZY/"
	shaCryptRounds = "hNWV3710B01PtGd5gYCv63YkS8oo9IIeqTEUJHviy9fvppwU3reFqFFBfxg/qZSYskUYQ.RC.dFh9YoQLVC2L."
)

// quickly is argon2id with parameters that cost next to nothing.
func quickly(t testing.TB, password string) string {
	t.Helper()
	sum := argon2.IDKey([]byte(password), []byte("saltsalt"), 1, 8, 1, 32)
	return quick + base64.RawStdEncoding.EncodeToString(sum)
}

func bcrypted(t testing.TB, password string) string {
	t.Helper()
	b, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	require.NoError(t, err)
	return strings.Replace(string(b), "$2a$", "$2b$", 1)
}

// FuzzPassword: whatever stands in a file, nothing costs more than it may and nothing secret is told.
func FuzzPassword(f *testing.F) {
	f.Add(quick+"MDEyMzQ1Njc4OWFiY2RlZg", "geheim")
	f.Add("$6$rounds=1000$abcdefgh$"+shaCryptRounds, "geheim")
	f.Add("$2b$04$"+strings.Repeat("a", 53), "x")
	f.Fuzz(func(t *testing.T, stored, passcode string) {
		d, err := users.NewDirectory([]users.User{{Name: "a", Password: stored}}, nil)
		if err != nil {
			if len(stored) > 20 {
				require.NotContains(t, err.Error(), stored)
			}
			return
		}
		if len(stored) > 100 || strings.Contains(stored, "rounds=") || strings.HasPrefix(stored, "$argon2id") && !strings.Contains(stored, "m=8,t=1,p=1$") ||
			strings.HasPrefix(stored, "$2") && !strings.Contains(stored, "$04$") {
			return // too slow for here
		}
		_, _, err = users.New(users.Config{}, d).Verify(t.Context(), "a", passcode)
		if err == nil {
			require.NotEmpty(t, passcode)
		}
	})
}
