package core

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

// recentMost is how many messages a reader remembers, to find its place again at another owner.
const recentMost = 256

// perusal reads what is in a queue now, whoever its owner is and becomes meanwhile: each message that stays there once, in order.
type perusal struct {
	broker   *Broker
	selector string
	gone     <-chan struct{} // closed: nobody reads any more
	// show gets each message. It reports false if it wants no more.
	show func(m *gateway.Message, redeliveries uint32) bool

	// recent are the last messages.
	recent []string
}

// read reads a queue, or the queues of a pattern that there are, one after another. It returns nil also if nobody wants more.
func (p *perusal) read(place string) error {
	if !seekable(place) || !isPattern(place) {
		return p.readAt(gateway.ShardOf(place, len(p.broker.seats)), place)
	}
	for shard := range p.broker.seats {
		if err := p.readAt(shard, place); err != nil {
			return err
		}
	}
	return nil
}

// readAt reads what a shard has of it.
func (p *perusal) readAt(shard int, place string) error {
	f := &gateway.Frame{Queue: place, Count: browserPage}
	if p.selector != "" {
		f.Consumer = &gateway.Consumer{Selector: p.selector}
	}
	p.recent = p.recent[:0]
	lost := false
	for deadline := time.Now().Add(recallWithin); ; {
		page, err := p.broker.browse(shard, f, p.gone)
		select {
		case <-p.gone:
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
		deadline = time.Now().Add(recallWithin)
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
func (p *perusal) find(shard int, f, page *gateway.Frame) (err error) {
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
		if page, err = p.broker.browse(shard, f, p.gone); err != nil {
			f.Tag, f.Seq, f.Group = 0, 0, in
			return err
		}
	}
}

// pause waits before the owner is asked again.
func (p *perusal) pause() bool {
	pause := time.NewTimer(50 * time.Millisecond)
	defer pause.Stop()
	select {
	case <-pause.C:
		return true
	case <-p.gone:
	case <-p.broker.watching.Done():
	}
	return false
}

// tell shows a message, and remembers it.
func (p *perusal) tell(m *gateway.Message, redeliveries uint32) bool {
	if m.Expires != 0 && m.Expires <= p.broker.nowMillis() {
		return true
	}
	if !p.show(m, redeliveries) {
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
func (b *Broker) Look(ctx context.Context, queue gateway.Destination, which Selection, show func(m *gateway.Message, redeliveries uint32) error) error {
	if err := b.operable(queue, which); err != nil {
		return err
	}
	var failed error
	shown := 0
	p := perusal{broker: b, selector: which.Selector, gone: ctx.Done(), show: func(m *gateway.Message, redeliveries uint32) bool {
		if which.ID != "" && m.ID != which.ID {
			return true
		}
		failed = show(m, redeliveries)
		shown++
		return failed == nil && shown != which.Most
	}}
	if err := p.read(queue.Place()); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	return ctx.Err()
}
