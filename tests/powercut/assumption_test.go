//go:build linux

package powercut

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// filled makes a store with n records, of which the server wrote its index, and stops it without a word. It returns the
// first sequences of the blocks but the first.
func filled(t *testing.T, n uint64) (root string, blocks []string) {
	t.Helper()
	live := t.TempDir()
	s, err := OpenStore(live, false)
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.Create(true))
	for id := range n {
		_, err := s.JS.Publish(subjectOf(0), Content(id))
		require.NoError(t, err)
	}
	require.NoError(t, s.JS.PurgeStream(streamName(0), &nats.StreamPurgeRequest{Sequence: 2})) // writes index.db
	root = t.TempDir()
	require.NoError(t, os.CopyFS(root, os.DirFS(live)))
	blocks, err = filepath.Glob(filepath.Join(MsgsDir(root, 0), "*.blk"))
	require.NoError(t, err)
	require.Greater(t, len(blocks), 3)
	_, err = os.Stat(filepath.Join(MsgsDir(root, 0), "index.db"))
	require.NoError(t, err)
	return root, blocks
}

// shorten cuts the end off a block.
func shorten(t *testing.T, block string) {
	t.Helper()
	i, err := os.Stat(block)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(block, i.Size()/2))
}

// The store's index may be newer than its blocks: then the store goes on behind the last sequence of the index, and
// the lost tail is a gap for ever. A reader must take a gap above the last promise for what it is.
func TestTheIndexMayRememberSequencesThatAreLost(t *testing.T) {
	root, _ := filled(t, 100)
	shorten(t, filepath.Join(MsgsDir(root, 0), newestBlock(t, root)))
	s, err := OpenStore(root, false)
	require.NoError(t, err)
	defer s.Close()
	found, _, err := s.Records(0)
	require.NoError(t, err)
	require.NotContains(t, found, uint64(100))
	require.Contains(t, found, uint64(50))
	ack, err := s.JS.Publish(subjectOf(0), Content(1))
	require.NoError(t, err)
	require.Equal(t, uint64(101), ack.Sequence, "the lost sequences are not used again when the index is newer")
}

func TestWithoutTheIndexSequencesAreUsedAgain(t *testing.T) {
	root, _ := filled(t, 100)
	shorten(t, filepath.Join(MsgsDir(root, 0), newestBlock(t, root)))
	require.NoError(t, os.Remove(filepath.Join(MsgsDir(root, 0), "index.db")))
	s, err := OpenStore(root, false)
	require.NoError(t, err)
	defer s.Close()
	found, _, err := s.Records(0)
	require.NoError(t, err)
	ack, err := s.JS.Publish(subjectOf(0), Content(1))
	require.NoError(t, err)
	require.Less(t, ack.Sequence, uint64(100))
	require.Contains(t, found, ack.Sequence-1)
	require.NotContains(t, found, ack.Sequence)
}

// The end of a block may be lost and the next block be there: a gap. A store whose index fits its newest block does not
// know of it until it reads the block, so its counts tell nothing; reading shows it, one by one and in batches.
func TestATornBlockInTheMiddleIsAGap(t *testing.T) {
	for name, index := range map[string]bool{"with index": true, "without index": false} {
		t.Run(name, func(t *testing.T) {
			root, blocks := filled(t, 100)
			for _, b := range blocks {
				if filepath.Base(b) == "2.blk" {
					shorten(t, b)
				}
			}
			if !index {
				require.NoError(t, os.Remove(filepath.Join(MsgsDir(root, 0), "index.db")))
			}
			s, err := OpenStore(root, false)
			require.NoError(t, err)
			defer s.Close()
			batch := readBatch(t, s, 1)
			found, foreign, err := s.Records(0)
			require.NoError(t, err)
			require.Empty(t, foreign)
			require.Contains(t, found, uint64(2))
			require.Contains(t, found, uint64(100))
			require.Less(t, len(found), 99)
			require.Len(t, batch, len(found))
			for seq := range batch {
				require.Contains(t, found, seq)
			}
		})
	}
}

// readBatch reads up to 200 records from seq on with one direct get.
func readBatch(t *testing.T, s *Store, seq uint64) map[uint64]bool {
	t.Helper()
	sub, err := s.Conn.SubscribeSync(s.Conn.NewInbox())
	require.NoError(t, err)
	body := fmt.Sprintf(`{"seq":%d,"batch":200}`, seq)
	require.NoError(t, s.Conn.PublishRequest("$JS.API.DIRECT.GET."+streamName(0), sub.Subject, []byte(body)))
	got := map[uint64]bool{}
	for {
		m, err := sub.NextMsg(patience)
		require.NoError(t, err)
		if status := m.Header.Get("Status"); status != "" {
			require.Equal(t, "204", status, m.Header.Get("Description"))
			return got
		}
		n, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
		require.NoError(t, err)
		got[n] = true
	}
}

func newestBlock(t *testing.T, root string) string {
	t.Helper()
	names, err := readNames(MsgsDir(root, 0))
	require.NoError(t, err)
	newest := ""
	for name := range names {
		if filepath.Ext(name) == ".blk" && (newest == "" || blockNumber(name) > blockNumber(newest)) {
			newest = name
		}
	}
	return newest
}
