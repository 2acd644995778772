package route

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	// MaxHops is how many routes a message may come through: those that lead in a circle end there.
	MaxHops = 8
	// pageMessages and pageBytes are how much is read at once, unless a Config says otherwise.
	pageMessages = 500
	pageBytes    = 1 << 20
	// keepEvery is how often the progress is written down while there is much to do.
	keepEvery = 200 * time.Millisecond
	// faultAfter is how long something has to go wrong until others are told.
	faultAfter = 5 * time.Second
)

// Reader is what a Copier needs of gateway.Logs.
type Reader interface {
	Read(ctx context.Context, topic string, q gateway.LogQuery) (gateway.LogPage, error)
}

// Committer is what it needs of a gateway.Session.
type Committer interface {
	Commit(tx *gateway.Transaction, c gateway.Completion, token uint64)
}

// Topics knows which there are.
type Topics interface {
	// Named is the topic of a name that a rule has made; not ok if no topic can have it.
	Named(name string) (topic string, ok bool)
	// Missing are those of some topics that are not there, or have no log.
	Missing(ctx context.Context, topics []string) (map[string]struct{}, error)
}

// Place keeps how far a route is.
type Place interface {
	// Move has the progress changed, durably, if change reports that there is something to write. It may call it more than once.
	Move(ctx context.Context, change func(p *Progress) bool) error
}

// Progress is how far a route is in the log that it copies from.
type Progress struct {
	// Next is the offset of the first message of which the route is not done.
	Next uint64 `json:"next"`
	// Copies were made, of Refused messages some could not be, and Missed were gone before they could. After a change of leaders a few may be counted twice.
	Copies  uint64 `json:"copies,omitempty"`
	Refused uint64 `json:"refused,omitempty"`
	Missed  uint64 `json:"missed,omitempty"`
	// Refusal is the last one.
	Refusal *Refusal `json:"refusal,omitempty"`
	// Fault is what the route waits for, empty if nothing is wrong, and Since when that began, in Unix milliseconds.
	Fault string `json:"fault,omitempty"`
	Since int64  `json:"since,omitempty"`
}

// Refusal says why a message could not be copied.
type Refusal struct {
	Offset uint64 `json:"offset"`
	Text   string `json:"text"`
	// At is when it was found, in Unix milliseconds.
	At int64 `json:"at"`
}

// Config of a Copier.
type Config struct {
	// ID is the route's, by which copies are known.
	ID string
	// Name is the route's, for dead letters.
	Name string
	// From is the topic whose log is read, and Log the ID of that. DeadLetters is the topic to which messages go that could not be copied; empty: they are passed over.
	From, Log, DeadLetters string
	Rule                   *Rule
	// Kept are attributes that copies have whatever the rule says.
	Kept []string
	// Page is how many messages are read at once; 0 leaves that to the Copier.
	Page    int
	Logs    Reader
	Session Committer
	Topics  Topics
	Place   Place
	Now     func() time.Time
}

// Copier copies what a route says, page by page. However many there are of one route, on whichever nodes, and wherever each of them stops, each target gets each copy
// once, in the order of the sources: copies carry their source's offset, a log takes only those behind the last one that it has (gateway.Logs), and no copy is offered
// before all that come before it are there. Methods but State are for one goroutine.
type Copier struct {
	cfg Config
	// done are the offsets of the last copies that targets have for sure.
	done map[string]uint64
	// unburied: the topic of the dead letters is not there.
	unburied bool
	// undone is what is to be added to the kept progress.
	undone Progress
	dirty  bool
	kept   time.Time
	failed time.Time // when what goes wrong began; zero: nothing does

	mu    sync.Mutex
	state State
}

// State is where a Copier is.
type State struct {
	// Next is the offset of the next message to be copied, End that behind the last message of the log, as it was read last.
	Next, End uint64
	// Copies and Refused are how many there were since the beginning.
	Copies, Refused uint64
}

// New returns a Copier that begins with the message at an offset.
func New(cfg Config, next uint64) *Copier {
	if cfg.Page == 0 {
		cfg.Page = pageMessages
	}
	return &Copier{cfg: cfg, done: make(map[string]uint64), state: State{Next: next, End: next}}
}

// State is where the copier is. It may be called by anybody.
func (c *Copier) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

func (c *Copier) change(f func(s *State)) {
	c.mu.Lock()
	f(&c.state)
	c.mu.Unlock()
}

// Step copies what is there, a page at most. idle says that there was no more. After an error it is to be called again, a little later.
func (c *Copier) Step(ctx context.Context) (idle bool, err error) {
	idle, err = c.page(ctx)
	now := c.cfg.Now()
	switch {
	case err == nil:
		c.failed = time.Time{}
	case c.failed.IsZero():
		c.failed = now
	}
	if ctx.Err() != nil {
		return idle, err
	}
	if now.Sub(c.kept) < keepEvery && !idle && err == nil {
		return idle, nil
	}
	c.kept = now
	if lost := c.keep(ctx, err); err == nil {
		err = lost
	}
	return idle, err
}

// Keep writes down how far the route is, for whoever goes on with it.
func (c *Copier) Keep(ctx context.Context) error { return c.keep(ctx, nil) }

// keep writes the progress down, if there is any, and what is wrong.
func (c *Copier) keep(ctx context.Context, fault error) error {
	text := ""
	if fault != nil && c.cfg.Now().Sub(c.failed) >= faultAfter {
		text = gateway.TextOf(fault)
	}
	next, further := c.State().Next, uint64(0)
	err := c.cfg.Place.Move(ctx, func(p *Progress) bool {
		if p.Next > next { // another node has come further
			further = p.Next
			return false
		}
		if !c.dirty && p.Fault == text {
			return false
		}
		p.Next = next
		p.Copies += c.undone.Copies
		p.Refused += c.undone.Refused
		p.Missed += c.undone.Missed
		if c.undone.Refusal != nil {
			p.Refusal = c.undone.Refusal
		}
		if p.Fault != text {
			p.Fault, p.Since = text, c.failed.UnixMilli()
			if text == "" {
				p.Since = 0
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	c.undone, c.dirty = Progress{}, false
	c.change(func(s *State) { s.Next = max(s.Next, further) })
	return nil
}

// page reads a page and copies it.
func (c *Copier) page(ctx context.Context) (idle bool, err error) {
	next := c.State().Next
	page, err := c.cfg.Logs.Read(ctx, c.cfg.From, gateway.LogQuery{From: next, Messages: c.cfg.Page, Bytes: pageBytes})
	switch {
	case err != nil:
		return false, err
	case page.Log != c.cfg.Log:
		return false, gateway.Errorf(gateway.NotFound, "topic %s has another log now", c.cfg.From)
	}
	if page.At > next {
		c.undone.Missed += page.At - next
		c.dirty = true
	}
	c.change(func(s *State) { s.Next, s.End = max(next, page.At), page.Next })
	if len(page.Messages) == 0 {
		return true, nil
	}
	items, err := c.plan(ctx, page.Messages)
	if err == nil {
		err = c.settle(ctx, items)
	}
	if err != nil {
		return false, err
	}
	clear(c.done)
	return c.State().Next >= page.Next, nil
}

// settle has done with messages, in their order: each is in its targets, or among the dead letters, before another one behind it is anywhere that was not tried together with
// it. What is refused is found by halves, so that what fits is not held up by what does not.
func (c *Copier) settle(ctx context.Context, items []*item) error {
	split, err := c.attempt(ctx, items)
	if err != nil || !split {
		return err
	}
	half := len(items) / 2
	if err := c.settle(ctx, items[:half]); err != nil {
		return err
	}
	return c.settle(ctx, items[half:])
}

// attempt has done with messages, unless some of several are refused: then split is true, and which those are is to be found out. A message that is
// refused by itself goes to the dead letters, after everything else of it is where it belongs.
func (c *Copier) attempt(ctx context.Context, items []*item) (split bool, err error) {
	refused, err := c.commit(ctx, c.batches(items))
	if err != nil || len(refused) > 0 && len(items) > 1 {
		return err == nil, err
	}
	for _, r := range refused {
		items[0].refuse(r.topic, r.why)
	}
	if letters := c.letters(items); len(letters) > 0 {
		if c.unburied {
			return false, gateway.Errorf(gateway.NotFound, "there is no topic %s for dead letters", c.cfg.DeadLetters)
		}
		refused, err = c.commit(ctx, []batch{{c.cfg.DeadLetters, letters}})
		if err != nil || len(refused) > 0 && len(items) > 1 {
			return err == nil, err
		}
		for _, r := range refused {
			items[0].refuse(r.topic, r.why)
		}
	}
	c.settled(items)
	return false, nil
}

// settled counts messages that the route is done with.
func (c *Copier) settled(items []*item) {
	refused := uint64(0)
	for _, i := range items {
		if len(i.refusals) > 0 {
			refused++
			c.undone.Refusal = &Refusal{i.m.Offset, i.why(), c.cfg.Now().UnixMilli()}
		}
	}
	c.undone.Refused += refused
	c.dirty = true
	c.change(func(s *State) {
		s.Next = items[len(items)-1].m.Offset + 1
		s.Refused += refused
	})
}

// batch is what one target gets together.
type batch struct {
	topic    string
	messages []*gateway.Message
}

// refusal is the answer of a target that will not take something, ever.
type refusal struct{ topic, why string }

// unlogged is the offset of a copy that is in no log.
const unlogged = math.MaxUint64

// commit has targets take what is for them, all at the same time, and waits. It returns who refused it.
func (c *Copier) commit(ctx context.Context, batches []batch) (refused []refusal, err error) {
	answers := make(outcomes, len(batches))
	for i, b := range batches {
		for _, m := range b.messages {
			m.Offset = unlogged
		}
		c.cfg.Session.Commit(&gateway.Transaction{Sends: b.messages}, answers, uint64(i))
	}
	for range batches {
		var a outcome
		select {
		case a = <-answers:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		b := &batches[a.number]
		last := b.messages[len(b.messages)-1]
		switch kind := gateway.KindOf(a.err); {
		case a.err == nil && last.Offset == unlogged:
			err = errors.Join(err, gateway.Errorf(gateway.NotFound, "topic %s has no log any more", b.topic))
		case a.err == nil:
			c.done[b.topic] = last.Source.Offset
			c.undone.Copies += uint64(len(b.messages))
			c.change(func(s *State) { s.Copies += uint64(len(b.messages)) })
		case kind == gateway.Invalid || kind == gateway.Limit:
			refused = append(refused, refusal{b.topic, gateway.TextOf(a.err)})
		default:
			err = errors.Join(err, a.err)
		}
	}
	return refused, err
}

// outcomes takes what became of what was handed over. It has room for all.
type outcomes chan outcome

type outcome struct {
	number uint64
	err    error
}

// Complete implements gateway.Completion.
func (o outcomes) Complete(number uint64, err error) { o <- outcome{number, err} }
