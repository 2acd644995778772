package lease

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
)

// openMost is how many messages of a subscription may be open at once: read, and neither acknowledged nor passed over. What it has of them is one fact, which is
// bounded (gateway.MaxFact).
const openMost = 5000

// progress is how far a subscription is in a log.
type progress struct {
	// next is the first offset that was not read yet.
	next uint64
	// open are the offsets before it that are not settled, with how often they came back.
	open map[uint64]uint32
}

func newProgress(next uint64) progress { return progress{next, make(map[uint64]uint32)} }

// low is the first offset that is not settled.
func (p *progress) low() uint64 {
	low := p.next
	for offset := range p.open {
		low = min(low, offset)
	}
	return low
}

// progressVersion begins what encode writes.
const progressVersion = 1

// encode writes what is open: version, and for each run of open offsets with the same count how far it begins behind the end of the one before, its length, and that
// count. That is at most 8 bytes a run at offsets below 2^40 and counts below 2^14: 40 KB for openMost of them.
func (p *progress) encode() []byte {
	b := []byte{progressVersion}
	offsets := slices.Sorted(maps.Keys(p.open))
	for end := uint64(0); len(offsets) > 0; {
		first, count := offsets[0], p.open[offsets[0]]
		n := 1
		for n < len(offsets) && offsets[n] == first+uint64(n) && p.open[offsets[n]] == count {
			n++
		}
		b = binary.AppendUvarint(b, first-end)
		b = binary.AppendUvarint(b, uint64(n))
		b = binary.AppendUvarint(b, uint64(count))
		end, offsets = first+uint64(n), offsets[n:]
	}
	return b
}

var errProgress = errors.New("it is not what is kept of a subscription with leases")

// decodeProgress reads what encode wrote; nothing at all says that nothing is open.
func decodeProgress(b []byte, next uint64) (progress, error) {
	if len(b) == 0 {
		return newProgress(next), nil
	}
	if b[0] != progressVersion {
		return progress{}, errProgress
	}
	r := numbers{b: b[1:]}
	p := newProgress(next)
	for end := uint64(0); len(r.b) > 0; {
		gap, n, count := r.next(), r.next(), r.next()
		first := end + gap
		if r.failed || n == 0 || count > 1<<32-1 || first < end || first >= p.next || n > p.next-first || uint64(len(p.open))+n > openMost {
			return progress{}, errProgress
		}
		for i := range n {
			p.open[first+i] = uint32(count)
		}
		end = first + n
	}
	return p, nil
}

// numbers reads one after another.
type numbers struct {
	b      []byte
	failed bool
}

func (r *numbers) next() uint64 {
	n, read := binary.Uvarint(r.b)
	if read <= 0 {
		r.b, r.failed = nil, true
		return 0
	}
	r.b = r.b[read:]
	return n
}
