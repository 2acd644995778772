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
// An entry is length (4) | CRC-32C of the rest (4) | redeliveries (uvarint) | a record with a message. The end is an entry of length 0, followed by
// the number of entries (8) and the CRC-32C of that (4). So a file that was cut, or in which a bit was flipped, is recognised.

const backupMagic = "SLUICE BACKUP 1\n"

// maxEntry bounds what is allocated for an entry: a record, and the redeliveries.
const maxEntry = MaxRecord + binary.MaxVarintLen64

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// BackupWriter writes a backup. It is for one goroutine.
type BackupWriter struct {
	w     *bufio.Writer
	buf   []byte
	count uint64
}

// NewBackupWriter begins a backup.
func NewBackupWriter(w io.Writer) (*BackupWriter, error) {
	b := &BackupWriter{w: bufio.NewWriterSize(w, 1<<18)}
	if _, err := b.w.WriteString(backupMagic); err != nil {
		return nil, fmt.Errorf("writing the backup: %w", err)
	}
	return b, nil
}

// Add adds a message.
func (b *BackupWriter) Add(m *gateway.Message, redeliveries uint32) error {
	b.buf = append(b.buf[:0], make([]byte, 8)...)
	b.buf = binary.AppendUvarint(b.buf, uint64(redeliveries))
	b.buf = appendRecord(b.buf, &gateway.Record{Type: gateway.RecordMessage, Message: m})
	binary.BigEndian.PutUint32(b.buf, uint32(len(b.buf)-8))
	binary.BigEndian.PutUint32(b.buf[4:], crc32.Checksum(b.buf[8:], castagnoli))
	b.count++
	if _, err := b.w.Write(b.buf); err != nil {
		return fmt.Errorf("writing the backup: %w", err)
	}
	return nil
}

// Close writes the end; without it the backup is not one. It returns the number of messages.
func (b *BackupWriter) Close() (uint64, error) {
	end := make([]byte, 4, 16)
	end = binary.BigEndian.AppendUint64(end, b.count)
	end = binary.BigEndian.AppendUint32(end, crc32.Checksum(end[4:], castagnoli))
	_, err := b.w.Write(end)
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

// ReadBackup calls fn with every message of a backup, in order. Its error says what is wrong with the backup; what came before
// is sound. The error of fn ends it. The messages are fn's.
func ReadBackup(r io.Reader, fn func(m *gateway.Message, redeliveries uint32) error) (count uint64, err error) {
	in := bufio.NewReaderSize(r, 1<<18)
	magic := make([]byte, len(backupMagic))
	if _, err := io.ReadFull(in, magic); err != nil || string(magic) != backupMagic {
		return 0, errors.New("this is not a backup that this build knows")
	}
	for {
		var length [4]byte
		if _, err := io.ReadFull(in, length[:]); err != nil {
			return count, cut(err)
		}
		n := binary.BigEndian.Uint32(length[:])
		if n == 0 {
			return count, backupEnd(in, count)
		}
		if n > maxEntry {
			return count, fmt.Errorf("message %d of the backup is damaged: it claims %d bytes", count+1, n)
		}
		m, redeliveries, err := backupEntry(in, int(n))
		if err != nil {
			return count, fmt.Errorf("message %d of the backup: %w", count+1, err)
		}
		if err := fn(m, redeliveries); err != nil {
			return count, err
		}
		count++
	}
}

func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCut
	}
	return fmt.Errorf("reading the backup: %w", err)
}

func backupEntry(in io.Reader, n int) (*gateway.Message, uint32, error) {
	var sum [4]byte
	if _, err := io.ReadFull(in, sum[:]); err != nil {
		return nil, 0, cut(err)
	}
	// A length that lies costs no more memory than there are bytes.
	entry, err := io.ReadAll(io.LimitReader(in, int64(n)))
	if err != nil || len(entry) < n {
		return nil, 0, cut(errors.Join(err, io.ErrUnexpectedEOF))
	}
	if crc32.Checksum(entry, castagnoli) != binary.BigEndian.Uint32(sum[:]) {
		return nil, 0, errors.New("it is damaged: its checksum does not match")
	}
	redeliveries, used := binary.Uvarint(entry)
	if used <= 0 {
		return nil, 0, errBadRecord
	}
	rec, err := decodeRecord(entry[used:], true)
	if err != nil || rec.Type != gateway.RecordMessage {
		return nil, 0, errors.Join(errBadRecord, err)
	}
	return rec.Message, uint32(redeliveries), nil
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
		return fmt.Errorf("the backup has %d messages, but should have %d", count, n)
	}
	return nil
}
