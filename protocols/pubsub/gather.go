package pubsub

import (
	"context"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

const (
	// A message takes memory as it is, and once more, in base64, in the answer: taken of its size; and beside that what is around it.
	taken  = 2.5
	around = 512
	// takenAtOnce is how much is taken at least when there is not enough.
	takenAtOnce = 256 << 10
	// leastBytes of messages are worth a pull, firstBytes are what is read at first. Who wants more has it if there is memory, and else an answer with less.
	leastBytes = 64 << 10
	firstBytes = 1 << 20
)

// costOf is what a message takes while it is read and put into an answer.
func costOf(m *gateway.Message) int64 { return memoryFor(m.Size()) + around }

// memoryFor is what so many bytes of messages take, beside what is around each.
func memoryFor(bytes int) int64 { return int64(float64(bytes) * taken) }

// bytesFor is how many bytes of messages there is room for.
func bytesFor(memory int64) int { return int(float64(memory) / taken) }

// gather reads what is to be pulled: as much as there is memory for, and something at least. What it takes is the request's until it is answered.
func (s *Server) gather(r *request, sub *resource.Subscription, of *resource.Topic, q gateway.LogQuery) (gateway.LogPage, error) {
	r.share = s.answers.Share(keyOf(&r.caller.shown), sub.ID)
	for least, most := memoryFor(leastBytes), memoryFor(firstBytes); ; {
		if err := r.share.Take(r.Context(), least, max(least, most)); err != nil {
			return gateway.LogPage{}, wire.Unavailable(err)
		}
		q.Bytes = bytesFor(r.share.Size())
		page, err := s.cfg.Logs.Read(r.Context(), of.Name.String(), q)
		if err != nil {
			return page, unread(err)
		}
		wanted := len(page.Messages)
		used := r.fit(&page, 0)
		if wanted > 0 && len(page.Messages) == 0 { // the first is too long for that
			least = used
			r.share.Keep(0)
			continue
		}
		if wanted == len(page.Messages) && wanted < q.Messages && page.At+uint64(wanted) < page.Next {
			used = s.gatherMore(r.Context(), r, of, q, &page, used)
		}
		r.share.Keep(used)
		return page, nil
	}
}

// gatherMore reads on behind a page, if there is memory at once, and returns what all of it takes.
func (s *Server) gatherMore(ctx context.Context, r *request, of *resource.Topic, q gateway.LogQuery, page *gateway.LogPage, used int64) int64 {
	r.share.More(memoryFor(pullBytes) - r.share.Size())
	free := r.share.Size() - used
	if free < memoryFor(leastBytes) {
		return used
	}
	q.From, q.Messages, q.Bytes = page.At+uint64(len(page.Messages)), q.Messages-len(page.Messages), bytesFor(free)
	more, err := s.cfg.Logs.Read(ctx, of.Name.String(), q)
	if err != nil || more.Log != page.Log || more.At != q.From { // what there is is answered with
		return used
	}
	had := used
	if used = r.fit(&more, had); len(more.Messages) == 0 {
		return had
	}
	page.Messages = append(page.Messages, more.Messages...)
	return used
}

// fit leaves of a page what the request has memory for, beside what it used already, or can have at once. It returns what that takes with it; if nothing
// fits, what the first message would take.
func (r *request) fit(page *gateway.LogPage, used int64) int64 {
	for i, m := range page.Messages {
		cost := costOf(m)
		if lacks := used + cost - r.share.Size(); lacks > 0 && !r.has(lacks) {
			page.Messages = page.Messages[:i]
			if i == 0 {
				return used + cost
			}
			break
		}
		used += cost
	}
	return used
}

// fitting is how many messages the request has memory for, or can have at once.
func (r *request) fitting(all []wire.Received) int {
	used := int64(0)
	for i := range all {
		cost := costOfReceived(&all[i])
		if lacks := used + cost - r.share.Size(); lacks > 0 && !r.has(lacks) {
			return i
		}
		used += cost
	}
	return len(all)
}

// costOfReceived is what a message takes beside the answer that it is put into.
func costOfReceived(r *wire.Received) int64 {
	bytes := len(r.Message.Data)
	for k, v := range r.Message.Attributes {
		bytes += len(k) + len(v)
	}
	return int64(2*bytes) + around
}

// has makes the request's share larger, if that can be done at once.
func (r *request) has(more int64) bool {
	before := r.share.Size()
	if r.share.More(max(more, takenAtOnce)) >= more {
		return true
	}
	r.share.Keep(before)
	return false
}

// encode writes an answer with messages. From here on that alone is in memory.
func (r *request) encode(p wire.Pulled) encoded {
	b := wire.Encode(p, wire.Usual)
	r.share.Keep(int64(len(b)))
	return b
}
