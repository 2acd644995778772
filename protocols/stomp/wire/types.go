package wire

import "github.com/sluice-mq/sluice/gateway"

// Version of the protocol; it decides about escaping and trimming.
type Version uint8

// The versions, in order.
const (
	V10 Version = iota + 1
	V11
	V12
)

// String returns "1.0", "1.1" or "1.2", as the version header shows it.
func (v Version) String() string {
	switch v {
	case V11:
		return "1.1"
	case V12:
		return "1.2"
	}
	return "1.0"
}

// Limits bound a frame. They are checked before memory is taken, on the sum as
// well as on the parts. All are in bytes but Headers.
type Limits struct {
	Command    int // length of the command line
	HeaderLine int // length of one header line
	Headers    int // number of header lines
	Body       int // length of the body
	Frame      int // the whole frame; 0 is the sum of the others
}

// Frame is one frame as a client sent it. Its memory belongs to the receiver;
// the next Reader.Next does not touch it.
type Frame struct {
	Command string
	Header  gateway.Header
	Body    []byte
	// Length reports that the frame had a content-length header that was honoured.
	Length bool
}

// Error is a violation of the protocol or of a limit by the peer. The stream
// cannot be read on after it. Text is fit for an ERROR frame's message header.
type Error struct{ Text string }

func (e *Error) Error() string { return e.Text }
