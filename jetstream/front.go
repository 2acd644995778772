package jetstream

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// frontSubject + a node is where it says where its copies of the journals begin.
	frontSubject = "n.first."
	// frontEvery is how often a new owner asks, and frontLooks how often it hears the same before it believes that: what
	// is given up is given up on all nodes, but not in the same moment.
	frontEvery = time.Second
	frontLooks = 10
)

// tellFronts answers the others.
func (s *Store) tellFronts(nc *nats.Conn) error {
	_, err := nc.Subscribe(frontSubject+s.cfg.Node, func(m *nats.Msg) {
		firsts, err := s.cfg.Server.Firsts()
		if err != nil {
			return // who asks will ask again
		}
		if body, err := json.Marshal(firsts); err == nil {
			_ = m.Respond(body) // likewise
		}
	})
	if err != nil {
		return fmt.Errorf("listening to the other nodes: %w", err)
	}
	return nil
}

// compare holds where this node's copy of a journal that it has begun to own begins against where the others' do. If it lacks what all others still
// have, its first blocks are gone: then the tenure ends, before anything is given up on the others because this node does not know of it.
func (n *tenancy) compare(ctx context.Context, j *journal) {
	j.mu.Lock()
	first := j.first
	j.mu.Unlock()
	for silent, sure := 0, 0; first > 1 && silent < frontLooks; {
		answers, lower := n.store.fronts(ctx, j.stream, first)
		if lower < answers {
			break // another one has given it up as well
		}
		switch {
		case answers == 0:
			silent++
		case answers < n.store.cfg.Cluster.Nodes-1: // who is away may know better
			silent, sure = 0, 0
		default:
			silent, sure = 0, sure+1
		}
		if sure >= frontLooks {
			j.condemn(&DamageError{Stream: j.stream, What: fmt.Sprintf("it begins at record %d, but the other nodes have records before it", first)})
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-j.lost:
			return
		case <-time.After(frontEvery):
		}
	}
	j.mu.Lock()
	j.compared = true
	j.mu.Unlock()
}

// fronts asks the other nodes, and returns how many have answered and how many have records of a journal before first.
func (s *Store) fronts(ctx context.Context, stream string, first uint64) (answers, lower int) {
	for _, n := range s.Nodes() {
		if n.Name == s.cfg.Node || !n.Linked {
			continue
		}
		within, cancel := context.WithTimeout(ctx, answerWithin)
		m, err := s.publish.RequestWithContext(within, frontSubject+n.Name, nil)
		cancel()
		var firsts map[string]uint64
		if err != nil || json.Unmarshal(m.Data, &firsts) != nil {
			continue
		}
		if at, ok := firsts[stream]; ok {
			answers++
			if at < first {
				lower++
			}
		}
	}
	return answers, lower
}
