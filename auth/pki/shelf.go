package pki

import (
	"fmt"
	"io"
	"os"
)

// maxFile is the longest file that is read, in bytes. Revocation lists of large authorities have some megabytes.
const maxFile = 64 << 20

// shelf keeps what files say, so that a file is read again only after it has changed, and so that one that cannot be read any more
// still says what it said. It belongs to one goroutine at a time.
type shelf[T any] struct {
	parse func([]byte) (T, error)
	books map[string]*book[T]
}

// book is a file as it was read last.
type book[T any] struct {
	// info is that of the last reading; nil: the file could not be read.
	info os.FileInfo
	says T
	// good: says is something, be it from an older reading.
	good bool
	// err is why the last look failed.
	err error
}

func newShelf[T any](parse func([]byte) (T, error)) *shelf[T] {
	return &shelf[T]{parse: parse, books: map[string]*book[T]{}}
}

// look reads a file if it has changed since the last look. The book's err belongs to this very look only if changed.
func (s *shelf[T]) look(file string) (b *book[T], changed bool) {
	b, known := s.books[file]
	if !known {
		b = &book[T]{}
		s.books[file] = b
	}
	info, err := os.Stat(file)
	if err == nil && b.info != nil && unchanged(b.info, info) {
		return b, false
	}
	var text []byte
	if err == nil {
		text, err = read(file)
	}
	if err != nil { // it may be there at the next look without having changed: its mode, for one
		changed = differ(b.err, err)
		b.info, b.err = nil, err
		return b, changed
	}
	b.info = info // of before the reading: who writes meanwhile is seen at the next look
	says, err := s.parse(text)
	if err != nil {
		b.err = fmt.Errorf("%s: %w", file, err)
		return b, true
	}
	b.says, b.good, b.err = says, true, nil
	return b, true
}

// differ reports whether err is another error than before.
func differ(before, err error) bool { return before == nil || before.Error() != err.Error() }

func unchanged(old, now os.FileInfo) bool {
	return os.SameFile(old, now) && old.ModTime().Equal(now.ModTime()) && old.Size() == now.Size()
}

// read reads a file of at most maxFile bytes.
func read(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s: the file is longer than %d bytes", file, maxFile)
	}
	return text, nil
}
