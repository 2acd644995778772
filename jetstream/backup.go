package jetstream

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/sluice-mq/sluice/gateway"
)

// A backup is
//
//	"SLUICE BACKUP 1\n" | entries | end
//
// An entry is length (4) | CRC-32C of the rest (4) | redeliveries (uvarint) | a record with a message. More than any message's redeliveries
// says that it is something else, which a "SLUICE BACKUP 1\n" has not: asFact a fact of the registry, asLog that the messages of a topic's log follow, asLogged such
// a message; the latter two are not in a "SLUICE BACKUP 2\n" either. Facts come first, then logs. The end is an entry of length 0, followed by
// the number of entries (8) and the CRC-32C of that (4). So a file that was cut, or in which a bit was flipped, is recognised.

const (
	backupMagic      = "SLUICE BACKUP 1\n"
	backupMagicFacts = "SLUICE BACKUP 2\n"
	backupMagicLogs  = "SLUICE BACKUP 4\n" // no bit's flip makes it one of the others
	asFact           = 1 << 32
	asLog            = 2 << 32
	asLogged         = 3 << 32
)

// maxEntry bounds what is allocated for an entry: a record, and the redeliveries.
const maxEntry = MaxRecord + binary.MaxVarintLen64

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// BackupWriter writes a backup. It is for one goroutine.
type BackupWriter struct {
	w       *bufio.Writer
	buf     []byte
	begun   bool
	part    int // of the backup: facts, logs, messages of queues
	entries uint64
	count   uint64 // of messages of queues
}

// The parts of a backup, in their order.
const (
	partFacts = iota
	partLogs
	partQueues
)

// NewBackupWriter begins a backup.
func NewBackupWriter(w io.Writer) *BackupWriter {
	return &BackupWriter{w: bufio.NewWriterSize(w, 1<<18)}
}

// begin writes what the backup begins with.
func (b *BackupWriter) begin(magic string) error {
	if b.begun {
		return nil
	}
	b.begun = true
	_, err := b.w.WriteString(magic)
	return err
}

// enter begins a part of the backup, unless it is begun.
func (b *BackupWriter) enter(part int, magic string) error {
	if part < b.part {
		return errors.New("writing the backup: facts come before logs, and those before messages of queues")
	}
	b.part = part
	if err := b.begin(magic); err != nil {
		return fmt.Errorf("writing the backup: %w", err)
	}
	return nil
}

// AddFact adds a fact of the registry. Facts come before all else.
func (b *BackupWriter) AddFact(key string, value []byte) error {
	if err := b.enter(partFacts, backupMagicLogs); err != nil {
		return err
	}
	return b.add(asFact, func(dst []byte) []byte { return appendFact(dst, factThere, key, value) })
}

// AddLog begins a topic's log: the messages that are added next are its own, from an offset on. A log that is begun again has nothing of what was added before. Logs come before
// messages of queues, and after at least one fact, that of the log.
func (b *BackupWriter) AddLog(topic string, first uint64) error {
	if !b.begun {
		return errors.New("writing the backup: a log that no fact speaks of")
	}
	if err := b.enter(partLogs, backupMagicLogs); err != nil {
		return err
	}
	return b.add(asLog, func(dst []byte) []byte { return binary.AppendUvarint(appendString(dst, topic), first) })
}

// AddLogged adds the next message of the log.
func (b *BackupWriter) AddLogged(m *gateway.Message) error {
	if b.part != partLogs {
		return errors.New("writing the backup: a message of no log")
	}
	return b.add(asLogged, func(dst []byte) []byte { return appendLogged(dst, m) })
}

// Add adds a message of a queue.
func (b *BackupWriter) Add(m *gateway.Message, redeliveries uint32) error {
	if err := b.enter(partQueues, backupMagic); err != nil {
		return err
	}
	b.count++
	return b.add(uint64(redeliveries), func(dst []byte) []byte {
		return appendRecord(dst, &gateway.Record{Type: gateway.RecordMessage, Message: m})
	})
}

// add writes an entry.
func (b *BackupWriter) add(number uint64, record func([]byte) []byte) error {
	b.buf = append(b.buf[:0], make([]byte, 8)...)
	b.buf = record(binary.AppendUvarint(b.buf, number))
	binary.BigEndian.PutUint32(b.buf, uint32(len(b.buf)-8))
	binary.BigEndian.PutUint32(b.buf[4:], crc32.Checksum(b.buf[8:], castagnoli))
	b.entries++
	if _, err := b.w.Write(b.buf); err != nil {
		return fmt.Errorf("writing the backup: %w", err)
	}
	return nil
}

// Close writes the end; without it the backup is not one. It returns the number of messages of queues.
func (b *BackupWriter) Close() (uint64, error) {
	end := make([]byte, 4, 16)
	end = binary.BigEndian.AppendUint64(end, b.entries)
	end = binary.BigEndian.AppendUint32(end, crc32.Checksum(end[4:], castagnoli))
	err := b.begin(backupMagic)
	if err == nil {
		_, err = b.w.Write(end)
	}
	if err == nil {
		err = b.w.Flush()
	}
	if err != nil {
		return b.count, fmt.Errorf("writing the backup: %w", err)
	}
	return b.count, nil
}
