package gatewaytest

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/sluice-mq/sluice/gateway"
)

// Memory is a gateway.Store in memory. Answers come from two goroutines per
// journal, as from a real store: that of the stream and that of the syncs. Disk is
// what survives: open a new Memory on it.
type Memory struct {
	disk  *Disk
	open  []*MemoryJournal
	Full  atomic.Bool // refuse sends
	gate  sync.RWMutex
	syncs sync.RWMutex
	ended sync.WaitGroup

	mu   sync.RWMutex
	gone bool

	crashed bool // guarded by the disk's mu
}

// Disk is the content of a Memory store. Once that store has crashed only another one writes to it.
type Disk struct {
	mu      sync.Mutex
	records [][]gateway.Record
	first   []uint64
	bytes   []uint64
	facts   facts
}

// NewDisk makes an empty disk for so many journals.
func NewDisk(shards int) *Disk {
	d := &Disk{records: make([][]gateway.Record, shards), first: make([]uint64, shards), bytes: make([]uint64, shards)}
	for i := range d.first {
		d.first[i] = 1
	}
	return d
}

// NewMemory opens a store on a disk.
func NewMemory(d *Disk) *Memory {
	m := &Memory{disk: d}
	for i := range d.records {
		m.open = append(m.open, &MemoryJournal{memory: m, index: i, work: newQueue(&m.ended, nil), synced: newQueue(&m.ended, nil)})
	}
	return m
}

// Stop holds all answers back until the returned function is called.
func (m *Memory) Stop() (goOn func()) {
	m.gate.Lock()
	return m.gate.Unlock
}

// StopSyncs holds back what waits for the disk until the returned function is
// called: records are stored, and that is all that is said of them.
func (m *Memory) StopSyncs() (goOn func()) {
	m.syncs.Lock()
	return m.syncs.Unlock
}

// Close answers what is under way and ends the store.
func (m *Memory) Close() {
	m.leave()
	for _, j := range m.open {
		j.work.add(j.synced.close) // when all before it is done
		j.work.close()
	}
	m.ended.Wait()
}

// Crash ends the store as a killed process does. The disk has what was stored before, and whatever else was
// appended, before or after, is forgotten without an answer: nothing of it reaches the disk once Crash returns.
func (m *Memory) Crash() {
	m.disk.mu.Lock()
	m.crashed = true
	m.disk.mu.Unlock()
	m.leave()
}

// leave has the store take nothing more.
func (m *Memory) leave() {
	m.mu.Lock()
	m.gone = true
	m.mu.Unlock()
}

// do runs f on the journal's goroutine, unless the store is gone.
func (j *MemoryJournal) do(f func()) {
	j.memory.mu.RLock()
	defer j.memory.mu.RUnlock()
	if !j.memory.gone {
		j.work.add(func() {
			j.memory.gate.RLock()
			f()
			j.memory.gate.RUnlock()
		})
	}
}

// Shards implements gateway.Store.
func (m *Memory) Shards() int { return len(m.open) }

// Journal implements gateway.Store.
func (m *Memory) Journal(i int) gateway.Journal { return m.open[i] }

// Space implements gateway.Store.
func (m *Memory) Space() gateway.Space {
	return gateway.Space{Sends: !m.Full.Load(), Free: 1 << 40}
}

// MemoryJournal is one journal of a Memory store.
type MemoryJournal struct {
	memory *Memory
	index  int
	work   *queue // what the stream does
	synced *queue // what is told after a sync
}

// Append implements gateway.Journal.
func (j *MemoryJournal) Append(r *gateway.Record, a gateway.Appended) {
	d := j.memory.disk
	j.do(func() {
		d.mu.Lock()
		if j.memory.crashed {
			d.mu.Unlock()
			return
		}
		d.records[j.index] = append(d.records[j.index], *r)
		d.bytes[j.index] += recordBytes(r)
		seq := d.first[j.index] + uint64(len(d.records[j.index])) - 1
		d.mu.Unlock()
		if s, ok := a.(gateway.Stored); ok && !r.Relaxed {
			s.Stored(seq)
		}
		if r.Relaxed {
			a.Appended(seq, nil)
			return
		}
		j.synced.add(func() {
			j.memory.syncs.RLock()
			a.Appended(seq, nil)
			j.memory.syncs.RUnlock()
		})
	})
}

// Replay implements gateway.Journal.
func (j *MemoryJournal) Replay(ctx context.Context, fn func(seq uint64, size int, r *gateway.Record) error) error {
	d := j.memory.disk
	d.mu.Lock()
	records, first := d.records[j.index], d.first[j.index]
	d.mu.Unlock()
	for i := range records {
		if err := ctx.Err(); err != nil {
			return err
		}
		r := records[i]
		size := 0
		if r.Message != nil {
			size = r.Message.Size()
		}
		if err := fn(first+uint64(i), size, &r); err != nil {
			return err
		}
	}
	return nil
}

// Load implements gateway.Journal.
func (j *MemoryJournal) Load(queue string, seqs []uint64, done func([]*gateway.Message, error)) {
	d := j.memory.disk
	j.do(func() {
		messages := make([]*gateway.Message, len(seqs))
		d.mu.Lock()
		for i, seq := range seqs {
			at := int(seq) - int(d.first[j.index])
			if at < 0 || at >= len(d.records[j.index]) {
				continue
			}
			if m := d.records[j.index][at].Message; m != nil && m.Place() == queue {
				messages[i] = m
			}
		}
		d.mu.Unlock()
		go done(messages, nil) // a real store answers loads from other goroutines than appends
	})
}

// Trim implements gateway.Journal.
func (j *MemoryJournal) Trim(seq uint64) {
	d := j.memory.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if j.memory.crashed {
		return
	}
	last := d.first[j.index] + uint64(len(d.records[j.index]))
	if seq = min(seq, last); seq > d.first[j.index] {
		for i := range d.records[j.index][:seq-d.first[j.index]] {
			d.bytes[j.index] -= recordBytes(&d.records[j.index][i])
		}
		d.records[j.index] = d.records[j.index][seq-d.first[j.index]:]
		d.first[j.index] = seq
	}
}

// State implements gateway.Journal.
func (j *MemoryJournal) State() gateway.JournalState {
	d := j.memory.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	n := uint64(len(d.records[j.index]))
	return gateway.JournalState{First: d.first[j.index], Last: d.first[j.index] + n - 1, Bytes: d.bytes[j.index]}
}

func recordBytes(r *gateway.Record) uint64 {
	if r.Message != nil {
		return uint64(r.Message.Size())
	}
	return 0
}
