package wire

import (
	"bytes"
	"strconv"

	"github.com/sluice-mq/sluice/gateway"
)

// AppendFrame appends a whole frame for a peer of version v, ending with a NUL and
// a line feed as ActiveMQ's do. Nothing is allocated but room in dst.
//
// Fields are written by AppendField, those of CONNECT, STOMP and CONNECTED by
// AppendFieldRaw. A field content-length says that the length shall be sent; the
// number written is always that of body. A body with a NUL in it gets the
// field in any case, so that it cannot end early and pass for another frame.
func AppendFrame(dst []byte, v Version, command string, h gateway.Header, body []byte) []byte {
	if size := frameSize(command, h, body); size > cap(dst)-len(dst) {
		dst = append(make([]byte, 0, 2*len(dst)+size), dst...)
	}
	dst = appendText(dst, command, blankValue)
	dst = append(dst, '\n')
	raw, length := unescaped(command), false
	for i := range h {
		switch name := h[i].Name; {
		case name == contentLength:
			length = true
			dst = appendLength(dst, len(body))
		case raw:
			dst = AppendFieldRaw(dst, name, h[i].Value)
		default:
			dst = AppendField(dst, v, name, h[i].Value)
		}
	}
	if !length && bytes.IndexByte(body, 0) >= 0 {
		dst = appendLength(dst, len(body))
	}
	dst = append(dst, '\n')
	dst = append(dst, body...)
	return append(dst, 0, '\n')
}

// AppendField appends one header line, names and values alike escaped for the
// version. What the version has no escape for is written so that it cannot end a
// line or a name: in 1.0 a line feed, a carriage return and a colon in a name
// become the two characters \n, \r and \c, in 1.1 a carriage return becomes \r; a NUL
// becomes a blank in all. No reader takes a field without a name, so none is written.
func AppendField(dst []byte, v Version, name, value string) []byte {
	if v >= V11 {
		return appendLine(dst, name, value, escapes, escapes)
	}
	return appendLine(dst, name, value, literalName, literalValue)
}

// AppendFieldRaw appends one header line for frames that are never escaped. A line
// feed, a carriage return, a NUL and a colon in a name become blanks.
func AppendFieldRaw(dst []byte, name, value string) []byte {
	return appendLine(dst, name, value, blankName, blankValue)
}

func appendLine(dst []byte, name, value string, forName, forValue style) []byte {
	if name == "" {
		return dst
	}
	dst = appendText(dst, name, forName)
	dst = append(dst, ':')
	dst = appendText(dst, value, forValue)
	return append(dst, '\n')
}

func appendLength(dst []byte, n int) []byte {
	dst = append(dst, contentLength...)
	dst = append(dst, ':')
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, '\n')
}

// frameSize returns the size of the frame if nothing needs an escape, and a bit.
func frameSize(command string, h gateway.Header, body []byte) int {
	n := len(command) + len(body) + len("\n\n\x00\n") + len(contentLength) + len(":9223372036854775807\n")
	for i := range h {
		n += len(h[i].Name) + len(h[i].Value) + len(":\n")
	}
	return n
}
