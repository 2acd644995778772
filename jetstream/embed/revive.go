package embed

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "unsafe" // for go:linkname

	"github.com/nats-io/nats-server/v2/server"
)

// Revive stops JetStream and starts it again on the same files: after a write
// error a stream takes nothing more until then. Connections and routes stay up; requests
// in between get no answer. After an error it may be called again.
func (s *Server) Revive() error {
	s.revive.Lock()
	defer s.revive.Unlock()
	if err := s.stopStorage(); err != nil {
		return err
	}
	err := s.ns.EnableJetStream(&server.JetStreamConfig{
		StoreDir: s.cfg.Dir, MaxStore: 1 << 60, MaxMemory: s.memory(), SyncInterval: 365 * 24 * time.Hour, SyncAlways: s.cfg.SyncAlways,
	})
	if err != nil {
		return errors.Join(fmt.Errorf("starting JetStream again: %w", err), s.ns.ShutdownJetStream())
	}
	updateJetStreamInfoStatus(s.ns, true)
	return nil
}

// What a node tells the others of its storage. The server does this by itself only when its configuration is loaded again.
//
//go:linkname updateJetStreamInfoStatus github.com/nats-io/nats-server/v2/server.(*Server).updateJetStreamInfoStatus
func updateJetStreamInfoStatus(s *server.Server, enabled bool)

const (
	// stopsWithin bounds the stop of the storage.
	stopsWithin = 30 * time.Second
	// stopsAfter is what the server still does when the storage is gone for all who ask: it stops what is left of its groups.
	stopsAfter = 500 * time.Millisecond
	// stopsEvery is how often to look.
	stopsEvery = 20 * time.Millisecond
)

// stopStorage stops JetStream, or waits until the server, which began by itself, has done so.
func (s *Server) stopStorage() error {
	if s.ns.JetStreamEnabled() {
		if err := s.ns.ShutdownJetStream(); err != nil {
			return fmt.Errorf("stopping JetStream: %w", err)
		}
	}
	if s.cfg.Cluster == nil {
		return nil // it never stops by itself
	}
	for end := time.Now().Add(stopsWithin); s.ns.JetStreamConfig() != nil; time.Sleep(stopsEvery) {
		if time.Now().After(end) {
			return errors.New("JetStream does not stop")
		}
	}
	time.Sleep(stopsAfter)
	return nil
}

// Stopped says why the storage, or a part of the Store account's, has stopped for good, as in a cluster it does when the disk is full; it is
// empty while it runs.
func (s *Server) Stopped() string {
	if !s.ns.JetStreamEnabled() {
		return "the server has switched it off"
	}
	if s.cfg.Cluster == nil {
		return ""
	}
	for _, e := range s.ns.Healthz(&server.HealthzOptions{Details: true, Account: string(Store)}).Errors {
		if strings.Contains(e.Error, "write error") {
			return e.Error
		}
	}
	return ""
}

// Storing reports whether the server's storage is switched on. It takes well under a microsecond.
func (s *Server) Storing() bool { return s.ns.JetStreamEnabled() }
