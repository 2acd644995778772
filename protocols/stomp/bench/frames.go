package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

const (
	leastBuffer = 4 << 10
	mostBuffer  = 64 << 10 // but for a frame that needs more
	mostHead    = 64 << 10
)

// frame is a frame that came, as it stands in the reader's buffer: it is valid until the
// next one is read, and values have their escapes still.
type frame struct {
	command []byte
	head    []byte // the header lines, each from the line end before it
	body    []byte
}

// Header lines begin with these.
const (
	lineLength       = "\ncontent-length:"
	lineSubscription = "\nsubscription:"
	lineMessageID    = "\nmessage-id:"
	lineRedelivered  = "\nredelivered:true\n"
	lineReceiptID    = "\nreceipt-id:"
	lineMessage      = "\nmessage:"
)

// field is what follows the beginning of a line, nil if there is none.
func (f *frame) field(line string) []byte {
	at := bytes.Index(f.head, []byte(line))
	if at < 0 {
		return nil
	}
	value := f.head[at+len(line):]
	return value[:bytes.IndexByte(value, '\n')]
}

// reader reads what brokers send, and spends as little on it as possible: the client must
// not be what is measured. It takes a broker's frames to be in form, with bare line
// ends; what is not makes an error at some time, never memory beyond the bound on bodies.
type reader struct {
	src      io.Reader
	mostBody int
	data     []byte
	pos, end int
}

func newReader(src io.Reader, mostBody int) *reader {
	return &reader{src: src, mostBody: mostBody, data: make([]byte, leastBuffer)}
}

// next reads a frame.
func (r *reader) next(f *frame) error {
	for !r.skipNoise() {
		if err := r.fill(1); err != nil {
			return err
		}
	}
	head, err := r.find("\n\n", 0, mostHead)
	if err != nil {
		return err
	}
	*f = frame{head: r.data[r.pos : r.pos+head+1]}
	size, err := r.size(f, head+2)
	if err != nil {
		return err
	}
	held := r.data[r.pos : r.pos+size]
	line := bytes.IndexByte(held, '\n')
	*f = frame{command: held[:line], head: held[line : head+1], body: held[head+2 : size-1]}
	if held[size-1] != 0 {
		return errors.New("a frame does not end where its length says")
	}
	r.pos += size
	return nil
}

// size is that of the frame whose body begins there, and sees to it that it is all held.
func (r *reader) size(f *frame, body int) (int, error) {
	text := f.field(lineLength)
	if text == nil {
		end, err := r.find("\x00", body, r.mostBody)
		return end + 1, err
	}
	n, ok := number(text)
	if !ok || n > uint64(r.mostBody) {
		return 0, fmt.Errorf("a body of %q bytes, where no more than %d are due", text, r.mostBody)
	}
	size := body + int(n) + 1
	return size, r.fill(size)
}

// skipNoise consumes heart-beats, and tells whether a frame follows.
func (r *reader) skipNoise() bool {
	for r.pos < r.end {
		if b := r.data[r.pos]; b != '\n' && b != '\r' && b != 0 {
			return true
		}
		r.pos++
	}
	return false
}

// find returns where, from pos on, something begins, which has to come before so many bytes more.
func (r *reader) find(what string, from, most int) (int, error) {
	for looked := from; ; {
		held := r.data[r.pos:r.end]
		if looked < len(held) {
			if at := bytes.Index(held[looked:], []byte(what)); at >= 0 && looked+at <= from+most {
				return looked + at, nil
			}
			looked = max(from, len(held)-len(what)+1)
		}
		if len(held) >= from+most+len(what) {
			return 0, fmt.Errorf("a frame goes on after %d bytes", len(held))
		}
		if err := r.fill(len(held) + 1); err != nil {
			return 0, err
		}
	}
}

// fill reads until so many bytes are held from pos on.
func (r *reader) fill(need int) error {
	for r.end-r.pos < need {
		if r.pos > len(r.data)/2 || r.pos+need > len(r.data) {
			r.move(need)
		}
		n, err := r.src.Read(r.data[r.end:])
		r.end += n
		if n == 0 && err != nil {
			return err
		}
		if r.end == len(r.data) && len(r.data) < mostBuffer {
			r.move(len(r.data) + 1) // there is more than fits
		}
	}
	return nil
}

// move brings what is held to the front of a buffer that has room for so much.
func (r *reader) move(need int) {
	data := r.data
	if need > len(data) {
		data = make([]byte, max(need, 2*len(data)))
	}
	r.end = copy(data, r.data[r.pos:r.end])
	r.data, r.pos = data, 0
}

// number reads digits.
func number(text []byte) (n uint64, ok bool) {
	for _, b := range text {
		if b < '0' || b > '9' || n > 1<<48 {
			return 0, false
		}
		n = 10*n + uint64(b-'0')
	}
	return n, len(text) > 0
}
