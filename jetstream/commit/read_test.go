//go:build linux

package commit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// readAll returns what Read finds and where it stopped.
func readAll(t testing.TB, dir, stream string, from, to uint64) (found []string, next uint64) {
	t.Helper()
	at := from
	next, err := Read(dir, stream, from, to, func(seq uint64, subject, message []byte) (bool, error) {
		if string(subject) != "s" {
			return false, nil
		}
		require.Equal(t, at, seq)
		at++
		found = append(found, string(message))
		return true, nil
	})
	require.NoError(t, err)
	require.Equal(t, at, next)
	return found, next
}

// What the server has written is read as it is, over the blocks, with and without headers.
func TestReadFindsWhatTheServerHasWritten(t *testing.T) {
	l := openLive(t)
	const count = 500
	var want []string
	for i := range count {
		m := nats.NewMsg("s")
		m.Data = bytes.Repeat([]byte{byte(i)}, i)
		if i%3 == 0 {
			m.Header.Set("Name", "value")
		}
		_, err := l.js.PublishMsg(m)
		require.NoError(t, err)
		want = append(want, string(m.Data))
	}
	blocks, err := filepath.Glob(filepath.Join(l.dir, "*.blk"))
	require.NoError(t, err)
	require.Greater(t, len(blocks), 2, "the test wants several blocks")
	found, next := readAll(t, l.dir, "S", 1, count)
	require.Equal(t, want, found)
	require.EqualValues(t, count+1, next)
	for _, from := range []uint64{2, 100, 321, count} {
		found, _ = readAll(t, l.dir, "S", from, count)
		require.Equal(t, want[from-1:], found)
	}
	found, next = readAll(t, l.dir, "S", 10, 20)
	require.Equal(t, want[9:20], found)
	require.EqualValues(t, 21, next)
	found, next = readAll(t, l.dir, "S", count+1, count+10)
	require.Empty(t, found)
	require.EqualValues(t, count+1, next)
	found, _ = readAll(t, l.dir, "another", 1, count)
	require.Empty(t, found, "the checksums are those of a stream")
	_, err = Read(l.dir, "S", 1, count, func(uint64, []byte, []byte) (bool, error) { return true, errors.New("enough") })
	require.EqualError(t, err, "enough")
}

// Whatever bit of a block is flipped, and wherever it is cut: what is read is what was written, up to the damage.
func TestReadStopsAtDamage(t *testing.T) {
	l := openLive(t)
	for i := range 6 {
		m := nats.NewMsg("s")
		m.Data = fmt.Appendf(nil, "message %d", i)
		if i%2 == 0 {
			m.Header.Set("Name", "value")
		}
		_, err := l.js.PublishMsg(m)
		require.NoError(t, err)
	}
	whole, err := os.ReadFile(filepath.Join(l.dir, "1.blk"))
	require.NoError(t, err)
	dir := t.TempDir()
	check := func(b []byte, what string, at int) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "1.blk"), b, 0o600))
		found, next := readAll(t, dir, "S", 1, 6)
		for i, m := range found {
			require.Equal(t, fmt.Sprintf("message %d", i), m, "%s at %d", what, at)
		}
		require.Less(t, next, uint64(7), "%s at %d", what, at)
	}
	for n := range whole {
		check(whole[:n], "cut", n)
	}
	for bit := range 8 * len(whole) {
		damaged := bytes.Clone(whole)
		damaged[bit/8] ^= 1 << (bit % 8)
		check(damaged, "bit", bit)
	}
}

// FuzzRead: no bytes make it panic, or read beyond them.
func FuzzRead(f *testing.F) {
	record := []byte{40, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 2, 0, 's', '.'}
	f.Add(append(record, make([]byte, 16)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		for rest := b; len(rest) > 0; {
			r, next, ok := split(rest)
			if !ok {
				break
			}
			require.Less(t, len(next), len(rest))
			require.LessOrEqual(t, len(r.message), len(r.content))
			rest = next
		}
	})
}

// BenchmarkRead: a record of 300 bytes.
func BenchmarkRead(b *testing.B) {
	l := openLive(b)
	body := make([]byte, 300)
	const count = 20_000
	for range count {
		_, err := l.js.PublishAsync("s", body)
		require.NoError(b, err)
	}
	<-l.js.PublishAsyncComplete()
	b.ReportAllocs()
	for n := 0; n < b.N; n += count {
		next, err := Read(l.dir, "S", 1, count, func(uint64, []byte, []byte) (bool, error) { return true, nil })
		require.NoError(b, err)
		require.EqualValues(b, count+1, next)
	}
}
