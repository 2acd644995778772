package manage

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/schedule"
)

const (
	// jobsPage is how many messages that wait for their time are looked at at once, and unschedulers how many are removed at once.
	jobsPage     = 256
	unschedulers = 32
	// jobsAgain is how long somebody waits before he asks again who has them, and jobsWithin for how long he does.
	jobsAgain  = 50 * time.Millisecond
	jobsWithin = 2 * time.Second
)

// Scheduled is a message that waits for its time.
type Scheduled struct {
	// Message is as it was sent, with what the broker notes of it in its header; nobody may change it. Its ID names it.
	Message *gateway.Message
	schedule.Job
	// At is when it comes next, in Unix milliseconds. What is being sent at this moment comes now.
	At int64

	tag uint64
}

// May reports whether somebody may see and remove it: whoever sent it, and whoever may manage where it is to go.
func (x *Scheduled) May(p gateway.Principal, rights gateway.Rights) bool {
	return p.Name != "" && p.Name == x.By || rights.May(gateway.Manage, x.Message.Destination) == nil
}

// Scheduled calls fn for all messages that wait for their time and come next in a range, in the order in which they were sent, until it returns an error. Whoever asks
// sees to the rights: see Scheduled.May. Errors: those of fn; Unavailable, also if another node takes over what waits meanwhile.
func (q *Queues) Scheduled(ctx context.Context, in schedule.Range, fn func(Scheduled) error) error {
	return q.ScheduledPages(ctx, in, func(page []Scheduled) error {
		for _, x := range page {
			if err := fn(x); err != nil {
				return err
			}
		}
		return nil
	})
}

// ScheduledPages is Scheduled by pages.
func (q *Queues) ScheduledPages(ctx context.Context, in schedule.Range, fn func([]Scheduled) error) error {
	shard := gateway.ShardOf(gateway.SchedulePlace, q.owners.Shards())
	f := &gateway.Frame{Queue: gateway.SchedulePlace, Count: jobsPage}
	for again := int(jobsWithin / jobsAgain); ; {
		page, err := q.owners.Page(shard, f, ctx.Done())
		if gateway.KindOf(err) == gateway.Unavailable && f.Tag == 0 && again > 0 && q.rest(ctx, jobsAgain) {
			again-- // the owner changes
			continue
		}
		if err != nil {
			return err
		}
		if f.Tag != 0 && page.Epoch != f.Epoch {
			return ErrNoPage // its tags are others
		}
		if err := fn(q.jobsOf(page, in)); err != nil {
			return err
		}
		if f.Tag, f.Seq, f.Epoch = page.Tag, page.Seq, page.Epoch; f.Tag == 0 {
			return nil
		}
	}
}

// rest waits a little; false: nobody wants that any more.
func (q *Queues) rest(ctx context.Context, d time.Duration) bool {
	over := time.NewTimer(d)
	defer over.Stop()
	select {
	case <-over.C:
		return true
	case <-ctx.Done():
	case <-q.owners.Stopping():
	}
	return false
}

// jobsOf are the messages of a page that come in a range.
func (q *Queues) jobsOf(page *gateway.Frame, in schedule.Range) (all []Scheduled) {
	now := q.owners.Now()
	for i, m := range page.Messages {
		x := Scheduled{Message: m, At: now}
		var err error
		if x.Job, err = schedule.Read(m.Header); err != nil {
			continue // it goes when its time comes
		}
		switch {
		case i < len(page.Seqs) && page.Seqs[i] > 0:
			x.At = int64(min(page.Seqs[i], math.MaxInt64))
		case len(page.Seqs) == 0: // of a node that does not say it
			x.At = x.Due
		}
		if i < len(page.Tags) {
			x.tag = page.Tags[i]
		}
		if in.Holds(x.At) {
			all = append(all, x)
		}
	}
	return all
}

// Unschedule removes those of the messages that wait for their time and come next in a range for which which is true, and returns how many. What is
// sent at the same moment is not among them, but does not come again. Rights and errors as for Scheduled; with an error some may have been removed.
func (q *Queues) Unschedule(ctx context.Context, in schedule.Range, which func(*Scheduled) bool) (removed int, err error) {
	err = q.ScheduledPages(ctx, in, func(page []Scheduled) error {
		n, err := q.unschedule(ctx, page, which)
		removed += n
		return err
	})
	return removed, err
}

// unschedule removes messages of a page, some at once: they are settled together.
func (q *Queues) unschedule(ctx context.Context, page []Scheduled, which func(*Scheduled) bool) (removed int, err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	turns := make(chan struct{}, unschedulers)
	for i := range page {
		x := &page[i]
		if !which(x) {
			continue
		}
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			answer, failed := q.owners.Ask(ctx, &gateway.Frame{
				Kind: gateway.FrameOperate, Queue: gateway.SchedulePlace, Transaction: Removing, Tag: x.tag - 1, Seq: x.tag, Count: 1, Group: x.Message.ID,
			})
			mu.Lock()
			defer mu.Unlock()
			if failed != nil {
				err = failed
				return
			}
			removed += int(answer.Count)
		})
	}
	all.Wait()
	return removed, err
}
