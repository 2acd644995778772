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

// errCut says that a backup ends before its end.
var errCut = errors.New("the backup is cut")

// Backup is what is done with the parts of a backup that is read. The messages and facts are theirs; an error ends it. All but Message may be nil.
type Backup struct {
	Fact func(key string, value []byte) error
	// Log begins a topic's log, of which Logged gets the messages, the one at the offset first before the others. If it is begun again, what came before is void.
	Log     func(topic string, first uint64) error
	Logged  func(m *gateway.Message) error
	Message func(m *gateway.Message, redeliveries uint32) error
}

// ReadBackup reads a backup, in order. Its error says what is wrong with the backup; what came before is sound. It returns the number of messages of queues.
func ReadBackup(r io.Reader, to Backup) (count uint64, err error) {
	in := bufio.NewReaderSize(r, 1<<18)
	magic := make([]byte, len(backupMagic))
	if _, err := io.ReadFull(in, magic); err != nil || string(magic) != backupMagic && string(magic) != backupMagicFacts && string(magic) != backupMagicLogs {
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
		if err := to.take(e); err != nil {
			return count, err
		}
		if e.kind == 0 {
			count++
		}
	}
}

func (to *Backup) take(e entry) error {
	switch {
	case e.kind == asFact && to.Fact != nil:
		return to.Fact(e.fact.key, e.fact.value)
	case e.kind == asLog && to.Log != nil:
		return to.Log(e.topic, e.first)
	case e.kind == asLogged && to.Logged != nil:
		return to.Logged(e.message)
	case e.kind == 0:
		return to.Message(e.message, e.redeliveries)
	}
	return nil
}

// entry is one of a backup.
type entry struct {
	kind         uint64 // asFact, asLog, asLogged, or 0: a message of a queue
	message      *gateway.Message
	redeliveries uint32
	fact         factRecord
	topic        string
	first        uint64
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
	number, used := binary.Uvarint(b)
	if used <= 0 {
		return entry{}, errBadRecord
	}
	return decodeEntry(number, b[used:])
}

// decodeEntry reads what is in an entry. The result may keep b.
func decodeEntry(number uint64, b []byte) (e entry, err error) {
	if number < asFact {
		e.redeliveries, number = uint32(number), 0
	}
	switch e.kind = number; number {
	case asFact:
		if e.fact, err = decodeFact(b); err == nil && e.fact.op != factThere {
			err = errBadRecord
		}
		return e, err
	case asLog:
		d := decoder{b: b}
		e.topic = string(d.bytes(d.uvarint()))
		if e.first = d.uvarint(); d.failed || len(d.b) > 0 || e.topic == "" || e.first > gateway.MaxFirst {
			return entry{}, errBadRecord
		}
		return e, nil
	case asLogged:
		if e.message, err = decodeLogged(b); err == nil {
			e.message.Destination.Kind = gateway.KindTopic
		}
		return e, err
	case 0:
		rec, err := decodeRecord(b, true)
		if err != nil || rec.Type != gateway.RecordMessage {
			return entry{}, errors.Join(errBadRecord, err)
		}
		e.message = rec.Message
		return e, nil
	}
	return entry{}, errBadRecord
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
