//go:build linux

package powercut

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Streams is how many streams a store has: enough for the committer to sync the whole file system at times.
const Streams = 6

// patience bounds every wait for the server.
const patience = 30 * time.Second

func streamName(i int) string { return fmt.Sprintf("JOURNAL_%d", i) }

func subjectOf(i int) string { return fmt.Sprintf("journal.%d", i) }

// Store is an embedded server as the gateway runs it on one node.
type Store struct {
	Server *server.Server
	Conn   *nats.Conn
	JS     nats.JetStreamContext
}

// OpenStore starts a server on dir. With always it syncs every message by itself.
func OpenStore(dir string, always bool) (*Store, error) {
	ns, err := server.NewServer(&server.Options{
		ServerName: "n1", DontListen: true, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: dir, SyncInterval: 365 * 24 * time.Hour, SyncAlways: always,
	})
	if err != nil {
		return nil, err
	}
	ns.Start()
	s := &Store{Server: ns}
	if !ns.ReadyForConnections(patience) {
		s.Close()
		return nil, errors.New("the server did not start")
	}
	if s.Conn, err = nats.Connect("", nats.InProcessServer(ns), nats.NoReconnect()); err == nil {
		s.JS, err = s.Conn.JetStream(nats.MaxWait(patience), nats.PublishAsyncMaxPending(1<<20))
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// smallBlocks as a stream's MaxBytes makes the store choose blocks of 32 KB. It does so when it opens the stream, and keeps
// the size whatever becomes of the limit, which otherwise would refuse records beyond it.
const smallBlocks = 64 << 10

func config(i int, maxBytes int64) *nats.StreamConfig {
	return &nats.StreamConfig{
		Name: streamName(i), Subjects: []string{subjectOf(i)}, Storage: nats.FileStorage, Discard: nats.DiscardNew,
		MaxBytes: maxBytes, AllowDirect: true, Duplicates: 100 * time.Millisecond,
	}
}

// Create makes the streams if they are not there, and lifts their limits.
func (s *Store) Create(small bool) error {
	for i := range Streams {
		_, err := s.JS.StreamInfo(streamName(i))
		if errors.Is(err, nats.ErrStreamNotFound) {
			limit := int64(-1)
			if small {
				limit = smallBlocks
			}
			_, err = s.JS.AddStream(config(i, limit))
		}
		if err != nil {
			return fmt.Errorf("create stream: %w", err)
		}
		if _, err := s.JS.UpdateStream(config(i, -1)); err != nil {
			return fmt.Errorf("lift the limit: %w", err)
		}
	}
	return nil
}

// Shrink makes the next start of the server use small blocks again.
func (s *Store) Shrink() error {
	for i := range Streams {
		if _, err := s.JS.UpdateStream(config(i, smallBlocks)); err != nil {
			return fmt.Errorf("set the limit: %w", err)
		}
	}
	return nil
}

// Close stops the server.
func (s *Store) Close() {
	if s.Conn != nil {
		s.Conn.Close()
	}
	s.Server.Shutdown()
	s.Server.WaitForShutdown()
}

// MsgsDir is where a stream's blocks are.
func MsgsDir(root string, i int) string {
	return filepath.Join(root, "jetstream", "$G", "streams", streamName(i), "msgs")
}

// Content is the body of the record with this id: anybody can make it again, so nothing else can be taken for it.
func Content(id uint64) []byte {
	rng := rand.New(rand.NewPCG(id, 0x5105))
	body := make([]byte, 16+rng.IntN(3000))
	for i := range body {
		body[i] = byte(rng.Uint32())
	}
	binary.BigEndian.PutUint64(body, id)
	h := fnv.New64a()
	_, _ = h.Write(body[16:])
	binary.BigEndian.PutUint64(body[8:], h.Sum64())
	return body
}

// IDOf reads a record's id, and says whether the record is what was sent under it.
func IDOf(body []byte) (uint64, bool) {
	if len(body) < 16 {
		return 0, false
	}
	id := binary.BigEndian.Uint64(body)
	return id, string(Content(id)) == string(body)
}
