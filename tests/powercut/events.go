//go:build linux

package powercut

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

// Event is one line of what the writer saw, in the order it saw it. A line is written after what it tells of is complete,
// but for a purge, which is announced.
type Event struct {
	Kind    string            `json:"k"`
	Stream  int               `json:"t,omitempty"`
	Inode   uint64            `json:"i,omitempty"`
	Size    int64             `json:"s,omitempty"`
	Names   map[string]uint64 `json:"n,omitempty"`
	Records [][2]uint64       `json:"r,omitempty"` // sequence, id
	Seq     uint64            `json:"q,omitempty"`
}

// The kinds of events.
const (
	DataSynced = "data"   // the first Size bytes of Inode are on disk
	DirSynced  = "dir"    // Names are the entries on disk of the directory Inode
	Committed  = "commit" // Records were promised
	Purging    = "purge"  // records before Seq are dead
	Broken     = "broken" // commits failed: no promise follows
)

// Journal is the writer's end of the event file. It is safe for concurrent use: a line is one write.
type Journal struct{ f *os.File }

// OpenJournal appends to the event file at path.
func OpenJournal(path string) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	return &Journal{f}, nil
}

// Note writes an event.
func (j *Journal) Note(e Event) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = j.f.Write(append(line, '\n'))
	return err
}

// Close closes the file.
func (j *Journal) Close() error { return j.f.Close() }

// ReadEvents returns all complete lines of an event file. A torn last line tells of nothing anybody has seen.
func ReadEvents(path string) ([]Event, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var events []Event
	r := bufio.NewReaderSize(f, 1<<20)
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return events, nil
		}
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("event %d: %w", len(events)+1, err)
		}
		events = append(events, e)
	}
}
