package jetstream_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/jetstream"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

// filled makes a store of two shards with some messages in each and closes it.
func filled(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s, shut := openStore(t, dir, true, 2)
	var a gatewaytest.Answer
	for i := range 20 {
		m := gatewaytest.Message("q", "id", "body")
		s.Journal(i%2).Append(&gateway.Record{Type: gateway.RecordMessage, Message: m}, &a)
	}
	a.Await(t, 20)
	shut()
	return dir
}

// reopen opens a store and reads it.
func reopen(t *testing.T, dir string, shards int) error {
	t.Helper()
	ns, err := embed.Start(context.Background(), embed.Config{Name: "n1", Dir: dir, MaxPayload: jetstream.MaxRecord, Logger: quiet()})
	require.NoError(t, err)
	defer ns.Stop()
	s, err := jetstream.Open(context.Background(), jetstream.Config{Dir: dir, Server: ns, Node: "n1", Shards: shards, Sync: true, Logger: quiet()})
	if err != nil {
		return err
	}
	for i := range s.Shards() {
		err = errors.Join(err, s.Journal(i).Replay(context.Background(), func(uint64, int, *gateway.Record) error { return nil }))
	}
	return errors.Join(err, s.Close(context.Background()))
}

func edit(t *testing.T, path, old, by string) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(b), old)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(b), old, by, 1)), 0o600))
}

func TestWhatSaysWhatMustBeThereIsMissedAndDoubted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		damage func(dir string)
		words  string
	}{
		"manifest gone": {func(dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "sluice.json"))) }, "sluice.json: it is gone"},
		"manifest and streams gone": {func(dir string) {
			require.NoError(t, os.Remove(filepath.Join(dir, "sluice.json")))
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "jetstream")))
		}, "marks.json speaks of messages"},
		"manifest and marks gone": {func(dir string) {
			require.NoError(t, os.Remove(filepath.Join(dir, "sluice.json")))
			require.NoError(t, os.Remove(filepath.Join(dir, "marks.json")))
		}, "sluice.json: it is gone, but there are messages"},
		"marks gone": {func(dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "marks.json"))) }, "marks.json: it cannot be read"},
		"a shard too few in the manifest": {func(dir string) {
			edit(t, filepath.Join(dir, "sluice.json"), `"shards": 2`, `"shards": 1`)
		}, "sluice.json: it speaks of 1 shards"},
		"a shard too many in the manifest": {func(dir string) {
			edit(t, filepath.Join(dir, "sluice.json"), `"shards": 2`, `"shards": 3`)
		}, "Q_02: it is gone"},
		"marks of another store": {func(dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "marks.json"), []byte("[]"), 0o600))
		}, "marks.json: it speaks of 0 shards"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t)
			c.damage(dir)
			for range 2 { // it must not come to terms with it
				err := reopen(t, dir, 2)
				var damage *jetstream.DamageError
				require.ErrorAs(t, err, &damage)
				require.ErrorContains(t, err, c.words)
			}
		})
	}
}

// A start that was cut short before the manifest was written is begun again.
func TestUnfinishedFirstStartIsBegunAgain(t *testing.T) {
	dir := t.TempDir()
	_, shut := openStore(t, dir, true, 2)
	shut()
	require.NoError(t, os.Remove(filepath.Join(dir, "sluice.json")))
	require.NoError(t, reopen(t, dir, 2))
	require.NoError(t, os.Remove(filepath.Join(dir, "sluice.json")))
	require.NoError(t, os.Remove(filepath.Join(dir, "marks.json")))
	require.NoError(t, reopen(t, dir, 2))
}

// While a store is read, which may take long, the marks must not promise records
// that nobody has seen yet: a torn tail would become damage.
func TestMarksPromiseNothingUnread(t *testing.T) {
	t.Parallel()
	dir := filled(t)
	edit(t, filepath.Join(dir, "marks.json"), `"last":10`, `"last":4`) // as a kill leaves them
	s, shut := openStore(t, dir, true, 2)
	defer shut()
	marks := func() string {
		b, err := os.ReadFile(filepath.Join(dir, "marks.json"))
		require.NoError(t, err)
		return string(b)
	}
	require.NoError(t, s.Journal(1).Replay(context.Background(), func(uint64, int, *gateway.Record) error { return nil }))
	var a gatewaytest.Answer
	s.Journal(1).Append(&gateway.Record{Type: gateway.RecordMessage, Message: gatewaytest.Message("q", "id", "body")}, &a)
	a.Await(t, 1)
	require.Eventually(t, func() bool { return strings.Contains(marks(), `"last":11`) }, 10*time.Second, 10*time.Millisecond)
	require.Contains(t, marks(), `"last":4`)
	require.NoError(t, s.Journal(0).Replay(context.Background(), func(uint64, int, *gateway.Record) error { return nil }))
	require.Eventually(t, func() bool { return strings.Contains(marks(), `"last":10`) }, 10*time.Second, 10*time.Millisecond)
}
