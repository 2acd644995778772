package nats

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sluice-mq/sluice/protocols/nats/jsapi"
)

// book is the file that consumers' configurations are kept in, so that workers go on
// after a restart. Without a path nothing is kept. One goroutine writes it: what
// changes while it writes is written together the next time.
type book struct {
	path       string
	due        chan struct{} // something is to be written
	stop, done chan struct{} // stop: write what is due and end

	// Guarded by workers.mu: the bytes of all entries, what changed, and who waits until it is on disk.
	size    int
	changed bool
	writing bool
	waiting []func(error)
}

const (
	// mostBook bounds the book in bytes: it is written as a whole.
	mostBook = 8 << 20
	// mostChanges bounds the requests that wait for the disk.
	mostChanges = 4096
)

// bookEntry is a consumer in the book, or one that is gone.
type bookEntry struct {
	Created time.Time    `json:"created"`
	Config  jsapi.Config `json:"config"`
	stamp
	Gone bool `json:"gone,omitempty"`
}

// stamp says when and where a consumer was changed last: of two books in a cluster the later one counts.
type stamp struct {
	Changed int64  `json:"changed,omitempty"` // Unix microseconds
	Node    string `json:"node,omitempty"`
}

// after reports whether a change is later than another.
func (s stamp) after(o stamp) bool {
	return s.Changed > o.Changed || s.Changed == o.Changed && s.Node > o.Node
}

func (b *book) init(path string) {
	b.path, b.due, b.stop, b.done = path, make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
}

// read returns what the book says; one that is not there yet says nothing.
func (b *book) read() ([]bookEntry, error) {
	if b.path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the consumers of native clients: %w", err)
	}
	var entries []bookEntry
	if err := json.Unmarshal(text, &entries); err != nil {
		return nil, fmt.Errorf("the file of native clients' consumers, %s, is damaged; without it they are created anew: %w", b.path, err)
	}
	return entries, nil
}

// write puts a text in the place of what the book said. It is on disk afterwards.
func (b *book) write(text []byte) error {
	file, err := os.CreateTemp(filepath.Dir(b.path), filepath.Base(b.path)+".*")
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), b.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	dir, err := os.Open(filepath.Dir(b.path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// note makes a consumer's entry for the book anew. The lock is held.
func (c *consumer) note() {
	text, _ := json.Marshal(bookEntry{Created: c.created, Config: c.cfg, stamp: c.stamp}) // which came from JSON
	c.entry = text
}

// put enters a consumer, and strike takes it out. The lock is held.
func (ws *workers) put(c *consumer) {
	delete(ws.gone, c.name)
	ws.consumers[c.name] = c
	ws.book.size += len(c.entry)
}

func (ws *workers) strike(c *consumer) {
	delete(ws.consumers, c.name)
	ws.book.size -= len(c.entry)
}

// writeBook has the book written down, and tells then, from another goroutine, if somebody wants to
// know. The lock is held.
func (ws *workers) writeBook(then func(error)) {
	ws.book.changed = true
	if then != nil {
		ws.book.waiting = append(ws.book.waiting, then)
	}
	tell(ws.book.due)
}

// keepBook writes the book whenever it is due.
func (ws *workers) keepBook() {
	defer close(ws.book.done)
	for stopped := false; !stopped; {
		select {
		case <-ws.book.due:
		case <-ws.book.stop:
			stopped = true
		}
		text, waiting := ws.page()
		if text == nil && len(waiting) == 0 {
			continue
		}
		var err error
		if ws.book.path != "" {
			err = ws.book.write(text)
		}
		if err != nil {
			err = fmt.Errorf("writing down the consumers of native clients: %w", err)
			ws.cfg.Logger.Error("the consumers of native clients after a restart will be those before", "error", err)
		}
		ws.mu.Lock()
		ws.book.writing, ws.book.changed = false, ws.book.changed || err != nil
		ws.mu.Unlock()
		for _, then := range waiting {
			then(err)
		}
	}
}

// page returns what the book is to say, nil if it says so already, and who waits for it.
func (ws *workers) page() (text []byte, waiting []func(error)) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if !ws.book.changed {
		return nil, nil
	}
	ws.book.changed, ws.book.writing = false, true
	waiting, ws.book.waiting = ws.book.waiting, nil
	all := make([][]byte, 0, len(ws.consumers))
	for _, c := range ws.sorted() {
		all = append(all, c.entry)
	}
	all = append(all, ws.graves()...)
	text = make([]byte, 0, ws.book.size+2*len(all)+2)
	text = append(text, '[')
	text = append(text, bytes.Join(all, []byte(",\n"))...)
	return append(text, ']'), waiting
}
