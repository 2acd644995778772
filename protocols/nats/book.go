package nats

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/protocols/nats/jsapi"
)

// book is the file that consumers' configurations are kept in, so that workers go on
// after a restart. Without a path nothing is kept.
type book struct {
	path string
	mu   sync.Mutex // one writes at a time
}

// bookEntry is a consumer in the book.
type bookEntry struct {
	Created time.Time    `json:"created"`
	Config  jsapi.Config `json:"config"`
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

// write puts the entries in the place of what the book said. It is on disk afterwards.
func (b *book) write(entries []bookEntry) error {
	text, err := json.Marshal(entries)
	if err != nil {
		return err
	}
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

// writeBook writes down all consumers. The lock is not held.
func (ws *workers) writeBook() error {
	if ws.book.path == "" {
		return nil
	}
	ws.book.mu.Lock()
	defer ws.book.mu.Unlock()
	ws.mu.Lock()
	entries := make([]bookEntry, 0, len(ws.consumers))
	for _, c := range ws.sorted() {
		entries = append(entries, bookEntry{c.created, c.cfg})
	}
	ws.mu.Unlock()
	if err := ws.book.write(entries); err != nil {
		return fmt.Errorf("writing down the consumers of native clients: %w", err)
	}
	return nil
}

// keepBook writes the book if consumers were forgotten.
func (ws *workers) keepBook() {
	ws.mu.Lock()
	forgot := ws.forgot
	ws.forgot = false
	ws.mu.Unlock()
	if !forgot {
		return
	}
	if err := ws.writeBook(); err != nil {
		ws.cfg.Logger.Warn("a consumer that is gone may come back after a restart", "error", err)
	}
}
