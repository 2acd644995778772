//go:build linux

package commit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// readOnFrom returns what ReadOn finds, most messages at once.
func readOnFrom(t testing.TB, dir string, from, to uint64, most int) (found []string) {
	t.Helper()
	at, ok := Find(dir, from)
	for next := from; ok && next <= to; {
		before, n := next, 0
		next, at = ReadOn(dir, "S", at, next, to, func(seq uint64, subject, message []byte) bool {
			if n++; n > most || string(subject) != "s" {
				return false
			}
			require.Equal(t, from+uint64(len(found)), seq)
			found = append(found, string(message))
			return true
		})
		if next == before {
			break
		}
	}
	return found
}

// Who reads on, a few at a time, finds what the server has written, over the blocks and whatever is longer than what is read at once.
func TestReadOnFindsWhatTheServerHasWritten(t *testing.T) {
	l := openLive(t)
	const count = 300
	var want []string
	for i := range count {
		m := nats.NewMsg("s")
		m.Data = bytes.Repeat([]byte{byte(i)}, i)
		if i%100 == 50 {
			m.Data = bytes.Repeat([]byte{byte(i)}, 2*readOnBytes)
		}
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
	for _, most := range []int{1, 7, count} {
		for _, from := range []uint64{1, 2, 100, 221, count} {
			require.True(t, equal(want[from-1:], readOnFrom(t, l.dir, from, count, most)), "%d at once from %d", most, from)
		}
	}
	require.True(t, equal(want[9:20], readOnFrom(t, l.dir, 10, 20, 4)))
	_, there := Find(l.dir, count+1)
	require.False(t, there)

	at, _ := Find(l.dir, 20)
	next, same := ReadOn(l.dir, "S", at, 21, count, func(uint64, []byte, []byte) bool { return true })
	require.EqualValues(t, 21, next, "the place of another record")
	require.Equal(t, at, same)
	next, _ = ReadOn(l.dir, "another", at, 20, count, func(uint64, []byte, []byte) bool { return true })
	require.EqualValues(t, 20, next, "the checksums are those of a stream")

	next, at = ReadOn(l.dir, "S", at, 20, count, func(uint64, []byte, []byte) bool { return true })
	require.EqualValues(t, count+1, next)
	_, err = l.js.Publish("s", []byte("later"))
	require.NoError(t, err)
	next, _ = ReadOn(l.dir, "S", at, next, count+1, func(_ uint64, _, m []byte) bool { return string(m) == "later" })
	require.EqualValues(t, count+2, next, "what comes behind the end")
}

func equal(a, b []string) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// Whatever bit of a block is flipped, and wherever it is cut: who reads on is given what was written, up to the damage.
func TestReadOnStopsAtDamage(t *testing.T) {
	l := openLive(t)
	for i := range 4 {
		_, err := l.js.Publish("s", fmt.Appendf(nil, "message %d", i))
		require.NoError(t, err)
	}
	whole, err := os.ReadFile(filepath.Join(l.dir, "1.blk"))
	require.NoError(t, err)
	dir := t.TempDir()
	check := func(b []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "1.blk"), b, 0o600))
		for from := uint64(1); from <= 4; from++ {
			found := readOnFrom(t, dir, from, 4, 9)
			for i, m := range found {
				require.Equal(t, fmt.Sprintf("message %d", int(from)-1+i), m)
			}
		}
		require.Less(t, len(readOnFrom(t, dir, 1, 4, 9)), 4)
	}
	for n := range whole {
		check(whole[:n])
	}
	for bit := range 8 * len(whole) {
		damaged := bytes.Clone(whole)
		damaged[bit/8] ^= 1 << (bit % 8)
		check(damaged)
	}
}

// FuzzReadOn: whatever is in a file, and wherever one begins, it ends, and nothing that is not sound is found.
func FuzzReadOn(f *testing.F) {
	record := []byte{40, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 2, 0, 's', '.'}
	f.Add(append(record, make([]byte, 16)...), uint64(1), int64(0))
	f.Add([]byte{0xff, 0xff, 0xff, 0x7f}, uint64(0), int64(3))
	f.Fuzz(func(t *testing.T, b []byte, seq uint64, offset int64) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "1.blk"), b, 0o600))
		_, _ = Find(dir, seq)
		next, _ := ReadOn(dir, "S", Place{1, max(offset, 0)}, seq, seq+10, func(uint64, []byte, []byte) bool { return true })
		require.LessOrEqual(t, next-seq, uint64(len(b)/minRecord))
	})
}
