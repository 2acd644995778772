package wire

import (
	"bytes"
	"errors"
	"math"
	"strconv"
)

const (
	// wholeBody is up to which size a body waits in the buffer until all of it is
	// there, to be copied once into memory of its exact size.
	wholeBody = maxBuffer / 2

	// firstBody is what a larger body gets first. When so much has arrived, one whose size is known gets bodyGrowth times as much, and so on: with 2 a body
	// of some MiB would be copied whole, and leave garbage of its own size and more.
	firstBody  = maxBuffer
	bodyGrowth = 4
)

// readBody reads the body and the NUL after it. head is the size of what came before.
func (r *Reader) readBody(f *Frame, head int) error {
	most, tooLong := r.limits.Body, "The maximum data length was exceeded"
	if left := r.limits.frame() - head; left < most {
		most, tooLong = left, "The maximum frame size was exceeded"
	}
	if counted(f.Command) {
		if text, ok := f.Header.Get(contentLength); ok {
			n, err := parseLength(text)
			if err != nil {
				return err
			}
			if n > most {
				return &Error{tooLong}
			}
			f.Length = true
			f.Body, err = r.readCounted(n)
			return err
		}
	}
	body, err := r.readToNUL(most, tooLong)
	f.Body = body
	return err
}

// parseLength parses a content-length. What no int can hold is math.MaxInt, or an
// error when negative.
func parseLength(text string) (int, error) {
	n, err := strconv.ParseInt(trimBlanks(text), 10, strconv.IntSize)
	if n < 0 {
		return 0, &Error{"Specified content-length may not be negative"}
	}
	if errors.Is(err, strconv.ErrRange) {
		return math.MaxInt, nil
	}
	if err != nil {
		return 0, &Error{"Specified content-length is not a valid integer [" + shown(text) + "]"}
	}
	return int(n), nil
}

// readCounted reads a body of n bytes and the NUL after it. Until the bytes are
// there, n is only a claim: memory follows what arrived.
func (r *Reader) readCounted(n int) ([]byte, error) {
	if n > wholeBody {
		body, err := r.readLarge(n)
		if err != nil {
			return nil, err
		}
		return body, r.takeNUL(0)
	}
	for r.Buffered() <= n {
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
	body := copied(r.held()[:n])
	return body, r.takeNUL(n)
}

// takeNUL consumes n bytes and the NUL after them.
func (r *Reader) takeNUL(n int) error {
	for r.Buffered() <= n {
		if err := r.fill(); err != nil {
			return err
		}
	}
	r.pos += n + 1
	if r.data[r.pos-1] != 0 {
		return &Error{contentLength + " bytes were read and there was no trailing null byte"}
	}
	return nil
}

// readLarge reads n bytes, past the buffer once that is empty.
func (r *Reader) readLarge(n int) ([]byte, error) {
	body := make([]byte, min(n, max(firstBody, r.Buffered())))
	have := copy(body, r.held())
	r.pos += have
	for have < n {
		if have == len(body) {
			if err := r.ask(n); err != nil {
				return nil, err
			}
			body = grown(body, have, min(n, bodyGrowth*have))
		}
		m, err := r.read(body[have:])
		if err != nil {
			return nil, err
		}
		have += m
	}
	return body, nil
}

// readToNUL reads a body without a length, of no more than most bytes, and the
// NUL that ends it.
func (r *Reader) readToNUL(most int, tooLong string) ([]byte, error) {
	looked := 0
	for {
		end := bytes.IndexByte(r.held()[looked:], 0)
		if end >= 0 {
			end += looked
		}
		if end > most || end < 0 && r.Buffered() > most {
			return nil, &Error{tooLong}
		}
		if end >= 0 {
			body := copied(r.held()[:end])
			r.pos += end + 1
			return body, nil
		}
		if r.Buffered() > wholeBody {
			return r.readLargeToNUL(most, tooLong)
		}
		looked = r.Buffered()
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// readLargeToNUL goes on when the buffer, which holds no NUL, is too small.
func (r *Reader) readLargeToNUL(most int, tooLong string) ([]byte, error) {
	body := make([]byte, min(most, max(firstBody, r.Buffered())))
	have := 0
	for {
		piece := r.held()
		end := bytes.IndexByte(piece, 0)
		if end >= 0 {
			piece = piece[:end]
		}
		if len(piece) > most-have {
			return nil, &Error{tooLong}
		}
		if len(piece) > len(body)-have {
			if err := r.ask(most); err != nil {
				return nil, err
			}
			body = grown(body, have, min(most, max(2*len(body), have+len(piece))))
		}
		have += copy(body[have:], piece)
		r.pos += len(piece)
		if end >= 0 {
			r.pos++
			return clipped(body[:have]), nil
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// grown returns a slice of the given size that begins with the first have bytes.
func grown(body []byte, have, size int) []byte {
	larger := make([]byte, size)
	copy(larger, body[:have])
	return larger
}

// clipped returns the body without spare memory, if that is worth a copy: a body
// may live much longer than its reading took.
func clipped(body []byte) []byte {
	if cap(body)-len(body) <= cap(body)/8 {
		return body[:len(body):len(body)]
	}
	return copied(body)
}

// copied returns a copy of exact size, nil when there is nothing.
func copied(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	c := make([]byte, len(b)) // not cleared: the compiler sees the copy
	copy(c, b)
	return c
}
