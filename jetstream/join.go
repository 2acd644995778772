package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluice-mq/sluice/jetstream/embed"
)

// join gets in touch with the other nodes.
func (s *Store) join() error {
	nc, err := s.cfg.Server.Connect(embed.Store, "links")
	if err != nil {
		return err
	}
	s.readConns = append(s.readConns, nc)
	if err := s.tellFronts(nc); err != nil {
		return err
	}
	s.links = newLinks(nc, s.cfg.Node, s.cfg.Cluster.Nodes, s.cfg.Logger)
	if err := s.links.open(); err != nil {
		return err
	}
	for i := range s.shards {
		s.tenancies = append(s.tenancies, &tenancy{store: s, shard: i, stream: newJournal(s, i).stream, done: make(chan struct{})})
	}
	return nil
}

// shardsKey is where a cluster's streams say how many they are.
const shardsKey = "sluice.shards"

// clusterStreams makes a cluster's streams, or finds those that other nodes have made. It waits for a
// majority of the nodes; where there are none yet, for as many as keep a copy.
func (s *Store) clusterStreams(ctx context.Context, m *manifest) (*manifest, error) {
	shards := s.cfg.Shards
	if m != nil {
		shards = m.Shards
	}
	if shards == 0 {
		shards = DefaultShards
	}
	if shards < 1 || shards > MaxShards {
		return nil, fmt.Errorf("a store has 1 to %d shards, not %d", MaxShards, shards)
	}
	said := ""
	for {
		found, err := s.agree(ctx, shards, m == nil)
		if err == nil {
			return s.settleIn(m, found)
		}
		if damage := (*DamageError)(nil); errors.As(err, &damage) {
			return nil, err
		}
		if what := s.missing(m == nil); what != said {
			s.cfg.Logger.Info("waiting for a majority of the cluster's nodes", "nodes", what, "error", err)
			if said = what; s.cfg.Waiting != nil {
				s.cfg.Waiting("waiting for a majority of the cluster's nodes: " + what)
			}
		}
		if pause(ctx, lookAgain) != nil {
			return nil, fmt.Errorf("waiting for a majority of the cluster's nodes: %w", err)
		}
	}
}

// missing says which nodes are there, of how many, and whether that will do. Names of the others nobody knows before they were there.
func (s *Store) missing(fresh bool) string {
	there := append([]string{s.cfg.Node}, s.cfg.Server.Others()...)
	text := fmt.Sprintf("%d of %d are there (%s)", len(there), s.cfg.Cluster.Nodes, strings.Join(there, ", "))
	if fresh && len(there) < s.cfg.Cluster.Replicas {
		text += fmt.Sprintf("; the first time %d are needed, to keep all copies", s.cfg.Cluster.Replicas)
	}
	return text
}

// answerWithin bounds one look at the cluster's streams.
const answerWithin = time.Second

// agree makes the streams that are not there, if this node is fresh, and returns their number. The first says how many they are.
func (s *Store) agree(ctx context.Context, shards int, fresh bool) (int, error) {
	for i := 0; i < shards; i++ {
		j := newJournal(s, i)
		config := streamConfig(j)
		config.Replicas = s.cfg.Cluster.Replicas
		config.Metadata = map[string]string{shardsKey: strconv.Itoa(shards)}
		body, err := json.Marshal(config)
		if err != nil {
			return 0, err
		}
		told, err := s.findStream(ctx, j.stream)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			if !fresh {
				return 0, &DamageError{Stream: j.stream, What: "the cluster does not have it any more"}
			}
			told, err = s.makeStream(ctx, j.stream, body)
		}
		if err != nil {
			return 0, err
		}
		if told != shards {
			if i > 0 {
				return 0, &DamageError{Stream: j.stream, What: fmt.Sprintf("it is one of %d shards, those before it are of %d", told, shards)}
			}
			shards = told
		}
	}
	return shards, nil
}

// findStream returns of how many shards a stream says that it is one.
func (s *Store) findStream(ctx context.Context, stream string) (int, error) {
	return s.askStream(ctx, "INFO", stream, nil)
}

func (s *Store) makeStream(ctx context.Context, stream string, config []byte) (int, error) {
	return s.askStream(ctx, "CREATE", stream, config)
}

func (s *Store) askStream(ctx context.Context, verb, stream string, body []byte) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	m, err := s.publish.RequestWithContext(ctx, "$JS.API.STREAM."+verb+"."+stream, body)
	if err != nil {
		return 0, err
	}
	var answer struct {
		Config struct {
			Metadata map[string]string `json:"metadata"`
		} `json:"config"`
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return 0, err
	}
	if answer.Error != nil {
		return 0, answer.Error
	}
	shards, err := strconv.Atoi(answer.Config.Metadata[shardsKey])
	if err != nil {
		return 0, &DamageError{Stream: stream, What: "it does not say how many shards there are"}
	}
	return shards, nil
}

// settleIn writes down how many shards the cluster has.
func (s *Store) settleIn(m *manifest, shards int) (*manifest, error) {
	if m != nil {
		if m.Shards != shards {
			return nil, &DamageError{Stream: manifestFile, What: fmt.Sprintf("it speaks of %d shards, the cluster has %d", m.Shards, shards)}
		}
		return m, nil
	}
	m = &manifest{Format: 1, Node: s.cfg.Node, Shards: shards, Clustered: true, Created: s.cfg.Now().UTC()}
	if err := s.marks.create(shards); err != nil {
		return nil, err
	}
	return m, m.write(s.cfg.Dir)
}
