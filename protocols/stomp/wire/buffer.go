package wire

import (
	"errors"
	"io"
	"sync"
)

const (
	// minBuffer is what an idle connection keeps: room for a login, or a few small frames.
	minBuffer = 512
	maxBuffer = 64 << 10

	// fullBuffer is what a buffer becomes as soon as minBuffer is too small.
	fullBuffer = 4 << 10

	// quietReads is after how many small reads in a row a grown buffer is halved,
	// so that a burst does not cost an idle connection its memory for ever.
	quietReads = 64

	// emptyReads is how often a source may return nothing without an error.
	emptyReads = 100
)

var errReadCount = errors.New("wire: source returned an impossible count from Read")

// buffer holds what came from the source and was not consumed: data[pos:end].
// It starts with minBuffer, becomes fullBuffer once that is filled and doubles while the
// source fills it, to maxBuffer. It shrinks when it stays mostly empty, and to minBuffer
// at once when nothing comes but a heart-beat: then the client is idle. Beyond maxBuffer it
// grows only for a header block that does not fit, which the caller bounds, and comes back after it.
type buffer struct {
	src   io.Reader
	lent  *Buffers // of fullBuffer; nil: they are made
	err   error    // the source's error, given once what came before it is consumed
	data  []byte
	pos   int
	end   int
	full  bool // the last read filled all the room it had
	quiet int  // small reads in a row
	beat  bool // the last read brought a heart-beat alone
}

// Buffers lends readers their first buffer beyond the small one of an idle reader: there are clients that
// connect, say a little and leave, again and again. The zero value is ready. It may be used by many readers at once.
type Buffers struct{ pool sync.Pool }

func (p *Buffers) get(size int) []byte {
	if p != nil && size == fullBuffer {
		if data, ok := p.pool.Get().(*[fullBuffer]byte); ok {
			return data[:]
		}
	}
	return make([]byte, size)
}

func (p *Buffers) put(data []byte) {
	if p != nil && len(data) == fullBuffer {
		p.pool.Put((*[fullBuffer]byte)(data))
	}
}

// held returns the bytes not yet consumed. They are valid until the next fill.
func (b *buffer) held() []byte { return b.data[b.pos:b.end] }

// fill reads once and adds to what is held; offsets from pos stay valid.
func (b *buffer) fill() error {
	if b.err != nil {
		return b.err
	}
	b.makeRoom()
	room := b.data[b.end:]
	n, err := b.read(room)
	b.end += n
	b.full = n == len(room) && n >= len(b.data)/2
	if n <= len(b.data)/8 {
		b.quiet++
	} else {
		b.quiet = 0
	}
	b.beat = n > 0 && n <= len("\r\n") && b.end-b.pos == n && b.data[b.end-1] == '\n'
	return err
}

// read reads at least one byte into p, past the buffer.
func (b *buffer) read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	for range emptyReads {
		n, err := b.src.Read(p)
		if n < 0 || n > len(p) {
			n, err = 0, errReadCount
		}
		b.err = err
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
	b.err = io.ErrNoProgress
	return 0, b.err
}

// makeRoom sees to it that data[end:] is not empty.
func (b *buffer) makeRoom() {
	held := b.end - b.pos
	if size := b.size(held); size != len(b.data) {
		data := b.lent.get(size)
		copy(data, b.held())
		b.lent.put(b.data)
		b.data, b.pos, b.end = data, 0, held
		b.full, b.quiet, b.beat = false, 0, false
		return
	}
	// Moving is cheap when little is held, and never happens twice for the same
	// bytes: pos is 0 afterwards.
	if b.pos > 0 && len(b.data)-b.end < len(b.data)/2 {
		copy(b.data, b.held())
		b.pos, b.end = 0, held
	}
}

// size returns the size the buffer should have while it holds so many bytes.
func (b *buffer) size(held int) int {
	size := len(b.data)
	switch {
	case held == 0 && b.beat:
		return minBuffer
	case held == size:
		return max(2*size, fullBuffer)
	case size > maxBuffer:
		if held <= maxBuffer/2 {
			return maxBuffer
		}
	case b.full && size < maxBuffer:
		return max(2*size, fullBuffer)
	case b.quiet >= quietReads && size > minBuffer && held <= size/4:
		return size / 2
	}
	return size
}
