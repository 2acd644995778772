package websocket

import (
	"encoding/binary"
	"io"
	"math"
	"math/bits"
	"sync"
)

const (
	// longestHeader is the most that stands before a frame's payload.
	longestHeader = 14
	// longestBeat is the longest frame that has a heart-beat alone.
	longestBeat = 8

	finBit, rsvBits, opcodeBits, maskBit = 0x80, 0x70, 0x0f, 0x80
	opText, opBinary, opClose            = 1, 2, 8
)

// inbox reads from the socket: many frames at once, where many come. It hands out a data frame that is a message of its
// own by itself. All others, which are few, it leaves to the library, which gets what belongs to one frame
// at a time, so that it never holds a part of the next one. It belongs to the reader.
type inbox struct {
	from    io.Reader
	roomy   func() bool // whether the client may have a large buffer
	buffers *sync.Pool  // of *[]byte, each portion long

	small    []byte  // kept; idleBuffer long while little comes, else readBuffer
	large    *[]byte // while much comes; nil: small is in use
	pos, end int     // of what is held
	filled   bool    // the last read left no room
	beat     bool    // the last read brought as little as a heart-beat is

	left   int64  // what is left of the present frame: of its payload, or of all that the library gets
	ours   bool   // the present frame is one that we hand out
	key    uint32 // its mask, beginning with the next byte
	header []byte // goes to the library before anything else
	last   bool   // the present data frame that the library gets ends its message
}

// header is that of a frame.
type header struct {
	first   byte
	masked  bool
	length  int64 // of the payload; math.MaxInt64 if it is more or nonsense, for which the library has words
	key     uint32
	size    int // of the header itself
	opcode  byte
	message bool // the frame is a message of its own and follows the rules
}

// parseHeader reads a frame's header; false: more bytes are needed.
func parseHeader(b []byte) (h header, ok bool) {
	if len(b) < 2 {
		return h, false
	}
	h.first, h.opcode, h.masked, h.size = b[0], b[0]&opcodeBits, b[1]&maskBit != 0, 2
	switch n := b[1] &^ maskBit; n {
	case 126:
		h.size = 4
	case 127:
		h.size = 10
	default:
		h.length = int64(n)
	}
	extended := h.size
	if h.masked {
		h.size += 4
	}
	if len(b) < h.size {
		return h, false
	}
	switch extended {
	case 4:
		h.length = int64(binary.BigEndian.Uint16(b[2:]))
	case 10:
		h.length = int64(min(binary.BigEndian.Uint64(b[2:]), math.MaxInt64-longestHeader))
	}
	if h.masked {
		h.key = binary.LittleEndian.Uint32(b[extended:])
	}
	h.message = h.masked && h.first&(finBit|rsvBits) == finBit && (h.opcode == opText || h.opcode == opBinary)
	return h, true
}

func (in *inbox) data() []byte {
	if in.large != nil {
		return *in.large
	}
	return in.small
}

func (in *inbox) held() []byte { return in.data()[in.pos:in.end] }

// fill reads more from the socket, behind what is held: no more than a part of a header.
func (in *inbox) fill() error {
	held := in.held()
	switch {
	case in.filled && in.large == nil && len(in.small) < readBuffer:
		in.resize(readBuffer)
	case in.beat && len(held) == 0 && in.large == nil && len(in.small) > idleBuffer:
		in.resize(idleBuffer)
	case in.filled && in.large == nil && in.roomy():
		large := in.buffers.Get().(*[]byte)
		copy(*large, held)
		in.large = large
	case !in.filled && in.large != nil:
		copy(in.small, held)
		in.release()
	default:
		copy(in.data(), held)
	}
	in.pos, in.end = 0, len(held)
	room := in.data()[in.end:]
	n, err := in.from.Read(room)
	in.end += n
	in.filled, in.beat = n == len(room), n <= longestBeat
	if n > 0 {
		return nil
	}
	return err
}

// resize replaces the small buffer.
func (in *inbox) resize(size int) {
	small := make([]byte, size)
	copy(small, in.held())
	in.small = small
}

// await waits until something of what comes next is there. Who waits in it has little on the stack.
func (in *inbox) await() error {
	if in.pos < in.end || len(in.header) > 0 {
		return nil
	}
	err := in.fill()
	if err == io.EOF && in.ours {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// release gives the large buffer back.
func (in *inbox) release() {
	in.buffers.Put(in.large)
	in.large = nil
}

// next looks at the header of the next frame. It waits for it.
func (in *inbox) next() (header, error) {
	for {
		if h, ok := parseHeader(in.held()); ok {
			return h, nil
		}
		if err := in.fill(); err != nil {
			if in.pos < in.end && err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return header{}, err
		}
	}
}

// take begins a frame that is handed out by payload.
func (in *inbox) take(h header) {
	in.pos += h.size
	in.left, in.key, in.ours = h.length, h.key, h.length > 0
}

// payload reads from the frame that was taken. It waits for one byte at least.
func (in *inbox) payload(p []byte) (int, error) {
	if in.pos == in.end {
		if err := in.fill(); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
	}
	held := in.held()
	n := int(min(int64(len(p)), int64(len(held)), in.left))
	in.key = unmask(p[:n], held[:n], in.key)
	in.pos += n
	in.left -= int64(n)
	in.ours = in.left > 0
	return n, nil
}

// ready is how much of the present frame the library would get without waiting.
func (in *inbox) ready() int {
	return len(in.header) + int(min(int64(in.end-in.pos), in.left))
}

// done reports that the library has got a message to its end, and that nothing more belongs to it.
func (in *inbox) done() bool { return in.last && in.left == 0 }

// yield leaves the rest of a frame that we have begun to the library, as a frame.
func (in *inbox) yield() {
	if !in.ours {
		return
	}
	b := []byte{finBit | opBinary, maskBit | 127}
	b = binary.BigEndian.AppendUint64(b, uint64(in.left))
	in.header = binary.LittleEndian.AppendUint32(b, in.key)
	in.ours = false
}

// Read is for the library.
func (in *inbox) Read(p []byte) (int, error) {
	if len(in.header) > 0 {
		n := copy(p, in.header)
		in.header = in.header[n:]
		return n, nil
	}
	if in.left == 0 {
		h, err := in.next()
		if err != nil {
			return 0, err
		}
		in.left = int64(h.size) + h.length
		if h.opcode < opClose {
			in.last = h.first&finBit != 0
		}
	}
	if in.pos == in.end {
		if err := in.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, in.held()[:min(int64(in.end-in.pos), in.left)])
	in.pos += n
	in.left -= int64(n)
	return n, nil
}

// unmask copies to p what is under a mask, and returns the mask for what follows. p is as long as masked.
func unmask(p, masked []byte, key uint32) uint32 {
	wide := uint64(key)<<32 | uint64(key)
	for len(masked) >= 32 && len(p) >= 32 {
		for i := 0; i < 32; i += 8 {
			binary.LittleEndian.PutUint64(p[i:i+8], binary.LittleEndian.Uint64(masked[i:i+8])^wide)
		}
		p, masked = p[32:], masked[32:]
	}
	for i, b := range masked {
		p[i] = b ^ byte(key)
		key = bits.RotateLeft32(key, -8)
	}
	return key
}
