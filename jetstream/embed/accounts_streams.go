package embed

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// Streams bound what native clients may keep in streams, buckets and object stores of their own: all of them together, or on a guarded
// server each user; on all nodes of a cluster, where each copy counts.
type Streams struct {
	// Storage is in bytes on disk; 0 is that native clients have no streams.
	Storage int64
	// Memory is in bytes.
	Memory int64
	// Streams is how many there may be, and Consumers how many each may have; 0 is no limit.
	Streams, Consumers int
}

// unlimited is how the server writes that there is no limit.
const unlimited = -1

// configured is the part of the account's configuration.
func (l Streams) configured() string {
	if l.Storage <= 0 {
		return ""
	}
	return fmt.Sprintf("jetstream: { max_store: %d, max_memory: %d, max_streams: %d, max_consumers: %d }",
		l.Storage, l.Memory, orUnlimited(l.Streams), orUnlimited(l.Consumers))
}

func orUnlimited(n int) int {
	if n <= 0 {
		return unlimited
	}
	return n
}

// placeholder is a folder among those of native clients' streams; no stream can have the name. The server removes and makes the folder around it at each
// start of its storage as long as it is empty, which on a full disk would keep our streams from starting, too.
const placeholder = "no stream"

// makeRoom makes the placeholder. Where it cannot, since the disk is full, native clients have no streams: there were none before.
func (s *Server) makeRoom() {
	if s.cfg.Streams.Storage <= 0 {
		return
	}
	folders := []string{s.streamsFolder()}
	if s.cfg.Guarded {
		for _, token := range s.spaces.known.all() {
			folders = append(folders, filepath.Join(s.syncedFolder(), string(s.spaceOf(token).Account)))
		}
	}
	for _, folder := range folders {
		if err := os.MkdirAll(filepath.Join(folder, "streams", placeholder), 0o750); err != nil {
			s.cfg.Logger.Warn("native clients have no streams of their own until the next start", "error", err)
			s.cfg.Streams = Streams{}
			return
		}
	}
}

// streamsFolder is where the streams of native clients are.
func (s *Server) streamsFolder() string {
	return filepath.Join(s.cfg.Dir, "jetstream", string(Users))
}

// Streams reports whether native clients may have streams of their own.
func (s *Server) Streams() bool { return s.cfg.Streams.Storage > 0 }

// Admit says whether what native clients publish to streams of their own is stored. When it is not, they are told
// that the resources of the account are exceeded. Without streams of their own it means nothing.
func (s *Server) Admit(stored bool) error {
	if !s.Streams() {
		return nil
	}
	for _, name := range s.storing() {
		account, err := s.ns.LookupAccount(string(name))
		if err != nil {
			return fmt.Errorf("looking for the account of native clients: %w", err)
		}
		if err := account.UpdateJetStreamLimits(s.cfg.Streams.limits(stored)); err != nil {
			return fmt.Errorf("changing what native clients may store: %w", err)
		}
	}
	return nil
}

// limits are those of one account, as the server has them; if nothing is to be stored, with no room.
func (l Streams) limits(stored bool) map[string]server.JetStreamAccountLimits {
	limits := server.JetStreamAccountLimits{
		MaxMemory: l.Memory, MaxStore: l.Storage, MaxStreams: orUnlimited(l.Streams), MaxConsumers: orUnlimited(l.Consumers),
		MaxAckPending: unlimited, MemoryMaxStreamBytes: unlimited, StoreMaxStreamBytes: unlimited,
	}
	if !stored {
		limits.MaxStore = 0
	}
	return map[string]server.JetStreamAccountLimits{"": limits}
}

// syncedFolder is what is synced for native clients; on a guarded server that is where the streams of all accounts are.
func (s *Server) syncedFolder() string {
	if s.cfg.Guarded {
		return filepath.Dir(s.streamsFolder())
	}
	return s.streamsFolder()
}

// notSynced are the folders beside those of native clients.
func (s *Server) notSynced(path string) bool {
	name := filepath.Base(path)
	return s.cfg.Guarded && filepath.Dir(path) == s.syncedFolder() && name != string(Users) && !strings.HasPrefix(name, spacePrefix)
}
