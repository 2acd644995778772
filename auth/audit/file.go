package audit

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// output is the file of an Auditor: lines go in, and it knows what became of them. It belongs to one goroutine.
type output struct {
	file io.WriteCloser
	// torn: the file ends in the middle of a line.
	torn bool
	// lines are those not yet written, each with its line end.
	lines bytes.Buffer
}

// chunk is how much is written at once, in bytes.
const chunk = 64 << 10

// open opens or makes the file of that name. Nobody but the owner may read what is made here.
func open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the audit file: %w", err)
	}
	return f, nil
}

// use takes the file and lets go of the one before. A line that was cut off by a crash stays by itself.
func (o *output) use(f *os.File) {
	if o.file != nil {
		_ = o.file.Close() // all that it was given was written, or counted as lost
	}
	o.file, o.torn = f, false
	if size, err := f.Seek(0, io.SeekEnd); err == nil && size > 0 {
		last := []byte{0}
		_, err = f.ReadAt(last, size-1)
		o.torn = err == nil && last[0] != '\n'
	}
}

// flush writes what is there and forgets it, written or not. It returns how many lines are not in the file.
func (o *output) flush() (lost int, err error) {
	text := o.lines.Bytes()
	if len(text) == 0 {
		return 0, nil
	}
	defer o.lines.Reset()
	if o.torn {
		if _, err := o.file.Write([]byte("\n")); err != nil {
			return bytes.Count(text, []byte("\n")), err
		}
		o.torn = false
	}
	n, err := o.file.Write(text)
	if err != nil {
		o.torn = n > 0 && text[n-1] != '\n'
		return bytes.Count(text[n:], []byte("\n")), err
	}
	return 0, nil
}
