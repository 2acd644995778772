package manage

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	// PerusalPage is how many messages are asked for at once.
	PerusalPage = 256
	// recentMost is how many messages a reader remembers, to find its place again at another owner, and readWithin how long it tries to reach one.
	recentMost = 256
	readWithin = 20 * time.Second
)

// Perusal reads what is in a queue now, whoever its owner is and becomes meanwhile: each message that stays there once, in order.
type Perusal struct {
	Owners   Owners
	Selector string
	Gone     <-chan struct{} // closed: nobody reads any more
	// Show gets each message, which must not be changed. It reports false if it wants no more.
	Show func(m *gateway.Message, redeliveries uint32) bool

	// recent are the last messages.
	recent []string
}

// Read reads a queue, or the queues of a pattern that there are, one after another. It returns nil also if nobody wants more.
func (p *Perusal) Read(place string) error {
	d, ok := gateway.Placed(place)
	if !ok || d.Kind != gateway.KindQueue || !d.IsPattern() {
		return p.readAt(gateway.ShardOf(place, p.Owners.Shards()), place)
	}
	for shard := range p.Owners.Shards() {
		if err := p.readAt(shard, place); err != nil {
			return err
		}
	}
	return nil
}

// readAt reads what a shard has of it.
func (p *Perusal) readAt(shard int, place string) error {
	f := &gateway.Frame{Queue: place, Count: PerusalPage}
	if p.Selector != "" {
		f.Consumer = &gateway.Consumer{Selector: p.Selector}
	}
	p.recent = p.recent[:0]
	lost := false
	for deadline := time.Now().Add(readWithin); ; {
		page, err := p.Owners.Page(shard, f, p.Gone)
		select {
		case <-p.Gone:
			return nil
		default:
		}
		if err != nil {
			if time.Now().After(deadline) || gateway.KindOf(err) == gateway.Invalid || !p.pause() {
				return err
			}
			f.Tag, f.Seq, lost = 0, 0, true // another owner has other places
			continue
		}
		deadline = time.Now().Add(readWithin)
		if lost {
			if err := p.find(shard, f, page); err != nil {
				continue
			}
			lost = false
			continue
		}
		for i, m := range page.Messages {
			if !p.tell(m, page.Counts[i]) {
				return nil
			}
		}
		if page.Tag == 0 {
			return nil
		}
		f.Tag, f.Seq, f.Group = page.Tag, page.Seq, page.Queue
	}
}

// find goes on behind the last message that was shown and that is still there. What was before it was shown, or is gone.
func (p *Perusal) find(shard int, f, page *gateway.Frame) (err error) {
	last, end, in := uint64(0), page.Seq, f.Group
	for {
		for i, m := range page.Messages {
			if slices.Contains(p.recent, m.ID) {
				last, in = page.Tags[i], m.Place()
			}
		}
		if page.Tag == 0 {
			f.Tag, f.Seq, f.Group = last, end, in
			return nil
		}
		f.Tag, f.Seq, f.Group = page.Tag, page.Seq, page.Queue
		if page, err = p.Owners.Page(shard, f, p.Gone); err != nil {
			f.Tag, f.Seq, f.Group = 0, 0, in
			return err
		}
	}
}

// pause waits before the owner is asked again.
func (p *Perusal) pause() bool {
	pause := time.NewTimer(50 * time.Millisecond)
	defer pause.Stop()
	select {
	case <-pause.C:
		return true
	case <-p.Gone:
	case <-p.Owners.Stopping():
	}
	return false
}

// tell shows a message, and remembers it.
func (p *Perusal) tell(m *gateway.Message, redeliveries uint32) bool {
	if m.Expires != 0 && m.Expires <= p.Owners.Now() {
		return true
	}
	if !p.Show(m, redeliveries) {
		return false
	}
	if len(p.recent) == recentMost {
		p.recent = slices.Delete(p.recent, 0, recentMost/2)
	}
	p.recent = append(p.recent, strings.Clone(m.ID))
	return true
}

// Look shows what is in a queue when it begins, in order, and changes nothing: what waits, also for later, and what consumers have and have not acknowledged. show gets each
// message, which must not be changed, and how often it was handed out before; an error of its ends the look and is returned. Who asks must have been found to have the
// right to manage the queue. Errors: Invalid selector; Unavailable, if the queue's owner cannot be asked for some time.
func (q *Queues) Look(ctx context.Context, queue gateway.Destination, which Selection, show func(m *gateway.Message, redeliveries uint32) error) error {
	if err := operable(queue, which); err != nil {
		return err
	}
	var failed error
	shown := 0
	p := Perusal{Owners: q.owners, Selector: which.Selector, Gone: ctx.Done(), Show: func(m *gateway.Message, redeliveries uint32) bool {
		if which.ID != "" && m.ID != which.ID {
			return true
		}
		failed = show(m, redeliveries)
		shown++
		return failed == nil && shown != which.Most
	}}
	if err := p.Read(queue.Place()); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	return ctx.Err()
}
