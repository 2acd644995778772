package gateway

import "context"

// Store keeps the queues' messages in a small, fixed number of journals. A
// queue lives in the journal that ShardOf names, for ever. Implemented by jetstream.
type Store interface {
	// Shards is the number of journals, fixed when the store was made.
	Shards() int
	// Journal opens journal i, 0 <= i < Shards(). There is one writer per journal.
	Journal(i int) Journal
	// Space reports how many bytes may be written before sends must be refused
	// and before nothing may be written at all. It is cheap and may be called per message.
	Space() Space
}

// Space is the room that is left.
type Space struct {
	// Sends is false when new messages must be refused; settlements are still taken.
	Sends bool
	// Free bytes on the store's file system.
	Free int64
}

// ShardOf maps a queue name to its journal. The function is part of the stored
// format: it never changes (FNV-1a, 32 bit, of the name, modulo shards).
func ShardOf(queue string, shards int) int {
	h := uint32(2166136261)
	for i := range len(queue) {
		h = (h ^ uint32(queue[i])) * 16777619
	}
	return int(h % uint32(shards))
}

// RecordType tells the records of a journal apart. The values are stored.
type RecordType uint8

const (
	// RecordMessage: a message came into a queue.
	RecordMessage RecordType = 1
	// RecordSettle: messages left their queues for good.
	RecordSettle RecordType = 2
	// RecordMark: redelivery counts changed.
	RecordMark RecordType = 3
	// RecordPrepare: a transaction's sends, to be carried out even after a crash.
	RecordPrepare RecordType = 4
	// RecordDone: a prepared transaction was carried out.
	RecordDone RecordType = 5
	// RecordEpoch: a node became the owner of the journal. The sequence is the epoch's number.
	RecordEpoch RecordType = 6
)

// Mark says how often a message was handed out without being acknowledged, and from when on it may be handed out, in Unix milliseconds;
// 0 is at once.
type Mark struct {
	Seq          uint64
	Redeliveries uint32
	Due          int64
}

// Handed says that a queue's messages up to a sequence may have been handed out,
// or will be at once: those that are still there after a crash count as redelivered. Queue "" takes
// back all that was said before; an orderly stop ends with it.
type Handed struct {
	Queue string
	Seq   uint64
}

// Record is one entry of a journal.
type Record struct {
	Type RecordType
	// Message and, if its sequence does not tell its place in the queue, Order:
	// messages are ordered by it, and it is twice the sequence where it is 0, so that an odd one
	// comes just before a sequence. Replaces, if not 0, is the record that this
	// one stands for; it is dead from here on. RecordMessage.
	Message  *Message
	Order    uint64
	Replaces uint64
	// Settled sequences of this journal. RecordSettle.
	Settled []uint64
	// Marks of this journal. RecordMark.
	Marks []Mark
	// Handed out queues. RecordSettle and RecordMark.
	Handed []Handed
	// Transaction names a prepared transaction. RecordPrepare, RecordDone; on a
	// RecordMessage the transaction it came from, or empty.
	Transaction string
	// Node that became the owner. RecordEpoch.
	Node string
	// Messages of a transaction. RecordPrepare.
	Messages []*Message
	// Relaxed records complete when stored; others when they are as durable as
	// the store promises.
	Relaxed bool
	// Patient records, which are not Relaxed, are made as durable with the next one that somebody waits for, or some milliseconds later: nobody waits for them.
	Patient bool
}

// Appended is told what became of an Append.
type Appended interface {
	// Appended is called once, from a goroutine of the journal, in the order of
	// the Append calls of records with the same Relaxed. It must not block. After an error
	// the record is not in the journal, or the journal has failed for good.
	Appended(seq uint64, err error)
}

// Stored may be implemented by an Appended that wants to hear of its record as
// early as possible.
type Stored interface {
	// Stored is called for a record that is not Relaxed, before Appended and from a
	// goroutine of the journal, in the order of the sequences. The record is in the journal
	// and outlives this process, but perhaps not a power cut. It must not block.
	Stored(seq uint64)
}

// Journal is an ordered, durable log with dense sequences: between State().First
// and Last no sequence is missing, or the journal is damaged and says so.
// All methods but Replay may be called concurrently.
type Journal interface {
	// Append adds a record at the end and does not wait. Records are stored in
	// the order of the calls. The record must not be changed until a is told.
	Append(r *Record, a Appended)
	// Replay calls fn for every record from the first to the last, in order. It
	// fails if a sequence is missing or a record cannot be read. Message bodies
	// may be left out; size is Message.Size() of a message and 0 of other records.
	Replay(ctx context.Context, fn func(seq uint64, size int, r *Record) error) error
	// Load reads messages of a queue by ascending sequence and calls done from a
	// goroutine of the journal with one entry per sequence (nil where it is gone).
	Load(queue string, seqs []uint64, done func([]*Message, error))
	// Trim says that nothing below seq is needed any more. Space comes back some time later.
	Trim(seq uint64)
	// State is a cheap snapshot.
	State() JournalState
}

// JournalState describes a journal. First is Last+1 when it is empty.
type JournalState struct {
	First, Last uint64
	Bytes       uint64
	// Err is not nil when the journal has failed for good: nothing can be appended.
	Err error
}

// Reader reads a journal as it was at a moment, while others may append to it and trim it.
type Reader interface {
	// Replay and Load are those of Journal. What was trimmed since the moment is left out: it was not needed any more.
	Replay(ctx context.Context, fn func(seq uint64, size int, r *Record) error) error
	Load(queue string, seqs []uint64, done func([]*Message, error))
}

// Archive is a store as one that copies it sees it. Implemented by jetstream.
type Archive interface {
	Shards() int
	// Read opens journal i as it is now. It does not disturb who writes it, on this or another node.
	Read(ctx context.Context, i int) (Reader, error)
}
