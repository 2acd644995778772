//go:build linux

package powercut

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/jetstream/commit"
)

// Job is what a writer process does, until it is killed.
type Job struct {
	Busy     int    // how many of the streams are written to
	Root     string // the store
	Events   string // the event file
	Grave    string // see Disk
	Seed     uint64
	FirstID  uint64 // ids count from here; the next 1<<28 of each stream follow those of the one before
	Real     bool   // sync for real
	Skip     int    // skip every Skip-th sync
	SkipDirs bool   // skip all syncs of directories
	Keep     int    // about how many records to leave when purging
}

// childVariable carries a Job to the process that does it.
const childVariable = "SLUICE_POWERCUT_JOB"

// BeWriter runs the writer if this process was started to be one, and says so. Call it first in TestMain.
func BeWriter() bool {
	text := os.Getenv(childVariable)
	if text == "" {
		return false
	}
	var job Job
	err := json.Unmarshal([]byte(text), &job)
	if err == nil {
		ctx, cancel := context.WithCancel(context.Background())
		go func() { // ends with the process
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
		err = job.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "writer:", err)
		os.Exit(1)
	}
	return true
}

// writer is the Source of one stream: the journal of the gateway in little.
type writer struct {
	job    Job
	stream int
	events *Journal
	store  *Store
	commit *commit.Committer
	log    *commit.Log

	mu      sync.Mutex
	changed sync.Cond
	stored  [][2]uint64 // acknowledged by the store, not yet in a group
	sealed  [][2]uint64
	last    [2]uint64 // newest committed sequence and its id
	failed  error
}

// Seal implements commit.Source.
func (w *writer) Seal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sealed, w.stored = w.stored, nil
}

// Committed implements commit.Source.
func (w *writer) Committed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.changed.Broadcast()
	if err == nil && w.commit.Stats().Renamed > 0 {
		err = errors.New("the store renamed a block")
	}
	if err == nil && len(w.sealed) > 0 {
		err = w.events.Note(Event{Kind: Committed, Stream: w.stream, Records: w.sealed})
		w.last = w.sealed[len(w.sealed)-1]
	}
	if err != nil {
		w.failed = err
		_ = w.events.Note(Event{Kind: Broken})
	}
	w.sealed = nil
}

// run writes until the process is killed; it returns only with an error.
func (j Job) run(ctx context.Context) error {
	events, err := OpenJournal(j.Events)
	if err != nil {
		return err
	}
	store, err := OpenStore(j.Root, false)
	if err != nil {
		return err
	}
	if err := store.Create(true); err != nil {
		return err
	}
	disk := &Disk{Root: j.Root, Grave: j.Grave, Journal: events, Real: j.Real}
	c, err := commit.Start(commit.Config{
		Root: j.Root, Syncer: disk, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	if err := c.SyncAll(); err != nil {
		return err
	}
	var writers []*writer
	for i := range Streams {
		w := &writer{job: j, stream: i, events: events, store: store, commit: c}
		w.changed.L = &w.mu
		if err := w.open(); err != nil {
			return err
		}
		writers = append(writers, w)
	}
	disk.Skip.Store(int64(j.Skip))
	disk.SkipDirs.Store(j.SkipDirs)
	failed := make(chan error, 2*Streams)
	for _, w := range writers[:j.Busy] {
		acks := make(chan pending, 256) // the window
		go func() { failed <- w.collect(acks) }()
		go func() { failed <- w.write(ctx, rand.New(rand.NewPCG(j.Seed, uint64(w.stream))), acks) }()
	}
	return <-failed // the process ends with the first of them
}

// open adds the stream to the committer. From then on everything that can be read is on disk, whatever an earlier process
// was still owing.
func (w *writer) open() (err error) {
	if w.log, err = w.commit.Add(MsgsDir(w.job.Root, w.stream), w); err != nil {
		return err
	}
	found, _, err := w.store.Records(w.stream)
	if err != nil {
		return err
	}
	all := Event{Kind: Committed, Stream: w.stream}
	for seq, id := range found {
		all.Records = append(all.Records, [2]uint64{seq, id})
		if seq > w.last[0] {
			w.last = [2]uint64{seq, id}
		}
	}
	return w.events.Note(all)
}

// write sends bursts. Between some of them it waits for its receipts, or lets go of the front.
func (w *writer) write(ctx context.Context, rng *rand.Rand, acks chan<- pending) error {
	id := w.job.FirstID + uint64(w.stream)<<28
	for ctx.Err() == nil {
		for range 1 + rng.IntN(60) {
			id++
			f, err := w.store.JS.PublishAsync(subjectOf(w.stream), Content(id))
			if err != nil {
				return err
			}
			acks <- pending{id, f}
		}
		if rng.IntN(3) == 0 {
			if err := w.drain(id); err != nil {
				return err
			}
		}
		if rng.IntN(6) == 0 {
			if err := w.purge(rng); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// silence is how long a server may owe an answer; with a failed disk it gives none. It must bear being frozen and thawed.
const silence = 10 * time.Second

type pending struct {
	id     uint64
	future nats.PubAckFuture
}

func (w *writer) collect(acks <-chan pending) error {
	for p := range acks {
		select {
		case ack := <-p.future.Ok():
			w.mu.Lock()
			w.stored = append(w.stored, [2]uint64{ack.Sequence, p.id})
			w.mu.Unlock()
			w.log.Dirty()
		case err := <-p.future.Err():
			return err
		case <-time.After(silence):
			return errors.New("the server does not answer any more")
		}
	}
	return nil
}

// drain waits until nothing is outstanding: the next record is a lone one.
func (w *writer) drain(id uint64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.failed == nil && w.last[1] != id {
		w.changed.Wait()
	}
	return w.failed
}

// purge lets go of whole blocks of committed records.
func (w *writer) purge(rng *rand.Rand) error {
	w.mu.Lock()
	last := w.last[0]
	w.mu.Unlock()
	keep := uint64(1 + rng.IntN(w.job.Keep))
	if last <= keep {
		return nil
	}
	seq, ok := w.log.Boundary(last - keep)
	if !ok {
		return nil
	}
	if err := w.events.Note(Event{Kind: Purging, Stream: w.stream, Seq: seq}); err != nil {
		return err
	}
	return w.store.JS.PurgeStream(streamName(w.stream), &nats.StreamPurgeRequest{Sequence: seq})
}

// Paths are the places of one writer, all on one file system.
type Paths struct{ Root, Events, Grave string }

// NewPaths makes them under dir.
func NewPaths(dir string) (Paths, error) {
	p := Paths{filepath.Join(dir, "store"), filepath.Join(dir, "events"), filepath.Join(dir, "grave")}
	return p, errors.Join(os.MkdirAll(p.Root, 0o755), os.MkdirAll(p.Grave, 0o755))
}
