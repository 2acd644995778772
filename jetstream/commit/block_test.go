//go:build linux

package commit

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

func TestFirstSequence(t *testing.T) {
	record := func(length uint32, seq uint64, subject uint16) []byte {
		b := make([]byte, 64)
		binary.LittleEndian.PutUint32(b, length)
		binary.LittleEndian.PutUint64(b[4:], seq)
		binary.LittleEndian.PutUint16(b[20:], subject)
		return b
	}
	for name, c := range map[string]struct {
		content []byte
		want    uint64
	}{
		"plain":              {record(40, 7, 10), 7},
		"headers":            {record(1<<31|44, 8, 10), 8},
		"headers do not fit": {record(1<<31|40, 8, 10), 0},
		"erased":             {record(40, 1<<63|7, 10), 0},
		"tombstone":          {record(30, 1<<62|7, 0), 0},
		"sequence 0":         {record(40, 0, 10), 0},
		"zeros":              {make([]byte, 64), 0},
		"too short a length": {record(29, 7, 0), 0},
		"absurd length":      {record(1<<30, 7, 10), 0},
		"subject too long":   {record(40, 7, 11), 0},
		"compressed":         {append([]byte("cmp\x01"), record(40, 7, 10)...), 0},
		"torn":               {record(40, 7, 10)[:21], 0},
		"empty":              {nil, 0},
	} {
		path := filepath.Join(t.TempDir(), "1.blk")
		require.NoError(t, os.WriteFile(path, c.content, 0o644))
		got, ok := FirstSequence(path)
		require.Equal(t, c.want, got, name)
		require.Equal(t, c.want != 0, ok, name)
	}
	_, ok := FirstSequence(filepath.Join(t.TempDir(), "none"))
	require.False(t, ok)
}

// live is a stream on an embedded server, with blocks small enough to see many.
type live struct {
	t    testing.TB
	js   nats.JetStreamContext
	root string
	dir  string
}

func openLive(t testing.TB) *live {
	t.Helper()
	root := t.TempDir()
	s, err := server.NewServer(&server.Options{
		ServerName: "n", DontListen: true, JetStream: true, StoreDir: root, NoSigs: true, NoLog: true,
		SyncInterval: 24 * time.Hour,
	})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(patience))
	nc, err := nats.Connect("", nats.InProcessServer(s))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := nc.JetStream()
	require.NoError(t, err)
	// The store chooses its block size when the stream is created, from MaxBytes, and keeps it until the server is
	// started again: blocks of 32 KB, without the limit.
	cfg := &nats.StreamConfig{Name: "S", Subjects: []string{"s"}, Storage: nats.FileStorage, MaxBytes: 64 << 10}
	_, err = js.AddStream(cfg)
	require.NoError(t, err)
	cfg.MaxBytes = -1
	_, err = js.UpdateStream(cfg)
	require.NoError(t, err)
	return &live{t, js, root, filepath.Join(root, "jetstream", "$G", "streams", "S", "msgs")}
}

func (l *live) publish(n int) {
	l.t.Helper()
	for range n {
		_, err := l.js.Publish("s", make([]byte, 1000))
		require.NoError(l.t, err)
	}
}

type seen struct {
	inode    uint64
	size     int64
	modified time.Time
}

func (l *live) blocks() map[string]seen {
	l.t.Helper()
	entries, err := os.ReadDir(l.dir)
	require.NoError(l.t, err)
	found := map[string]seen{}
	for _, e := range entries {
		if e.Name() == "index.db" {
			continue
		}
		i, err := e.Info()
		require.NoError(l.t, err)
		found[e.Name()] = seen{inode(i), i.Size(), i.ModTime()}
	}
	return found
}

func TestPurgeAtABoundaryOnlyUnlinks(t *testing.T) {
	l := openLive(t)
	c := start(t, l.root, OS{})
	s := &counter{}
	log, err := c.Add(l.dir, s)
	require.NoError(t, err)
	_, ok := log.Boundary(1 << 40)
	require.False(t, ok, "an empty log has none")
	l.publish(20)
	_, ok = log.Boundary(20)
	require.False(t, ok, "the first block bounds nothing")
	l.publish(380)
	before := l.blocks()
	require.Greater(t, len(before), 10)

	low, top := uint64(1), uint64(0)
	for below := uint64(1); below <= 400; below += 37 {
		seq, ok := log.Boundary(below)
		if !ok {
			continue
		}
		require.LessOrEqual(t, seq, below)
		require.Greater(t, seq, low)
		require.NoError(t, l.js.PurgeStream("S", &nats.StreamPurgeRequest{Sequence: seq}))
		info, err := l.js.StreamInfo("S")
		require.NoError(t, err)
		require.Equal(t, seq, info.State.FirstSeq)
		require.Equal(t, uint64(400), info.State.LastSeq)
		require.Equal(t, int(0), info.State.NumDeleted)
		after := l.blocks()
		require.Less(t, len(after), len(before), "whole blocks go")
		for name, a := range after {
			require.Equal(t, before[name], a, "%s was touched", name)
		}
		require.Contains(t, after, fmt.Sprintf("%d.blk", lowest(t, after)))
		got, ok := FirstSequence(filepath.Join(l.dir, fmt.Sprintf("%d.blk", lowest(t, after))))
		require.True(t, ok)
		require.Equal(t, seq, got)
		before, low, top = after, seq, below
	}
	require.Greater(t, top, uint64(300))
	for seq := low; seq <= 400; seq++ {
		_, err := l.js.GetMsg("S", seq)
		require.NoError(t, err)
	}

	// What the store did, as the committer saw it: no block arrived by a rename.
	s.acknowledged(log)
	require.NoError(t, c.Close())
	require.Zero(t, c.Stats().Renamed)
}

func lowest(t *testing.T, blocks map[string]seen) uint64 {
	t.Helper()
	low := ^uint64(0)
	for name := range blocks {
		index, ok := blockIndex(name)
		require.True(t, ok, "%s is no block", name)
		low = min(low, index)
	}
	return low
}

// TestPurgeInsideABlockWrites is why boundaries matter: the same purge one record further leaves a tombstone in
// the newest block, for every record it takes out of a block that stays.
func TestPurgeInsideABlockWrites(t *testing.T) {
	l := openLive(t)
	c := start(t, l.root, OS{})
	log, err := c.Add(l.dir, &counter{})
	require.NoError(t, err)
	l.publish(100)
	seq, ok := log.Boundary(60)
	require.True(t, ok)
	before := l.blocks()
	require.NoError(t, l.js.PurgeStream("S", &nats.StreamPurgeRequest{Sequence: seq + 3}))
	touched := 0
	for name, a := range l.blocks() {
		if before[name] != a {
			touched++
		}
	}
	require.NotZero(t, touched)
}

func TestBoundaryNeedsAPlainFirstRecord(t *testing.T) {
	l := openLive(t)
	c := start(t, l.root, OS{})
	log, err := c.Add(l.dir, &counter{})
	require.NoError(t, err)
	l.publish(100)
	want, ok := log.Boundary(90)
	require.True(t, ok)
	require.NoError(t, os.WriteFile(filepath.Join(l.dir, "1000.blk"), nil, 0o644))
	got, ok := log.Boundary(90)
	require.True(t, ok)
	require.Equal(t, want, got, "an empty block is passed over")
	require.NoError(t, os.WriteFile(filepath.Join(l.dir, "1.key"), nil, 0o644))
	_, ok = log.Boundary(90)
	require.False(t, ok, "an encrypted log has none")
}
