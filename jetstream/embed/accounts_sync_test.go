package embed

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// disk remembers what of each file and directory was synced, as a disk does whose machine loses its power.
type disk struct {
	mu    sync.Mutex
	sizes map[string]int64
	fails error
}

func (d *disk) sync(f *os.File) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fails != nil {
		return d.fails
	}
	i, err := f.Stat()
	if err == nil {
		d.sizes[f.Name()] = i.Size()
	}
	return err
}

// taken returns what was synced since the last call.
func (d *disk) taken() map[string]int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.sizes
	d.sizes = map[string]int64{}
	return all
}

// A pass syncs what was changed, and the directories in which something appeared or went, and nothing else.
func TestAPassSyncsWhatWasChanged(t *testing.T) {
	d := &disk{sizes: map[string]int64{}}
	root := filepath.Join(t.TempDir(), "jetstream", "USERS")
	s := newSyncer(root, d.sync, slog.New(slog.DiscardHandler))
	require.NoError(t, s.pass(time.Now()), "nothing is there yet")
	require.Empty(t, d.taken())
	msgs := filepath.Join(root, "streams", "S", "msgs")
	require.NoError(t, os.MkdirAll(msgs, 0o700))
	block := filepath.Join(msgs, "1.blk")
	require.NoError(t, os.WriteFile(block, []byte("abc"), 0o600))
	require.NoError(t, s.pass(time.Now()))
	first := d.taken()
	require.EqualValues(t, 3, first[block])
	for dir := msgs; dir != filepath.Dir(filepath.Dir(root)); dir = filepath.Dir(dir) {
		require.Contains(t, first, dir)
	}
	later := time.Now().Add(time.Minute) // by then no file is young
	require.NoError(t, s.pass(later))
	require.Contains(t, d.taken(), block, "what was changed a moment ago may have changed again within the same tick of the clock")
	require.NoError(t, s.pass(later))
	require.Empty(t, d.taken())
	f, err := os.OpenFile(block, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString("def")
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.NoError(t, s.pass(later))
	require.Equal(t, map[string]int64{block: 6}, d.taken())
	require.NoError(t, os.Remove(block))
	require.NoError(t, s.pass(later))
	require.Len(t, d.taken(), 1, "its directory")
	require.NotContains(t, s.known, block)
}

// What could not be synced is said, and tried again.
func TestAPassThatFailsIsRepeated(t *testing.T) {
	d := &disk{sizes: map[string]int64{}, fails: errors.New("sick disk")}
	root := t.TempDir()
	block := filepath.Join(root, "1.blk")
	require.NoError(t, os.WriteFile(block, nil, 0o600))
	s := newSyncer(root, d.sync, slog.New(slog.DiscardHandler))
	later := time.Now().Add(time.Minute)
	require.ErrorContains(t, s.pass(later), "sick disk")
	d.fails = nil
	require.NoError(t, s.pass(later))
	require.Contains(t, d.taken(), block)
}

// Everything that a stream, a consumer and a bucket have on disk when a PubAck came is synced by the next pass: all of it, since
// the server writes before it answers.
func TestWhatWasAcknowledgedIsSyncedByTheNextPass(t *testing.T) {
	dir := t.TempDir()
	s, err := Start(context.Background(), Config{Name: "n1", Dir: dir, MaxPayload: 1 << 20, Logger: slog.New(slog.DiscardHandler), Streams: Streams{Storage: 1 << 30}})
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	require.NotNil(t, s.syncer)
	root := filepath.Join(dir, "jetstream", string(Users))
	require.Equal(t, root, s.syncer.root)
	js := direct(t, s)
	d := &disk{sizes: map[string]int64{}}
	own := newSyncer(root, d.sync, slog.New(slog.DiscardHandler))
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	require.NoError(t, err)
	durable := map[string]int64{}
	for range 50 {
		_, err = js.Publish(t.Context(), "s", make([]byte, 1000))
		require.NoError(t, err)
		written := map[string]int64{}
		blocks, err := filepath.Glob(filepath.Join(root, "streams", "S", "msgs", "*.blk"))
		require.NoError(t, err)
		require.NotEmpty(t, blocks)
		total := int64(0)
		for _, b := range blocks {
			i, err := os.Stat(b)
			require.NoError(t, err)
			written[b] = i.Size()
			total += i.Size()
		}
		require.NoError(t, own.pass(time.Now()))
		for name, size := range d.taken() {
			durable[name] = size
		}
		for name, size := range written {
			require.GreaterOrEqual(t, durable[name], size, name)
		}
	}
	info, err := js.Stream(t.Context(), "S")
	require.NoError(t, err)
	last := int64(0)
	for name, size := range durable {
		if strings.HasSuffix(name, ".blk") {
			last += size
		}
	}
	require.GreaterOrEqual(t, last, int64(info.CachedInfo().State.Bytes), "all that the server has acknowledged")
}

// direct asks the server itself, as the door does.
func direct(t *testing.T, s *Server) jetstream.JetStream {
	t.Helper()
	users, err := s.Connect(Users, "test")
	require.NoError(t, err)
	t.Cleanup(users.Close)
	system, err := s.Connect(System, "test")
	require.NoError(t, err)
	t.Cleanup(system.Close)
	_, err = system.Subscribe(s.Own()+"api.>", func(m *nats.Msg) {
		ask := nats.NewMsg("$JS.API." + strings.TrimPrefix(m.Subject, s.Own()+"api."))
		ask.Data = m.Data
		ask.Header.Set("Nats-Request-Info", `{"acc":"USERS","cluster":"`+system.ConnectedClusterName()+`"}`)
		if answer, err := system.RequestMsg(ask, 20*time.Second); err == nil {
			_ = m.Respond(answer.Data)
		}
	})
	require.NoError(t, err)
	require.NoError(t, system.Flush())
	js, err := jetstream.New(users)
	require.NoError(t, err)
	return js
}

// Where there is no space publishes are refused until there is, also when the storage was started again meanwhile.
func TestNoSpaceForOwnStreams(t *testing.T) {
	s, err := Start(context.Background(), Config{Name: "n1", Dir: t.TempDir(), MaxPayload: 1 << 20, Logger: slog.New(slog.DiscardHandler), Streams: Streams{Storage: 1 << 30}})
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	js := direct(t, s)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), "s", []byte("1"))
	require.NoError(t, err)
	require.NoError(t, s.Admit(false))
	_, err = js.Publish(t.Context(), "s", []byte("2"))
	var refusal *jetstream.APIError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, jetstream.ErrorCode(10002), refusal.ErrorCode)
	require.NoError(t, s.Admit(true))
	_, err = js.Publish(t.Context(), "s", []byte("3"))
	require.NoError(t, err)
	require.NoError(t, s.Revive())
	_, err = js.Publish(t.Context(), "s", []byte("4"))
	require.NoError(t, err)
	stream, err := js.Stream(t.Context(), "S")
	require.NoError(t, err)
	require.EqualValues(t, 3, stream.CachedInfo().State.Msgs)
	for _, subject := range []string{"$JS.API.INFO", "$JS.API.STREAM.NAMES"} { // the server alone answers nothing, also now
		other, err := s.Connect(Users, "other")
		require.NoError(t, err)
		sub, err := other.SubscribeSync("_INBOX.x")
		require.NoError(t, err)
		require.NoError(t, other.PublishRequest(subject, "_INBOX.x", nil))
		_, err = sub.NextMsg(20 * time.Second)
		require.NoError(t, err, "the door's")
		_, err = sub.NextMsg(100 * time.Millisecond)
		require.ErrorIs(t, err, nats.ErrTimeout, "and nobody else's")
		other.Close()
	}
}

// awaitWorkers waits until the server's workers for requests have begun: they read under a lock what is written without it when its storage is started again.
func awaitWorkers(t *testing.T) {
	stacks := make([]byte, 1<<20)
	require.Eventually(t, func() bool {
		for _, g := range strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			if strings.Contains(g, "processJSAPIRoutedRequests(") && strings.Contains(g, "[select") {
				return true
			}
		}
		return false
	}, 10*time.Second, time.Millisecond)
}

// A node that has no streams of clients starts, and starts its storage again, where not even a folder can be made; nothing is said of the placeholder.
func TestTheFolderOfOwnStreamsIsThere(t *testing.T) {
	dir := t.TempDir()
	var said bytes.Buffer
	cfg := Config{Name: "n1", Dir: dir, MaxPayload: 1 << 20, Logger: slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelWarn})), Streams: Streams{Storage: 1 << 30}}
	folder := filepath.Join(dir, "jetstream", string(Users), "streams")
	for range 2 {
		s, err := Start(context.Background(), cfg)
		require.NoError(t, err)
		require.True(t, s.Streams())
		before, err := os.Stat(folder)
		require.NoError(t, err)
		awaitWorkers(t)
		require.NoError(t, s.Revive())
		after, err := os.Stat(folder)
		require.NoError(t, err)
		require.True(t, os.SameFile(before, after), "it was not made anew")
		s.Stop()
	}
	require.Empty(t, said.String())
	require.NoError(t, os.RemoveAll(filepath.Dir(folder)))
	require.NoError(t, os.WriteFile(filepath.Dir(folder), nil, 0o600)) // in the way
	cfg.Streams = Streams{Storage: 1 << 30}
	s := &Server{cfg: cfg}
	s.makeRoom()
	require.False(t, s.Streams())
	require.Contains(t, said.String(), "no streams of their own until the next start")
}

// What a pass costs over a thousand streams that have not changed.
func BenchmarkPass(b *testing.B) {
	root := b.TempDir()
	for i := range 1000 {
		msgs := filepath.Join(root, "streams", strconv.Itoa(i), "msgs")
		require.NoError(b, os.MkdirAll(msgs, 0o700))
		for _, name := range []string{"1.blk", "2.blk", "index.db", "../meta.inf", "../meta.sum"} {
			require.NoError(b, os.WriteFile(filepath.Join(msgs, name), nil, 0o600))
		}
	}
	s := newSyncer(root, func(*os.File) error { return nil }, slog.New(slog.DiscardHandler))
	later := time.Now().Add(time.Minute)
	require.NoError(b, s.pass(later))
	for b.Loop() {
		require.NoError(b, s.pass(later))
	}
}

// On a server that keeps users apart the streams of all of them are synced, and ours are left to the group committer.
func TestOnlyStreamsOfUsersAreSynced(t *testing.T) {
	d := &disk{sizes: map[string]int64{}}
	server := &Server{cfg: Config{Dir: t.TempDir(), Guarded: true}}
	s := newSyncer(server.syncedFolder(), d.sync, slog.New(slog.DiscardHandler))
	s.skip = server.notSynced
	files := map[string]string{}
	for _, account := range []string{"SLUICE", "$SYS", "_js_", "USERS", "U_alice", "U_bob"} {
		files[account] = filepath.Join(server.syncedFolder(), account, "streams", "U_S", "1.blk")
		require.NoError(t, os.MkdirAll(filepath.Dir(files[account]), 0o700))
		require.NoError(t, os.WriteFile(files[account], []byte("abc"), 0o600))
	}
	require.NoError(t, s.pass(time.Now()))
	synced := d.taken()
	for account, file := range files {
		_, is := synced[file]
		require.Equal(t, account == "USERS" || account[:2] == "U_", is, account)
	}
}
