package wire

import "io"

// Reader reads frames from a byte stream. It holds at most 64 KiB of it, or one
// header block if the limits allow a larger one. It is for one goroutine.
type Reader struct {
	buffer
	limits  Limits
	version Version
	strict  bool
	failed  error
	room    func(bytes int) error // nil: there is always room
	asked   bool                  // for the present frame
}

// NewReader returns a Reader of version 1.0 over r with the given limits. It
// reads in large pieces; nobody else should read from r afterwards.
func NewReader(r io.Reader, l Limits) *Reader {
	return &Reader{
		buffer:  buffer{src: r, data: make([]byte, minBuffer)},
		limits:  l,
		version: V10,
	}
}

// SetVersion decides about trimming and unescaping from the next frame on, also
// when that frame is already buffered.
func (r *Reader) SetVersion(v Version) { r.version = v }

// SetLimits replaces the limits from the next frame on.
func (r *Reader) SetLimits(l Limits) { r.limits = l }

// SetStrict makes header lines without a colon and undefined escapes an *Error,
// as the specification asks. Otherwise the former are ignored and the latter kept
// as they are, as ActiveMQ does.
func (r *Reader) SetStrict(strict bool) { r.strict = strict }

// Borrow has the reader take its buffers from there. Who calls it must Close the reader.
func (r *Reader) Borrow(from *Buffers) { r.lent = from }

// SetRoom has the reader ask before a frame takes more than 64 KiB: once for each, when so much of it has come, for all that may still come. room may
// wait; nothing is read meanwhile. Its error is Next's.
func (r *Reader) SetRoom(room func(bytes int) error) { r.room = room }

// Close gives borrowed buffers back. It must be the last call.
func (r *Reader) Close() {
	r.lent.put(r.data)
	r.data, r.pos, r.end, r.failed = nil, 0, 0, io.ErrClosedPipe
}

// Buffered returns the number of bytes read from the source and not yet consumed.
// While it is not 0 the caller may go on with Next before it flushes its answers.
// The bytes may be the beginning of a frame only, so Next may still read: who
// delays its answers must flush them before the source's Read blocks.
func (r *Reader) Buffered() int { return r.end - r.pos }

// Next reads the next frame into f, of which nothing is kept or reused. An empty
// header and an empty body are nil.
//
// It returns io.EOF when the stream ends between frames, io.ErrUnexpectedEOF when
// it ends inside one, *Error when the peer breaks the protocol or a limit, and
// otherwise the source's error. After an error f is empty and every further call
// returns the same error. Blank lines, line ends and NULs between frames (heart-beats,
// and what clients add after bodies) are consumed without limit and without
// memory; bounding their time is up to the source.
func (r *Reader) Next(f *Frame) error {
	*f = Frame{}
	if err := r.Await(); err != nil {
		return err
	}
	if err := r.frame(f); err != nil {
		*f = Frame{}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		r.failed = err
		return err
	}
	// Line ends after the frame must not look like work to a caller of Buffered.
	r.skipNoise()
	return nil
}

// Await returns as soon as something of the next frame is there, or Next's error if nothing comes. Most of
// its time a reader waits: who calls it first, waits without what it needs for frames on its stack.
func (r *Reader) Await() error {
	for r.failed == nil && !r.skipNoise() {
		r.failed = r.fill()
	}
	return r.failed
}

// skipNoise consumes what may stand between frames and reports whether a frame
// follows in the buffer.
func (r *Reader) skipNoise() bool {
	for r.pos < r.end {
		switch r.data[r.pos] {
		case '\n', '\r', 0, ' ', '\t':
			r.pos++
		default:
			return true
		}
	}
	return false
}

// frame reads one frame whose first byte is in the buffer.
func (r *Reader) frame(f *Frame) error {
	r.asked = false
	size, lines, err := r.scanHead()
	if err != nil {
		return err
	}
	if err := r.parseHead(f, r.held()[:size], lines); err != nil {
		return err
	}
	r.pos += size
	return r.readBody(f, size)
}

// ask sees to it that there is room for so much of the present frame.
func (r *Reader) ask(bytes int) error {
	if r.asked || r.room == nil {
		return nil
	}
	r.asked = true
	return r.room(bytes)
}
