package lease

import (
	"context"
	"slices"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// logState is what a book knows of its log, and is asking of it.
type logState struct {
	// end is where it ended when it was read last; news: there may be more.
	end  uint64
	news bool
	// reading and loading: something new, or something that was read before, is being read. ended is closed when the reading is over.
	reading, loading bool
	ended            chan struct{}
	// behind: there is more, but it could not be read yet; failed: what was asked for could not be read. It is tried again.
	behind, failed bool
}

const (
	// readMessages and readBytes are what is read at once.
	readMessages = 256
	readBytes    = 1 << 20
)

// feed reads on if somebody waits, and there may be something. The lock is held.
func (b *book) feed() {
	if len(b.waits) == 0 || b.log.reading || b.log.loading || !b.more() || !b.hungry() {
		return
	}
	b.readOn()
}

// readOn begins to read what comes next. The lock is held.
func (b *book) readOn() {
	b.log.reading, b.log.news, b.log.ended = true, false, make(chan struct{})
	from, most := b.progress.next, min(readMessages, openMost-len(b.progress.open))
	b.k.background.Go(func() { b.read(from, most) })
}

// reach reads on up to a message, if there is room, of which somebody knows more than is kept of it: a node that handed it out had no time to write that down. The lock is
// held, but not meanwhile.
func (b *book) reach(tag uint64) {
	for b.closed == nil && b.progress.next < tag && len(b.progress.open) < openMost {
		before := b.progress.next
		if !b.log.reading {
			b.readOn()
		}
		ended := b.log.ended
		b.mu.Unlock()
		<-ended
		b.mu.Lock()
		if b.progress.next == before {
			return
		}
	}
}

// more reports whether the log may have more, for which there is room. The lock is held.
func (b *book) more() bool {
	return (b.log.news || b.log.end > b.progress.next) && !b.log.behind && len(b.progress.open) < openMost
}

// busy reports whether something is under way that may bring messages. The lock is held.
func (b *book) busy() bool { return b.log.reading || b.log.loading || b.more() }

// hungry reports whether a pull wants more than it has. The lock is held.
func (b *book) hungry() bool {
	return slices.ContainsFunc(b.waits, func(p *pull) bool { return !b.full(p) })
}

// read reads on in the log.
func (b *book) read(from uint64, most int) {
	ctx, cancel := context.WithTimeout(b.k.life, b.k.cfg.Patience)
	defer cancel()
	page, err := b.k.cfg.Logs.Read(ctx, b.of.Name.String(), gateway.LogQuery{From: from, Messages: most, Bytes: readBytes})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log.reading = false
	close(b.log.ended)
	if b.closed != nil {
		return
	}
	if err != nil {
		b.refuse(err)
		b.arm()
		return
	}
	b.log.end = page.Next
	b.log.behind = len(page.Messages) == 0 && page.At < page.Next
	if page.At > b.progress.next { // what was there is too old
		b.progress.next = page.At
		b.kept.version++
	}
	for _, m := range page.Messages {
		b.take(m)
	}
	b.after()
}

// take takes in the next message of the log. The lock is held.
func (b *book) take(m *gateway.Message) {
	b.progress.next = m.Offset + 1
	b.kept.version++
	if b.filter != nil && !b.filter.MatchMessage(m, 0) {
		return
	}
	b.progress.open[m.Offset] = 0
	b.q.Stored(b.entry(m), b.millis(), &b.fx)
	b.carryOut()
}

// load reads messages again that are not in memory any more. The lock is held.
func (b *book) load(seqs []uint64) {
	b.log.loading = true
	b.k.background.Go(func() {
		offsets := make([]uint64, len(seqs))
		for i, seq := range seqs {
			offsets[i] = seq - 1
		}
		messages, err := b.k.fetch(b.of, offsets)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.log.loading = false
		if b.closed != nil {
			return
		}
		if err != nil {
			b.log.failed = true
			b.k.cfg.Logger.Warn("messages cannot be read again, and are asked for later", "subscription", b.sub.Name.String(), "error", err)
			b.q.LoadFailed(seqs)
			b.refuse(err)
			b.arm()
			return
		}
		for i, m := range messages {
			if m == nil { // it is too old: the queue drops it, too
				b.settled(seqs[i])
			}
		}
		b.q.Loaded(seqs, messages, b.millis(), &b.fx)
		b.carryOut()
		b.after()
	})
}

// recall puts what is open into the queue of a new book, before anybody has it.
func (b *book) recall() error {
	offsets := make([]uint64, 0, len(b.progress.open))
	for offset := range b.progress.open {
		offsets = append(offsets, offset)
	}
	slices.Sort(offsets)
	for len(offsets) > 0 {
		messages, err := b.recallSome(offsets)
		if err != nil {
			return err
		}
		b.mu.Lock()
		for i, m := range messages {
			if m == nil {
				b.settled(offsets[i] + 1)
				continue
			}
			b.q.Stored(b.entry(m), b.millis(), &b.fx)
			b.carryOut()
		}
		b.mu.Unlock()
		offsets = offsets[len(messages):]
	}
	return nil
}

// recallSome reads the first messages of those at offsets: as many as are read at once, since what is open may be more than there is memory for.
func (b *book) recallSome(offsets []uint64) ([]*gateway.Message, error) {
	ctx, cancel := context.WithTimeout(b.k.life, b.k.cfg.Patience)
	defer cancel()
	return b.k.fetchSome(ctx, b.of, offsets)
}

// gap is how many messages that nobody asked for are read along, rather than asking once more.
const gap = 16

// fetch reads the messages of a log at offsets, which ascend; those that are too old are nil.
func (k *Keeper) fetch(of *resource.Topic, offsets []uint64) ([]*gateway.Message, error) {
	ctx, cancel := context.WithTimeout(k.life, k.cfg.Patience)
	defer cancel()
	messages := make([]*gateway.Message, 0, len(offsets))
	for len(messages) < len(offsets) {
		some, err := k.fetchSome(ctx, of, offsets[len(messages):])
		if err != nil {
			return nil, err
		}
		messages = append(messages, some...)
	}
	return messages, nil
}

// fetchSome is fetch for the first of the offsets, at least one, as far as they are read at once.
func (k *Keeper) fetchSome(ctx context.Context, of *resource.Topic, offsets []uint64) (messages []*gateway.Message, err error) {
	last := 0
	for last+1 < len(offsets) && offsets[last+1]-offsets[last] <= gap && offsets[last+1]-offsets[0] < readMessages {
		last++
	}
	page, err := k.cfg.Logs.Read(ctx, of.Name.String(), gateway.LogQuery{
		From: offsets[0], Messages: int(offsets[last]-offsets[0]) + 1, Bytes: readBytes,
	})
	if err != nil {
		return nil, err
	}
	next := func() uint64 { return offsets[len(messages)] }
	for len(messages) <= last && next() < page.First {
		messages = append(messages, nil)
	}
	for _, m := range page.Messages {
		for len(messages) <= last && next() < m.Offset {
			messages = append(messages, nil)
		}
		if len(messages) <= last && next() == m.Offset {
			messages = append(messages, m)
		}
	}
	if len(messages) == 0 {
		return nil, gateway.Errorf(gateway.Unavailable, "the log does not have message %d yet", offsets[0])
	}
	return messages, nil
}
