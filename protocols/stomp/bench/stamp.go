package bench

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// MinSize is the least body: its stamp.
const MinSize = 28

// stamp is what a body begins with: run, flow, number, the time it was due
// in nanoseconds since the run began, and a checksum of all the rest.
type stamp struct {
	run, flow uint32
	number    uint64
	due       int64
}

// sealer writes and checks stamps. It is safe for concurrent use.
type sealer struct {
	run   uint32
	table *crc32.Table
}

func newSealer(run uint32) sealer { return sealer{run, crc32.MakeTable(crc32.Castagnoli)} }

// fill writes the part of a body that is the same in all messages of a producer.
func fill(body []byte, producer int) {
	for i := range body {
		body[i] = byte('a' + (i+producer)%26)
	}
}

func (z sealer) seal(body []byte, flow uint32, number uint64, due int64) {
	binary.LittleEndian.PutUint32(body[0:], z.run)
	binary.LittleEndian.PutUint32(body[4:], flow)
	binary.LittleEndian.PutUint64(body[8:], number)
	binary.LittleEndian.PutUint64(body[16:], uint64(due))
	binary.LittleEndian.PutUint32(body[24:], z.sum(body))
}

func (z sealer) sum(body []byte) uint32 {
	return crc32.Update(crc32.Checksum(body[:24], z.table), z.table, body[28:])
}

// open reads a stamp, and says why a body is not one of this run's.
func (z sealer) open(body []byte, size int) (stamp, error) {
	if len(body) != size {
		return stamp{}, fmt.Errorf("a body has %d bytes where %d were sent", len(body), size)
	}
	if z.sum(body) != binary.LittleEndian.Uint32(body[24:]) {
		return stamp{}, fmt.Errorf("the checksum of a body is wrong")
	}
	s := stamp{
		run:    binary.LittleEndian.Uint32(body[0:]),
		flow:   binary.LittleEndian.Uint32(body[4:]),
		number: binary.LittleEndian.Uint64(body[8:]),
		due:    int64(binary.LittleEndian.Uint64(body[16:])),
	}
	if s.run != z.run {
		return s, fmt.Errorf("a message of another run")
	}
	return s, nil
}
