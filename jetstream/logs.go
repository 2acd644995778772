package jetstream

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

const (
	// A log's stream has a name and a subject of its ID.
	logStreams  = "L_"
	logSubjects = "l."
	// appendWithin is how long a stream may take to answer.
	appendWithin = 10 * time.Second
	// logReaders are the connections by which logs are read.
	logReaders = 4
	// logsEvery is how often a node looks whether answers are missing, trimEvery how often it lets go of what is too old.
	logsEvery = time.Second
	trimEvery = time.Minute
	// compareEvery is how often the streams are compared with the facts though nothing has happened: a node that heard late of a fact's end may have made one again.
	compareEvery = 10 * time.Minute
)

// logs implements gateway.Logs: a stream for each topic, as the facts of the registry say. It is made with the first message, and deleted when the fact is gone.
type logs struct {
	store *Store
	write *nats.Conn
	read  readers
	reply string // answers go to it, with the request's number behind
	kick  chan struct{}

	background sync.WaitGroup
	following  context.Context // ends with the logs
	unfollow   context.CancelFunc
	// mending is held by who publishes, alone by who starts the server's storage again.
	mending sync.RWMutex

	// mu is taken before the locks of logs, and ending after them.
	mu      sync.Mutex
	all     map[string]*topicLog // by topic
	streams map[string]*topicLog // by stream
	asked   map[uint64]*flight
	number  uint64
	gone    []*topicLog         // of which no fact speaks any more, until they are left
	unread  map[string]struct{} // topics with facts that cannot be read: nobody knows what their logs are

	ending sync.Mutex
	closed bool
}

// appending is a batch on its way to its log.
type appending struct {
	log     *topicLog
	batch   []*gateway.Message
	records [][]byte
	bundled bool // they are a bundle and its slots
	flying  bool // it is published; under its log's lock
	size    int
	fence   *fenced // of copies; nil: nothing has to be before them
	c       gateway.Completion
	token   uint64
	last    uint64 // the sequence of the last one, once it is stored
}

// flight are batches that the stream takes together, and answers once.
type flight struct {
	batches []*appending
	records int
	number  uint64
	since   time.Time
	after   uint64 // its records come behind this sequence, if they do
	// first takes what becomes of it, if it is the first to a stream that was opened just now.
	first chan reply
}

// log is the one that it goes to.
func (f *flight) log() *topicLog { return f.batches[0].log }

// Logs is the store's. They may be used as long as that is open.
func (s *Store) Logs() gateway.Logs { return s.logs }

// openLogs begins to follow the facts that give topics a log.
func (s *Store) openLogs() error {
	l := &logs{store: s, kick: make(chan struct{}, 1), all: make(map[string]*topicLog), streams: make(map[string]*topicLog), unread: make(map[string]struct{}), asked: make(map[uint64]*flight)}
	write, err := s.cfg.Server.Connect(embed.Store, "logs")
	if err != nil {
		return err
	}
	s.readConns = append(s.readConns, write)
	l.write = write
	all := make([]reader, logReaders)
	for i := range all {
		if all[i], err = s.newReader("log reader"); err != nil {
			return err
		}
	}
	l.read = newReaders(all...)
	l.reply = "_r.l." + strings.TrimPrefix(write.NewInbox(), nats.InboxPrefix) + "."
	sub, err := write.Subscribe(l.reply+"*", l.answered)
	if err != nil {
		return fmt.Errorf("listening to the logs: %w", err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return fmt.Errorf("listening to the logs: %w", err)
	}
	s.logs = l
	l.following, l.unfollow = context.WithCancel(context.Background())
	if err := s.registry.Watch(l.following, l.learn); err != nil {
		return err
	}
	l.look()
	if s.cfg.Cluster == nil {
		return l.unchanged()
	}
	return nil
}

// of is a topic's log, nil if it has none.
func (l *logs) of(topic string) *topicLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[topic]
}

// look has the streams compared with the facts.
func (l *logs) look() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// chase looks after what is not answered until ctx ends. It waits for nobody.
func (l *logs) chase(ctx context.Context) {
	tick := time.NewTicker(logsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			l.overdue(now)
			l.inquire(ctx, now)
		}
	}
}

// run looks after the logs until ctx ends.
func (l *logs) run(ctx context.Context) {
	tick := time.NewTicker(logsEvery)
	defer tick.Stop()
	var trimmed, compared time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.kick:
			if err := l.compare(ctx); err != nil && ctx.Err() == nil {
				l.store.cfg.Logger.Info("comparing the topics' logs with the facts failed, it is tried again", "error", err)
				l.look()
				if pause(ctx, time.Second) != nil {
					return
				}
			}
		case now := <-tick.C:
			if now.Sub(compared) >= compareEvery {
				compared = now
				l.look()
			}
			if l.store.cfg.Cluster == nil && now.Sub(trimmed) >= trimEvery {
				trimmed = now
				l.trim(ctx)
			}
		}
	}
}

// overdue gives up on answers that do not come.
func (l *logs) overdue(now time.Time) {
	var late []*flight
	l.mu.Lock()
	for number, f := range l.asked {
		if now.Sub(f.since) > appendWithin {
			late = append(late, f)
			delete(l.asked, number)
		}
	}
	l.mu.Unlock()
	for _, f := range late {
		f.take(replyOf(nil))
	}
}

// answered takes an answer of a stream.
func (l *logs) answered(m *nats.Msg) {
	number, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, l.reply), 10, 64)
	if err != nil {
		return
	}
	l.mu.Lock()
	f := l.asked[number]
	delete(l.asked, number)
	l.mu.Unlock()
	if f != nil { // else it was given up
		f.take(replyOf(m))
	}
}

// landed takes what became of a flight, whose last record has that sequence.
func (f *flight) landed(seq uint64, err error) {
	last := seq - uint64(f.records)
	for _, a := range f.batches {
		last += uint64(len(a.batch))
		a.log.landed(a, last, err)
	}
}

// ask names a flight that is to be answered.
func (l *logs) ask(f *flight) (reply string) {
	t := f.log()
	t.mu.Lock()
	f.after = t.known
	t.mu.Unlock()
	f.since = time.Now()
	l.mu.Lock()
	l.number++
	f.number = l.number
	l.asked[f.number] = f
	l.mu.Unlock()
	return l.reply + strconv.FormatUint(f.number, 10)
}

// spawn runs f, unless the logs are closed. close waits for it.
func (l *logs) spawn(f func()) bool {
	l.ending.Lock()
	defer l.ending.Unlock()
	if l.closed {
		return false
	}
	l.background.Go(f)
	return true
}

// closeWithin is how long answers may take when the store is closed.
const closeWithin = 2 * time.Second

// close takes no more, and waits for the answers to what is under way. What the stream has stored is committed, and told, with the rest of the store.
func (l *logs) close() {
	if l == nil {
		return
	}
	l.unfollow()
	l.ending.Lock()
	l.closed = true
	l.ending.Unlock()
	l.mu.Lock()
	all := slices.Collect(maps.Values(l.streams))
	l.mu.Unlock()
	for _, t := range all {
		t.wake()
	}
	l.background.Wait()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for late := time.Now().Add(closeWithin); l.busy() && time.Now().Before(late); {
		<-tick.C
	}
	l.overdue(time.Now().Add(2 * appendWithin))
}

// busy reports whether answers are missing.
func (l *logs) busy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.asked) > 0
}

// Append implements gateway.Logs.
func (l *logs) Append(topic string, batch []*gateway.Message, c gateway.Completion, token uint64) {
	err := l.append(topic, batch, c, token)
	if (err != nil || len(batch) == 0) && c != nil {
		c.Complete(token, err)
	}
}

func (l *logs) append(topic string, batch []*gateway.Message, c gateway.Completion, token uint64) error {
	if len(batch) > gateway.MaxLogBatch {
		return gateway.Errorf(gateway.Limit, "at most %d messages may be appended at once", gateway.MaxLogBatch)
	}
	t := l.of(topic)
	switch {
	case t == nil:
		return gateway.Errorf(gateway.NotFound, "topic %s has no log", topic)
	case len(batch) == 0:
		return nil
	case !l.store.space.now().Sends:
		return gateway.Errorf(gateway.NoSpace, "the store has no space left")
	}
	if err := l.store.Err(); err != nil {
		return gateway.WrapError(gateway.Unavailable, err, "the store has failed")
	}
	a := &appending{log: t, batch: append([]*gateway.Message(nil), batch...), c: c, token: token}
	switch key, err := gateway.OnceOf(batch); {
	case err != nil:
		return err
	case key != "":
		return a.copyIn(key)
	}
	if err := a.encode(); err != nil {
		return err
	}
	return t.push(a)
}

// encode makes the records of a batch.
func (a *appending) encode() error {
	a.records = make([][]byte, len(a.batch))
	alike := true
	for i, m := range a.batch {
		a.records[i] = appendLogged(nil, m)
		if len(a.records[i]) > MaxRecord {
			return gateway.Errorf(gateway.Limit, "the message is too large for the store")
		}
		a.size += len(a.records[i])
		alike = alike && a.log.subjectOf(m) == a.log.subjectOf(a.batch[0])
	}
	if alike { // a bundle has one subject
		a.records, a.bundled = bundled(a.records, a.size)
	}
	return nil
}
