package jetstream

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

const (
	// balanceEvery is how often a node looks whether it has more shards than it should.
	balanceEvery = 100 * time.Millisecond
	// balanceAfter is how long owners and links must have been as they are before a shard is moved for the sake
	// of balance: a node that has just come back has other things to do.
	balanceAfter = 5 * time.Second
	// moveWithin bounds one move.
	moveWithin = 2 * time.Second
)

// Node is what a node knows of one in its cluster.
type Node struct {
	Name string
	// Linked: it is this one, or there is a link to it.
	Linked bool
	// Leaving: it gives its shards to others.
	Leaving bool
	// Owns are the shards that it said last to own.
	Owns []int
	// unfit: it could not take a shard lately.
	unfit bool
	// Language is the newest version of what nodes say to one another that it knows.
	Language int
}

// Nodes are the nodes that this one has heard of since it started, by their names, itself among them; nil on a single node.
func (s *Store) Nodes() []Node {
	if s.links == nil {
		return nil
	}
	all, _ := s.links.nodesNow()
	return all
}

// Leave has the node give its shards to others, and take none that others could have, until Return.
func (s *Store) Leave() { s.links.leave(true) }

// Return ends Leave.
func (s *Store) Return() { s.links.leave(false) }

// leave tells the others whether this node wants shards, as the operator has it.
func (l *links) leave(leaving bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = leaving
	l.leaveLocked()
}

// full tells the others whether this node wants no shards for lack of space.
func (l *links) full(full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.crammed != full {
		l.crammed = full
		l.leaveLocked()
	}
}

func (l *links) leaveLocked() {
	l.leaving, l.changed = l.asked || l.crammed, time.Now()
	for _, e := range l.all {
		l.greetLocked(e)
	}
}

// nodesNow are all nodes, and when the last of them changed.
func (l *links) nodesNow() ([]Node, time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := []Node{{Name: l.node, Linked: true, Leaving: l.leaving, Owns: shardsOf(l.owns), Language: language}}
	for name, e := range l.all {
		all = append(all, Node{Name: name, Linked: e.up, Leaving: e.leaving, Owns: shardsOf(e.owns), Language: int(e.speaks)})
	}
	slices.SortFunc(all, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	return all, l.changed
}

func shardsOf(owns []tenure) (shards []int) {
	for _, o := range owns {
		shards = append(shards, o.shard)
	}
	slices.Sort(shards)
	return shards
}

// surplus decides which shard a node should give to which other one. A node that leaves gives all; else whoever owns the
// most gives to whoever owns the least, until the difference is one: the first of several by name, so
// that no two nodes give at once. It is pure.
func surplus(self string, all []Node, leavingOnly bool) (shard int, to string, ok bool) {
	var me, least, most *Node
	for i := range all {
		n := &all[i]
		if n.Name == self {
			me = n
		}
		if !n.Linked || n.Leaving || n.unfit {
			continue
		}
		if least == nil || len(n.Owns) < len(least.Owns) {
			least = n
		}
		if most == nil || len(n.Owns) > len(most.Owns) {
			most = n
		}
	}
	if me == nil || len(me.Owns) == 0 || least == nil || least == me {
		return 0, "", false
	}
	if !me.Leaving && (leavingOnly || most != me || len(me.Owns)-len(least.Owns) < 2) {
		return 0, "", false
	}
	return me.Owns[len(me.Owns)-1], least.Name, true
}

// unfitFor is how long a node that lags gets no shards, but from one that leaves: who catches up seems abreast at moments when it is not.
const unfitFor = 30 * time.Second

// balance gives shards to other nodes, one after another, until ctx ends.
func (s *Store) balance(ctx context.Context) {
	tick := time.NewTicker(balanceEvery)
	defer tick.Stop()
	unfit := make(map[string]time.Time) // nodes that could not take one lately, and until when they are not asked again
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		all, changed := s.links.nodesNow()
		leaving := false
		for i := range all {
			all[i].unfit = time.Now().Before(unfit[all[i].Name])
			leaving = leaving || all[i].Leaving && all[i].Name == s.cfg.Node
		}
		shard, to, ok := surplus(s.cfg.Node, all, time.Since(changed) < balanceAfter)
		if !ok {
			continue
		}
		if err := s.move(ctx, shard, to); err != nil && ctx.Err() == nil {
			s.cfg.Logger.Info("giving a shard to another node failed, it is tried again", "shard", shard, "peer", to, "error", err)
			if unfit[to] = time.Now().Add(unfitFor); leaving { // and wants to be rid of it
				unfit[to] = time.Now().Add(balanceAfter)
			}
		}
	}
}

// move asks for another leader of a shard's stream, and waits until this node's tenure is over.
func (s *Store) move(ctx context.Context, shard int, to string) error {
	ctx, cancel := context.WithTimeout(ctx, moveWithin)
	defer cancel()
	t := s.tenancies[shard]
	t.mu.Lock()
	j := t.journal
	t.mu.Unlock()
	if j == nil {
		return nil // it went by itself
	}
	if err := s.abreast(ctx, j, to); err != nil {
		return err
	}
	s.cfg.Logger.Info("a shard goes to another node", "shard", shard, "peer", to)
	t.yielding.Store(true) // two owners at once, for a moment, would hand things out twice
	defer t.yielding.Store(false)
	j.leave()
	body := fmt.Appendf(nil, `{"placement":{"preferred":%q}}`, to)
	m, err := s.publish.RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+j.stream, body)
	if err != nil {
		return fmt.Errorf("asking for another leader of %s: %w", j.stream, err)
	}
	var answer struct {
		Success bool `json:"success"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil || !answer.Success {
		return fmt.Errorf("asking for another leader of %s: the stream answered %.200q", j.stream, m.Data)
	}
	for s.cfg.Server.Leads(j.stream) {
		if err := pause(ctx, lookAgain); err != nil {
			return err
		}
	}
	return nil
}

// abreast reports whether a node has all of a journal, or nearly: else its followers would wait for it.
func (s *Store) abreast(ctx context.Context, j *journal, node string) error {
	info, err := j.info(ctx)
	if err != nil {
		return fmt.Errorf("looking at %s: %w", j.stream, err)
	}
	if info.Cluster == nil {
		return fmt.Errorf("%s has no replicas", j.stream)
	}
	for _, r := range info.Cluster.Replicas {
		if r.Name != node {
			continue
		}
		if r.Offline || r.Lag > fencedWindow {
			return fmt.Errorf("%s lags %d operations behind in %s", node, r.Lag, j.stream)
		}
		return nil
	}
	return fmt.Errorf("%s has no copy of %s", node, j.stream)
}
