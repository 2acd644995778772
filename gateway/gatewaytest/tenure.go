package gatewaytest

import (
	"context"

	"github.com/sluice-mq/sluice/gateway"
)

// tenure is a shard's journal as one owner has it.
type tenure struct {
	node      *Node
	shard     int
	epoch     uint64
	announced bool
	last      uint64 // record that it stored; guarded by the disk's lock
	work      *queue
	// refused waits for the owner to be told that it is none any more; told: it was. The work's own.
	refused []gateway.Appended
	told    bool
}

var errMoved = gateway.Errorf(gateway.Moved, "another node owns the queue now")

// end has everything refused that was not stored, now that the owner knows why.
func (t *tenure) end() {
	t.work.add(func() {
		t.told = true
		for _, a := range t.refused {
			a.Appended(0, errMoved)
		}
	})
	t.work.close()
}

// Append implements gateway.Journal.
func (t *tenure) Append(r *gateway.Record, a gateway.Appended) {
	do := func() {
		c := t.node.cluster
		c.mu.Lock()
		if c.owner[t.shard] != t {
			c.mu.Unlock()
			if !t.told {
				t.refused = append(t.refused, a)
				return
			}
			a.Appended(0, errMoved)
			return
		}
		seq := t.write(r)
		c.mu.Unlock()
		if s, ok := a.(gateway.Stored); ok && !r.Relaxed {
			s.Stored(seq)
		}
		a.Appended(seq, nil)
	}
	t.work.mu.Lock()
	over := t.work.over // then everything before is answered
	if !over {
		t.work.todo = append(t.work.todo, do)
		t.work.some.Signal()
	}
	t.work.mu.Unlock()
	if over {
		a.Appended(0, errMoved)
	}
}

// write stores a record of the owner and returns its sequence. The cluster's lock is held.
func (t *tenure) write(r *gateway.Record) uint64 {
	d := t.node.cluster.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	stored := *r
	if r.Message != nil {
		stored.Message = copyMessage(r.Message)
	}
	d.records[t.shard] = append(d.records[t.shard], stored)
	d.bytes[t.shard] += recordBytes(r)
	t.last = d.first[t.shard] + uint64(len(d.records[t.shard])) - 1
	return t.last
}

// Replay implements gateway.Journal.
func (t *tenure) Replay(ctx context.Context, fn func(seq uint64, size int, r *gateway.Record) error) error {
	d := t.node.cluster.disk
	d.mu.Lock()
	records, first := d.records[t.shard], d.first[t.shard]
	d.mu.Unlock()
	for i := range records {
		if err := ctx.Err(); err != nil {
			return err
		}
		r, size := records[i], 0
		if r.Message != nil {
			size = r.Message.Size()
			r.Message = copyMessage(r.Message)
			r.Message.Body = nil
		}
		if err := fn(first+uint64(i), size, &r); err != nil {
			return err
		}
	}
	return nil
}

// Load implements gateway.Journal.
func (t *tenure) Load(name string, seqs []uint64, done func([]*gateway.Message, error)) {
	d := t.node.cluster.disk
	messages := make([]*gateway.Message, len(seqs))
	d.mu.Lock()
	for i, seq := range seqs {
		at := int(seq) - int(d.first[t.shard])
		if at < 0 || at >= len(d.records[t.shard]) {
			continue
		}
		if m := d.records[t.shard][at].Message; m != nil && m.Place() == name {
			messages[i] = copyMessage(m)
		}
	}
	d.mu.Unlock()
	t.node.inbox.add(func() { done(messages, nil) })
}

// Trim implements gateway.Journal: nothing is given back here.
func (t *tenure) Trim(uint64) {}

// State implements gateway.Journal.
func (t *tenure) State() gateway.JournalState {
	d := t.node.cluster.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	return gateway.JournalState{First: d.first[t.shard], Last: t.last, Bytes: d.bytes[t.shard]}
}

// Marked reports whether a record of a shard's journal says of a message that it comes later.
func (c *Cluster) Marked(shard int) bool {
	d := c.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.records[shard] {
		for _, m := range d.records[shard][i].Marks {
			if m.Due != 0 {
				return true
			}
		}
	}
	return false
}

// Handed reports whether a shard's journal says that all messages of a queue in it were handed out.
func (c *Cluster) Handed(shard int, queue string) bool {
	d := c.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	var last, handed uint64
	for i := range d.records[shard] {
		r := &d.records[shard][i]
		if r.Message != nil && r.Message.Place() == queue {
			last = d.first[shard] + uint64(i)
		}
		for _, h := range r.Handed {
			if h.Queue == queue {
				handed = max(handed, h.Seq)
			}
		}
	}
	return last <= handed
}
