package wire

import (
	"bytes"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

const unexpectedNUL = "Unexpected NUL before the end of the headers"

// scanHead finds the end of the command line and the header lines, reading as
// much as it needs and checking every limit on the way. It returns their size with
// the blank line that ends them, and the number of header lines.
func (r *Reader) scanHead() (size, lines int, err error) {
	line, at, clean := 0, 0, 0 // where the line begins; what was looked at; what has no NUL
	limit, tooLong := r.limits.Command, "The maximum command length was exceeded"
	most := r.limits.frame()
	for {
		part := r.held()[at:]
		end := bytes.IndexByte(part, '\n')
		if end >= 0 {
			part = part[:end]
		}
		at += len(part)
		if at >= most {
			return 0, 0, &Error{"The maximum frame size was exceeded"}
		}
		length := at - line
		if length > 0 && r.data[r.pos+at-1] == '\r' {
			length-- // part of the line end, or an error once the line is parsed
		}
		if length > limit {
			return 0, 0, &Error{tooLong}
		}
		if end < 0 || length == 0 {
			// In few pieces, and before waiting for a line end that will not come.
			if bytes.IndexByte(r.held()[clean:at], 0) >= 0 {
				return 0, 0, &Error{unexpectedNUL}
			}
			clean = at
		}
		if end < 0 {
			if at >= maxBuffer {
				if err := r.ask(most); err != nil {
					return 0, 0, err
				}
			}
			if err := r.fill(); err != nil {
				return 0, 0, err
			}
			continue
		}
		at++
		if length == 0 {
			return at, lines - 1, nil
		}
		if lines > r.limits.Headers {
			return 0, 0, &Error{"The maximum number of headers was exceeded"}
		}
		lines++ // the command line is the first
		line, limit, tooLong = at, r.limits.HeaderLine, "The maximum header length was exceeded"
	}
}

// sharedHead is the size up to which all header lines share one string. Of a larger
// block each line gets its own: who keeps one value must not keep all the others.
const sharedHead = 1 << 10

// parseHead parses the command line and the header lines. Names and values are parts
// of one string of all header lines, or of their own line, unless they had escapes.
func (r *Reader) parseHead(f *Frame, head []byte, lines int) error {
	cr := bytes.IndexByte(head, '\r') >= 0
	end := bytes.IndexByte(head, '\n')
	command := trimCommand(head[:end])
	if cr && bytes.IndexByte(command, '\r') >= 0 {
		return lineError("Unexpected carriage return in command line", string(command))
	}
	known, ok := intern(command)
	if !ok {
		known = string(command)
	}
	f.Command = known
	if lines == 0 {
		return nil
	}
	escapes := r.version >= V11 && !unescaped(known) && bytes.IndexByte(head, '\\') >= 0
	text := string(head[end+1:])
	f.Header = make(gateway.Header, 0, lines)
	for range lines {
		end := strings.IndexByte(text, '\n')
		line := text[:end]
		text = text[end+1:]
		if cr {
			line = strings.TrimSuffix(line, "\r")
			if strings.IndexByte(line, '\r') >= 0 {
				return lineError("Unexpected carriage return in header line", line)
			}
		}
		if len(head) > sharedHead {
			line = strings.Clone(line)
		}
		if err := r.parseLine(f, line, escapes); err != nil {
			return err
		}
	}
	if len(f.Header) == 0 {
		f.Header = nil
	}
	return nil
}

// parseLine adds one header line, without its line end, to the frame.
func (r *Reader) parseLine(f *Frame, line string, escapes bool) error {
	colon := strings.IndexByte(line, ':')
	if colon == 0 || colon < 0 && r.strict {
		return lineError("Unable to parser header line", line)
	}
	if colon < 0 {
		return nil
	}
	field := gateway.Field{Name: line[:colon], Value: line[colon+1:]}
	if escapes {
		var nameOK, valueOK bool
		field.Name, nameOK = unescape(field.Name, r.version)
		field.Value, valueOK = unescape(field.Value, r.version)
		if r.strict && !(nameOK && valueOK) {
			return lineError("Undefined escape sequence in header line", line)
		}
	}
	if r.version < V11 {
		field.Value = trimBlanks(field.Value)
	}
	f.Header = append(f.Header, field)
	return nil
}

// trimCommand cuts the carriage return of a CRLF and blanks from the end.
func trimCommand(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	for n := len(line); n > 0 && (line[n-1] == ' ' || line[n-1] == '\t'); n-- {
		line = line[:n-1]
	}
	return line
}

// trimBlanks cuts spaces and tabs from both ends.
func trimBlanks(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
