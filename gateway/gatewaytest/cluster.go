package gatewaytest

import (
	"sync"
	"sync/atomic"

	"github.com/sluice-mq/sluice/gateway"
)

// Cluster is the stores of several nodes in memory. A test decides who owns a shard and which links there are.
type Cluster struct {
	disk *Disk

	mu    sync.Mutex
	nodes map[string]*Node
	owner []*tenure
	epoch uint64
	ended sync.WaitGroup
	share map[int]func() // what tells owners that a shard is theirs alone, while they are not told, else nil

	inboxes pending
}

// Node is one node's store. It implements gateway.Store and gateway.Cluster.
type Node struct {
	full    atomic.Bool
	cluster *Cluster
	name    string
	member  gateway.Member
	linked  map[string]bool
	links   map[string]int // how many there were so far, to each node
	told    map[string]int // which of them the member knows of, 0 if of none
	alone   atomic.Bool

	inbox *queue
}

// NewCluster makes a cluster whose shards nobody owns.
func NewCluster(shards int) *Cluster {
	c := &Cluster{disk: NewDisk(shards), nodes: make(map[string]*Node), owner: make([]*tenure, shards)}
	c.inboxes.none.L = &c.inboxes.mu
	return c
}

// pending counts what queues have not done yet.
type pending struct {
	mu   sync.Mutex
	none sync.Cond
	n    int
}

func (p *pending) add(n int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	if p.n += n; p.n == 0 {
		p.none.Broadcast()
	}
	p.mu.Unlock()
}

// Settle waits until all that nodes said to one another so far was heard, with what it made them say.
func (c *Cluster) Settle() {
	p := &c.inboxes
	p.mu.Lock()
	for p.n > 0 {
		p.none.Wait()
	}
	p.mu.Unlock()
}

// queue runs functions one after another, however many there are.
type queue struct {
	mu     sync.Mutex
	some   sync.Cond
	todo   []func()
	closed bool
	over   bool     // closed, and everything is done
	count  *pending // or nil
}

func newQueue(ended *sync.WaitGroup, count *pending) *queue {
	q := &queue{count: count}
	q.some.L = &q.mu
	ended.Go(func() {
		for {
			q.mu.Lock()
			for len(q.todo) == 0 && !q.closed {
				q.some.Wait()
			}
			if len(q.todo) == 0 {
				q.over = true
				q.mu.Unlock()
				return
			}
			f := q.todo[0]
			q.todo = q.todo[1:]
			q.mu.Unlock()
			f()
			q.count.add(-1)
		}
	})
	return q
}

func (q *queue) add(f func()) {
	q.count.add(1)
	q.mu.Lock()
	q.todo = append(q.todo, f)
	q.some.Signal()
	q.mu.Unlock()
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.some.Signal()
	q.mu.Unlock()
}

// Node makes a node.
func (c *Cluster) Node(name string) *Node {
	n := &Node{
		cluster: c, name: name, inbox: newQueue(&c.ended, &c.inboxes),
		linked: make(map[string]bool), links: make(map[string]int), told: make(map[string]int),
	}
	c.mu.Lock()
	c.nodes[name] = n
	c.mu.Unlock()
	return n
}

// Move gives a shard to a node, or to nobody. Its owner so far stores nothing more from here on.
func (c *Cluster) Move(shard int, to string) {
	c.mu.Lock()
	old := c.owner[shard]
	c.epoch++
	c.owner[shard] = nil
	var t *tenure
	if to != "" {
		t = &tenure{node: c.nodes[to], shard: shard, epoch: c.epoch, work: newQueue(&c.ended, nil)}
		c.owner[shard] = t
		t.write(&gateway.Record{Type: gateway.RecordEpoch, Node: to})
	}
	c.mu.Unlock()
	if old != nil {
		old.node.inbox.add(func() {
			old.node.member.End(shard)
			old.end()
		})
	}
	if t != nil {
		t.node.inbox.add(func() {
			t.node.member.Begin(shard, t.epoch, t, func(sole func()) {
				c.announce(t)
				c.soleOrLater(t.shard, sole)
			})
		})
	}
}

// Share has the owners of from now on not told that they alone hand out, until Sole.
func (c *Cluster) Share() {
	c.mu.Lock()
	c.share = make(map[int]func())
	c.mu.Unlock()
}

// Sole tells them.
func (c *Cluster) Sole() {
	c.mu.Lock()
	share := c.share
	c.share = nil
	c.mu.Unlock()
	for _, sole := range share {
		sole()
	}
}

func (c *Cluster) soleOrLater(shard int, sole func()) {
	c.mu.Lock()
	if c.share != nil {
		c.share[shard] = sole
		sole = func() {}
	}
	c.mu.Unlock()
	sole()
}

// announce tells all nodes that hear it of an owner.
func (c *Cluster) announce(t *tenure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owner[t.shard] != t {
		return
	}
	t.announced = true
	for name, n := range c.nodes {
		if name == t.node.name || t.node.linked[name] {
			n.tell(t)
		}
	}
}

// Again tells all nodes once more who owns a shard, as links do all the time.
func (c *Cluster) Again(shard int) {
	c.mu.Lock()
	t := c.owner[shard]
	c.mu.Unlock()
	if t != nil {
		c.announce(t)
	}
}

func (n *Node) tell(t *tenure) {
	n.inbox.add(func() { n.member.Owner(t.shard, t.node.name, t.epoch) })
}

// Link makes or cuts the link between two nodes. What is on its way is lost when it is cut.
func (c *Cluster) Link(a, b string, up bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ends := range [][2]string{{a, b}, {b, a}} {
		n, other := c.nodes[ends[0]], ends[1]
		if n.linked[other] == up {
			continue
		}
		n.linked[other] = up
		if !up {
			n.inbox.add(func() { n.tellLink(other, 0) })
			continue
		}
		n.links[other]++
		number := n.links[other]
		n.inbox.add(func() { n.tellLink(other, number) })
		for _, t := range c.owner {
			if t != nil && t.announced && t.node.name == other {
				n.tell(t)
			}
		}
	}
}

// tellLink tells the member of a link, or of its end. Not before it knows of a link does it send over it.
func (n *Node) tellLink(other string, number int) {
	if number == 0 {
		n.member.Down(other)
	}
	n.cluster.mu.Lock()
	n.told[other] = number
	n.cluster.mu.Unlock()
	if number > 0 {
		n.member.Up(other)
	}
}

// Deafen has a node hear nothing until hear is called, once: what others say to it meanwhile is on its way.
func (n *Node) Deafen() (hear func()) {
	heard := make(chan struct{})
	n.inbox.add(func() { <-heard })
	return func() { close(heard) }
}

// Alone has a node out of touch with the majority.
func (n *Node) Alone(alone bool) { n.alone.Store(alone) }

// Close ends everything. Brokers are closed before.
func (c *Cluster) Close() {
	c.mu.Lock()
	for i, t := range c.owner {
		if t != nil {
			t.work.close()
		}
		c.owner[i] = nil
	}
	for _, n := range c.nodes {
		n.inbox.close()
	}
	c.mu.Unlock()
	c.ended.Wait()
}

// Shards implements gateway.Store.
func (n *Node) Shards() int { return len(n.cluster.owner) }

// Journal implements gateway.Store; in a cluster there is none for good.
func (n *Node) Journal(int) gateway.Journal { return nil }

// Space implements gateway.Store.
func (n *Node) Space() gateway.Space { return gateway.Space{Sends: !n.full.Load(), Free: 1 << 40} }

// Fill takes the node's space away, or gives it back. What the journals of this cluster keep does not change.
func (n *Node) Fill(full bool) { n.full.Store(full) }

// Registry is the cluster's, as this node sees it.
func (n *Node) Registry() *Registry { return n.cluster.disk.Registry() }

// Serve implements gateway.Cluster.
func (n *Node) Serve(m gateway.Member) { n.member = m }

// Current implements gateway.Peers.
func (n *Node) Current() bool { return !n.alone.Load() }

// Send implements gateway.Peers.
func (n *Node) Send(to string, f *gateway.Frame) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	number := n.links[to]
	if !n.linked[to] || n.told[to] != number {
		return
	}
	other, copied := n.cluster.nodes[to], copyFrame(f)
	other.inbox.add(func() {
		n.cluster.mu.Lock()
		linked := other.linked[n.name] && other.told[n.name] == number
		n.cluster.mu.Unlock()
		if linked {
			other.member.Receive(n.name, copied)
		}
	})
}

// copyFrame makes a frame that shares nothing that may change.
func copyFrame(f *gateway.Frame) *gateway.Frame {
	c := *f
	c.Tags = append([]uint64(nil), f.Tags...)
	c.Seqs, c.Counts = append([]uint64(nil), f.Seqs...), append([]uint32(nil), f.Counts...)
	c.Message = copyMessage(f.Message)
	c.Messages = nil
	for _, m := range f.Messages {
		c.Messages = append(c.Messages, copyMessage(m))
	}
	return &c
}

func copyMessage(m *gateway.Message) *gateway.Message {
	if m == nil {
		return nil
	}
	c := m.Copy()
	c.Header, c.Body = append(gateway.Header(nil), m.Header...), append([]byte(nil), m.Body...)
	return c
}
