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
// An entry is length (4) | CRC-32C of the rest (4) | redeliveries (uvarint) | a record with a message; or, with asFact for the redeliveries and in a
// "SLUICE BACKUP 2\n" alone, a fact of the registry. Facts come first. The end is an entry of length 0, followed by
// the number of entries (8) and the CRC-32C of that (4). So a file that was cut, or in which a bit was flipped, is recognised.

const (
	backupMagic      = "SLUICE BACKUP 1\n"
	backupMagicFacts = "SLUICE BACKUP 2\n"
	// asFact is more than any message's redeliveries.
	asFact = 1 << 32
)

// maxEntry bounds what is allocated for an entry: a record, and the redeliveries.
const maxEntry = MaxRecord + binary.MaxVarintLen64

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// BackupWriter writes a backup. It is for one goroutine.
type BackupWriter struct {
	w       *bufio.Writer
	buf     []byte
	begun   bool
	entries uint64
	count   uint64 // of messages
}

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

// AddFact adds a fact of the registry. Facts come before messages.
func (b *BackupWriter) AddFact(key string, value []byte) error {
	if b.count > 0 {
		return errors.New("writing the backup: a fact behind messages")
	}
	if err := b.begin(backupMagicFacts); err != nil {
		return fmt.Errorf("writing the backup: %w", err)
	}
	return b.add(asFact, func(dst []byte) []byte { return appendFact(dst, factThere, key, value) })
}

// Add adds a message.
func (b *BackupWriter) Add(m *gateway.Message, redeliveries uint32) error {
	if err := b.begin(backupMagic); err != nil {
		return fmt.Errorf("writing the backup: %w", err)
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

// Close writes the end; without it the backup is not one. It returns the number of messages.
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

// errCut says that a backup ends before its end.
var errCut = errors.New("the backup is cut")

// Backup is what is done with the parts of a backup that is read. The messages and facts are theirs; an error ends it.
type Backup struct {
	// Fact may be nil.
	Fact    func(key string, value []byte) error
	Message func(m *gateway.Message, redeliveries uint32) error
}

// ReadBackup reads a backup, in order. Its error says what is wrong with the backup; what came before is sound. It returns the number of messages.
func ReadBackup(r io.Reader, to Backup) (count uint64, err error) {
	in := bufio.NewReaderSize(r, 1<<18)
	magic := make([]byte, len(backupMagic))
	if _, err := io.ReadFull(in, magic); err != nil || string(magic) != backupMagic && string(magic) != backupMagicFacts {
		return 0, errors.New("this is not a backup that this build knows")
	}
	for entries := uint64(0); ; entries++ {
		var length [4]byte
		if _, err := io.ReadFull(in, length[:]); err != nil {
			return count, cut(err)
		}
		n := binary.BigEndian.Uint32(length[:])
		if n == 0 {
			return count, backupEnd(in, entries)
		}
		if n > maxEntry {
			return count, fmt.Errorf("entry %d of the backup is damaged: it claims %d bytes", entries+1, n)
		}
		e, err := backupEntry(in, int(n))
		if err != nil {
			return count, fmt.Errorf("entry %d of the backup: %w", entries+1, err)
		}
		switch {
		case e.message != nil:
			err = to.Message(e.message, e.redeliveries)
		case to.Fact != nil:
			err = to.Fact(e.fact.key, e.fact.value)
		}
		if err != nil {
			return count, err
		}
		if e.message != nil {
			count++
		}
	}
}

// entry is one of a backup: a message or a fact.
type entry struct {
	message      *gateway.Message
	redeliveries uint32
	fact         factRecord
}

func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCut
	}
	return fmt.Errorf("reading the backup: %w", err)
}

func backupEntry(in io.Reader, n int) (entry, error) {
	var sum [4]byte
	if _, err := io.ReadFull(in, sum[:]); err != nil {
		return entry{}, cut(err)
	}
	// A length that lies costs no more memory than there are bytes.
	b, err := io.ReadAll(io.LimitReader(in, int64(n)))
	if err != nil || len(b) < n {
		return entry{}, cut(errors.Join(err, io.ErrUnexpectedEOF))
	}
	if crc32.Checksum(b, castagnoli) != binary.BigEndian.Uint32(sum[:]) {
		return entry{}, errors.New("it is damaged: its checksum does not match")
	}
	redeliveries, used := binary.Uvarint(b)
	if used <= 0 {
		return entry{}, errBadRecord
	}
	if redeliveries == asFact {
		f, err := decodeFact(b[used:])
		if err == nil && f.op != factThere {
			err = errBadRecord
		}
		return entry{fact: f}, err
	}
	rec, err := decodeRecord(b[used:], true)
	if err != nil || rec.Type != gateway.RecordMessage {
		return entry{}, errors.Join(errBadRecord, err)
	}
	return entry{message: rec.Message, redeliveries: uint32(redeliveries)}, nil
}

func backupEnd(in io.Reader, count uint64) error {
	var end [12]byte
	if _, err := io.ReadFull(in, end[:]); err != nil {
		return cut(err)
	}
	if crc32.Checksum(end[:8], castagnoli) != binary.BigEndian.Uint32(end[8:]) {
		return errors.New("the end of the backup is damaged")
	}
	if n := binary.BigEndian.Uint64(end[:]); n != count {
		return fmt.Errorf("the backup has %d entries, but should have %d", count, n)
	}
	return nil
}
