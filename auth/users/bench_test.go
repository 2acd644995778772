package users_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth/users"
)

// BenchmarkWarmLogin is a client that comes back within five minutes.
func BenchmarkWarmLogin(b *testing.B) {
	stored, err := users.Hash("geheim")
	require.NoError(b, err)
	u := users.New(users.Config{}, directory(b, users.User{Name: "alice", Password: stored, Groups: []string{"ops"}}))
	_, _, err = u.Verify(b.Context(), "alice", "geheim")
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := u.Verify(b.Context(), "alice", "geheim"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkColdLogin is what a login costs that nothing is known of.
func BenchmarkColdLogin(b *testing.B) {
	stored, err := users.Hash("geheim")
	require.NoError(b, err)
	u := users.New(users.Config{Remember: -1}, directory(b, users.User{Name: "alice", Password: stored}))
	for b.Loop() {
		if _, _, err := u.Verify(b.Context(), "alice", "geheim"); err != nil {
			b.Fatal(err)
		}
	}
}
