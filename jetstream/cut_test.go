package jetstream_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// Without syncs a power cut may take back records that were trimmed already: the marks
// are ahead of the stream then. What is stored afterwards must not count as trimmed.
func TestMarksAheadOfTheStreamHideNothingNew(t *testing.T) {
	dir := t.TempDir()
	s, shut := openStore(t, dir, false, 1)
	var a gatewaytest.Answer
	store := func(id string) {
		s.Journal(0).Append(&gateway.Record{Type: gateway.RecordMessage, Message: gatewaytest.Message("q", id, "body")}, &a)
	}
	for range 10 {
		store("old")
	}
	a.Await(t, 10)
	shut()
	edit(t, filepath.Join(dir, "marks.json"), `"low":1`, `"low":1000`)
	for n := range 3 { // with a stop after each message
		s, shut = openStore(t, dir, false, 1)
		b, err := os.ReadFile(filepath.Join(dir, "marks.json"))
		require.NoError(t, err)
		require.NotContains(t, string(b), "1000", "a kill from here on must find it mended")
		var got []string
		require.NoError(t, s.Journal(0).Replay(context.Background(), func(_ uint64, _ int, r *gateway.Record) error {
			got = append(got, r.Message.ID)
			return nil
		}))
		require.Len(t, got, n)
		store("new")
		a.Await(t, 11+n)
		shut()
	}
}
