package core

import (
	"slices"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/completion"
	"github.com/sluice-mq/sluice/gateway/dispatch"
	"github.com/sluice-mq/sluice/gateway/manage"
	"github.com/sluice-mq/sluice/gateway/selector"
)

const (
	// browseMost and browseBytes bound a page; a single message may be larger.
	browseMost  = 4096
	browseBytes = 1 << 20
	// browseWithin is how long a page may take.
	browseWithin = 2 * time.Second
	// browsedAtOnce is how many pages are read at a time, or as many as there are processors: a page costs what thousands of messages do, and
	// those who send and receive must not wait behind all who look.
	browsedAtOnce = 2
)

// browsings are the pages that are being read, and those that other nodes were asked for.
type browsings struct {
	reading chan struct{}

	mu     sync.Mutex
	number uint64
	asked  map[uint64]chan *gateway.Frame
}

// begin waits until one more page may be read here. It returns false if one of the channels is closed before.
func (b *browsings) begin(stop, over <-chan struct{}) bool {
	select {
	case b.reading <- struct{}{}:
		return true
	case <-stop:
	case <-over:
	}
	return false
}

func (b *browsings) finish() { <-b.reading }

func (b *browsings) ask() (number uint64, answer chan *gateway.Frame) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.asked == nil {
		b.asked = make(map[uint64]chan *gateway.Frame)
	}
	b.number++
	answer = make(chan *gateway.Frame, 1)
	b.asked[b.number] = answer
	return b.number, answer
}

func (b *browsings) over(number uint64) {
	b.mu.Lock()
	delete(b.asked, number)
	b.mu.Unlock()
}

// answer takes in a page.
func (b *browsings) answer(f *gateway.Frame) {
	b.mu.Lock()
	answer := b.asked[f.Number]
	delete(b.asked, f.Number)
	b.mu.Unlock()
	if answer != nil {
		answer <- f
	}
}

// browse asks the owner of a shard for a page, as FrameBrowse says, and waits for it. It gives up when stop is closed. In f it notes the owner's epoch: whoever goes on at a
// place that another owner named gets manage.ErrNoPage, for the places are other ones now.
func (b *Broker) browse(shard int, f *gateway.Frame, stop <-chan struct{}) (*gateway.Frame, error) {
	t := b.seats[shard]
	var number uint64
	var answer chan *gateway.Frame
	asked := *f
	if s := t.here.Load(); s != nil {
		if !b.browsings.begin(stop, b.watching.Done()) {
			return nil, manage.ErrNoPage
		}
		defer b.browsings.finish()
		answer = make(chan *gateway.Frame, 1)
		s.browse(&asked, func(page *gateway.Frame) {
			page.Epoch = s.epoch
			answer <- page
		})
	} else {
		number, answer = b.browsings.ask()
		defer b.browsings.over(number)
		asked.Kind, asked.Shard, asked.Number = gateway.FrameBrowse, shard, number
		t.mu.Lock()
		asked.Epoch = t.epoch
		owner, linked := t.owner, t.linked
		t.mu.Unlock()
		if !linked {
			return nil, manage.ErrNoPage
		}
		b.cfg.Cluster.Send(owner, &asked)
	}
	late := time.NewTimer(browseWithin)
	defer late.Stop()
	select {
	case page := <-answer:
		switch {
		case page.Err != nil:
			return nil, page.Err
		case (f.Tag != 0 || f.Seq != 0) && page.Epoch != f.Epoch:
			return nil, manage.ErrNoPage
		}
		f.Epoch = page.Epoch
		return page, nil
	case <-late.C:
	case <-stop:
	case <-b.watching.Done():
	}
	return nil, manage.ErrNoPage
}

// browse answers another node's FrameBrowse.
func (g *guest) browse(s *shard, f *gateway.Frame) {
	s.browse(f, g.answer(s, f.Number, gateway.FrameBrowsed))
}

// answer sends what is found as an answer of that kind to the frame with that number.
func (g *guest) answer(s *shard, number uint64, kind gateway.FrameKind) func(*gateway.Frame) {
	return func(f *gateway.Frame) {
		f.Kind, f.Shard, f.Epoch, f.Number = kind, s.index, s.epoch, number
		g.broker.cfg.Cluster.Send(g.node, f)
	}
}

// picked is a message of a page.
type picked struct {
	q     *queue
	entry dispatch.Entry
	due   int64 // when it comes next, if it waits for its time
}

// browse reads a page and hands it to done.
func (s *shard) browse(f *gateway.Frame, done func(*gateway.Frame)) {
	var wanted *selector.Selector
	if f.Consumer != nil && f.Consumer.Selector != "" {
		var err error
		if wanted, err = s.broker.topics.selectors.Parse(f.Consumer.Selector); err != nil {
			done(&gateway.Frame{Err: publicError(err)})
			return
		}
	}
	page := &gateway.Frame{Seq: f.Seq, Epoch: s.epoch}
	s.mu.Lock()
	all := s.pick(f, page)
	s.mu.Unlock()
	s.loadPicked(all, func(err error) {
		if err != nil {
			done(&gateway.Frame{Err: publicError(err)})
			return
		}
		for _, p := range all {
			if m := p.entry.Message; m != nil && (wanted == nil || wanted.MatchMessage(m, p.entry.Redeliveries)) {
				page.Messages, page.Tags = append(page.Messages, m), append(page.Tags, p.entry.Tag)
				page.Counts = append(page.Counts, p.entry.Redeliveries)
				if f.Queue == gateway.SchedulePlace {
					page.Seqs = append(page.Seqs, uint64(p.due))
				}
			}
		}
		done(page)
	})
}

// pick chooses what is on a page, and says in it where the next one begins. The lock is held.
func (s *shard) pick(f, page *gateway.Frame) (all []picked) {
	most, bytes := browseMost, int64(browseBytes)
	if f.Count > 0 {
		most = int(min(f.Count, browseMost))
	}
	names, many := s.browsed(f)
	if _, retained := retainedTopic(f.Queue); page.Seq == 0 && !(many && retained) {
		page.Seq = s.lastTag(names)
	}
	now := s.broker.nowMillis()
	for _, name := range names {
		q := s.queues[name]
		if q == nil {
			continue
		}
		after := uint64(0)
		if !many || name == f.Group {
			after = f.Tag
		}
		for _, e := range q.Browse(after, most) {
			if page.Seq != 0 && e.Tag > page.Seq {
				break // it came later
			}
			page.Tag = e.Tag
			most--
			if e.Expires != 0 && e.Expires <= now {
				continue // it goes at the next sweep
			}
			due, _ := q.DueOf(e.Tag)
			all = append(all, picked{q, e, due})
			if bytes -= int64(e.Size); bytes <= 0 {
				break
			}
		}
		if most <= 0 || bytes <= 0 {
			page.Queue = name
			return all
		}
	}
	page.Tag = 0
	return all
}

// lastTag is the last place that there is in some queues. The lock is held.
func (s *shard) lastTag(names []string) (last uint64) {
	for _, name := range names {
		if q := s.queues[name]; q != nil {
			last = max(last, q.LastTag())
		}
	}
	return last
}

// browsed are the queues that are asked for, from where to go on. many: those of a pattern, of queues or of topics. The lock is held.
func (s *shard) browsed(f *gateway.Frame) (names []string, many bool) {
	topics, retained := retainedTopic(f.Queue)
	if retained && !isPattern(topics) || !retained && !(seekable(f.Queue) && isPattern(f.Queue)) {
		return []string{f.Queue}, false
	}
	for name, q := range s.queues {
		topic, keeps := retainedTopic(name)
		switch {
		case name < f.Group:
		case retained && keeps && q.retain != nil && gateway.Matches(topics, topic), !retained && seekable(name) && gateway.Matches(f.Queue, name):
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, true
}

// loadPicked reads the bodies that are not in memory. What is gone meanwhile stays without one.
func (s *shard) loadPicked(all []picked, done func(error)) {
	missing := make(map[*queue][]*picked)
	for i := range all {
		if p := &all[i]; p.entry.Message == nil && p.entry.Seq != 0 {
			missing[p.q] = append(missing[p.q], p)
		}
	}
	loaded := completion.NewParts(1+len(missing), doneFunc(done), 0)
	for q, some := range missing {
		slices.SortFunc(some, func(a, b *picked) int { return int(int64(a.entry.Seq) - int64(b.entry.Seq)) })
		seqs := make([]uint64, len(some))
		for i, p := range some {
			seqs[i] = p.entry.Seq
		}
		s.journal.Load(q.name, seqs, func(messages []*gateway.Message, err error) {
			for i := range messages {
				some[i].entry.Message = messages[i]
			}
			loaded.Done(err)
		})
	}
	loaded.Done(nil)
}
