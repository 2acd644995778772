package jetstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
)

// Copy is how one node's copy of a shard's journal stands.
type Copy struct {
	Node string
	// Leads: what is stored goes through this one.
	Leads bool
	// Offline: the node is not there.
	Offline bool
	// Lag is how many operations it is behind, as far as the leader knows.
	Lag uint64
}

// Copies asks where a shard's journal is kept, its leader first. On a single node it is here. Without a leader, or before
// ctx ends without an answer, there is an error.
func (s *Store) Copies(ctx context.Context, shard int) ([]Copy, error) {
	here := []Copy{{Node: s.cfg.Node, Leads: true}}
	if s.links == nil {
		return here, nil
	}
	j := newJournal(s, shard)
	info, err := j.info(ctx)
	if err != nil {
		return nil, unanswered(err)
	}
	if info.Cluster == nil {
		return here, nil
	}
	if info.Cluster.Leader == "" {
		return nil, gateway.Errorf(gateway.Unavailable, "no node leads it")
	}
	all := []Copy{{Node: info.Cluster.Leader, Leads: true}}
	for _, r := range info.Cluster.Replicas {
		all = append(all, Copy{Node: r.Name, Offline: r.Offline, Lag: r.Lag})
	}
	return all, nil
}

// unanswered says in an operator's words why a shard's leader could not be asked. Who asks knows which shard it is.
func unanswered(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders) {
		return gateway.Errorf(gateway.Unavailable, "no node answers for it")
	}
	return fmt.Errorf("asking its leader: %w", err)
}

// Read implements gateway.Archive.
func (s *Store) Read(ctx context.Context, i int) (gateway.Reader, error) {
	j := newJournal(s, i)
	ctx, cancel := context.WithTimeout(ctx, answerWithin) // a leader that has died never answers
	defer cancel()
	info, err := j.info(ctx)
	if err != nil {
		return nil, unanswered(err)
	}
	j.reading, j.first, j.next, j.epoch = true, max(info.State.FirstSeq, 1), info.State.LastSeq+1, 0
	if s.links != nil {
		j.epoch = j.next
	}
	return j, nil
}
