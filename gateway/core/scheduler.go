package core

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/completion"
	"github.com/sluice-mq/sluice/gateway/dispatch"
	"github.com/sluice-mq/sluice/gateway/feed"
	"github.com/sluice-mq/sluice/gateway/manage"
	"github.com/sluice-mq/sluice/gateway/ring"
	"github.com/sluice-mq/sluice/gateway/schedule"
)

// What is to be sent later waits in gateway.SchedulePlace, with the destination it was sent to. When its time comes a copy goes the way that all messages go.

const (
	// firingMost is how many scheduled messages are sent at once.
	firingMost = 256
	// fireAgain is how long one waits that could not be sent.
	fireAgain = time.Second
	// firedWithin is how long a scheduler that ends waits for those that it has sent.
	firedWithin = 2 * time.Second
)

// scheduler sends what waits in a shard for its time. It is one consumer of that queue, at its owner.
type scheduler struct {
	shard   *shard
	session *session
	sub     *queueSubscription
	wake    chan struct{}
	firing  sync.WaitGroup
}

// schedule has what waits for its time sent, if there is any and nobody does it yet.
func (s *shard) schedule() {
	s.mu.Lock()
	if s.scheduling || s.ended || s.queues[gateway.SchedulePlace] == nil || !s.broker.ready.Load() {
		s.mu.Unlock()
		return
	}
	s.scheduling = true
	s.mu.Unlock()
	x := &scheduler{shard: s, session: s.broker.nobody(), wake: make(chan struct{}, 1)}
	x.sub = newQueueSubscription(x.session, s, gateway.SubscribeOptions{
		Destination: gateway.Destination{Kind: gateway.KindQueue, Name: gateway.SchedulePlace}, Prefetch: firingMost,
		Redelivery: &gateway.Redelivery{Maximum: -1}, Wake: x.rouse,
	})
	if !s.broker.spawn(x.run) {
		x.sub.unchoose()
	}
}

func (x *scheduler) rouse() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// run sends what is due until the shard is another node's or the broker closes.
func (x *scheduler) run() {
	x.sub.Open()
	defer x.sub.Close()
	buf := make([]gateway.Delivery, 64)
	for {
		select {
		case <-x.wake:
		case <-x.shard.gone:
			x.rest()
			return
		case <-x.shard.broker.watching.Done():
			x.rest()
			return
		}
		for n := x.sub.Next(buf, ring.MostBytes); n > 0; n = x.sub.Next(buf, ring.MostBytes) {
			for _, d := range buf[:n] {
				x.firing.Add(1)
				x.fire(d)
			}
			clear(buf)
		}
	}
}

// rest waits for what was sent, so that it is not sent again.
func (x *scheduler) rest() {
	done := make(chan struct{})
	go func() { // it ends when all are answered, at the latest when the seats are
		x.firing.Wait()
		close(done)
	}()
	late := time.NewTimer(firedWithin)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
	}
}

// fire sends a message whose time has come.
func (x *scheduler) fire(d gateway.Delivery) {
	b, m := x.shard.broker, d.Message
	now, n := b.nowMillis(), int64(max(d.Redeliveries, 1))-1
	j, err := schedule.Read(m.Header)
	if err != nil { // it was read before
		b.cfg.Logger.Error("a scheduled message is not understood and is dropped", "message", m.ID, "error", err)
		x.settle(d.Tag, &j, n, errNoQueue)
		return
	}
	c := j.Sent(m, n, now)
	done := doneFunc(func(err error) { x.settle(d.Tag, &j, n, err) })
	if c.Queue == "" && b.spreads(c) {
		x.session.sendSpread(c, nil, done, 0)
		return
	}
	x.session.route(c, nil, done, 0)
}

// settle has a message that was sent wait for its next time, or go.
func (x *scheduler) settle(tag uint64, j *schedule.Job, n int64, err error) {
	b := x.shard.broker
	switch kind := gateway.KindOf(err); {
	case err == nil:
	case kind == gateway.NotFound || kind == gateway.Invalid || kind == gateway.Denied:
		b.cfg.Logger.Warn("a scheduled message could not be sent and is dropped", "error", err)
		x.gone(tag, errSentAlready)
		return
	default:
		x.again(tag, gateway.Return{Delay: fireAgain})
		return
	}
	now := b.nowMillis()
	due, again := j.Next(n, now)
	if !again {
		x.gone(tag, errSentAlready)
		return
	}
	x.again(tag, gateway.Return{Redelivered: true, Delay: time.Duration(max(due-now, 0)) * time.Millisecond})
}

var errSentAlready = gateway.Errorf(gateway.NotFound, "the message was sent meanwhile")

// again has a message come again, unless somebody has removed it meanwhile.
func (x *scheduler) again(tag uint64, r gateway.Return) {
	removed := false
	x.shard.on(gateway.SchedulePlace, func(q *queue, fx *dispatch.Effects) {
		if removed = x.shard.takings[tag] != nil; !removed {
			_ = q.Release(x.sub.id, []uint64{tag}, r, x.shard.broker.nowMillis(), fx) // it is in flight here, unless the subscription is closed
		}
	})
	if removed {
		x.gone(tag, nil)
		return
	}
	x.firing.Done()
}

// gone settles a message that does not come again, so that it is not sent again after a crash. Who wanted to remove it is told removed.
func (x *scheduler) gone(tag uint64, removed error) {
	x.sub.Ack([]uint64{tag}, doneFunc(func(err error) {
		s := x.shard
		s.mu.Lock()
		if t := s.takings[tag]; t != nil {
			delete(s.takings, tag)
			t.over(errors.Join(removed, err))
		}
		s.release()
		x.firing.Done()
	}), 0)
}

// recall has the scheduler drop a message that it is sending, when it would come again. false: it does not have it. The lock is held.
func (s *shard) recall(q *queue, tag uint64, t *taking) bool {
	if q.name != gateway.SchedulePlace || !t.removes() || !q.HandedOut(tag) || s.takings[tag] != nil {
		return false
	}
	s.takings[tag] = t
	return true
}

// later is when a message is to be handed out and how often it counts as handed out, if it waits for its time: those that do count from 1, because
// after a crash all may count as handed out once.
func later(m *gateway.Message, redeliveries uint32, due int64) (uint32, int64) {
	if m.Queue != gateway.SchedulePlace {
		return redeliveries, due
	}
	if due == 0 {
		due = schedule.Due(m)
	}
	return max(redeliveries, 1), due
}

// sendLater has a message wait for its time.
func (s *session) sendLater(m *gateway.Message, unmade map[string]error, c gateway.Completion, token uint64) {
	t := &commitment{session: s, c: c, token: token}
	all, err := schedule.Waiting(m, s.who().Name, s.broker.nowMillis())
	if err == nil {
		t.add(all...)
		err = t.within()
	}
	if err == nil {
		err = s.allKnown(unmade)
	}
	if err != nil {
		complete(c, token, err)
		return
	}
	t.c = s.witness(m, c)
	s.commit(t)
}

// manageSchedule does what a message to ActiveMQ's scheduler asks for: with what its sender sent, and with what goes to where he may manage. What
// he may not, and what is not there, is left out without a word.
func (s *session) manageSchedule(m *gateway.Message, reply gateway.Destination, hasReply bool) error {
	r, err := schedule.ReadRequest(m.Header)
	if err != nil {
		return err
	}
	b, st := s.broker, s.standing.Load()
	may := func(x *manage.Scheduled) bool { return x.May(st.principal, st.rights) }
	switch r.Action {
	case schedule.Browse:
		if !hasReply {
			return nil
		}
		g, err := s.granted(reply)
		if err != nil {
			return err
		}
		return b.ScheduledPages(b.watching, r.Range, func(page []manage.Scheduled) error { return s.showJobs(page, may, g) })
	case schedule.Remove:
		_, err = b.Unschedule(b.watching, r.Range, func(x *manage.Scheduled) bool { return x.Message.ID == r.ID && may(x) })
	case schedule.RemoveAll:
		_, err = b.Unschedule(b.watching, r.Range, may)
	}
	return err
}

// showJobs sends what somebody may see of a page to where he wants it, and waits until it is there.
func (s *session) showJobs(page []manage.Scheduled, may func(*manage.Scheduled) bool, to *grant) error {
	answer := make(chan error, 1)
	sent := completion.NewParts(1, doneFunc(func(err error) { answer <- err }), 0)
	for i := range page {
		x := &page[i]
		if !may(x) {
			continue
		}
		sent.Add()
		id := s.ids + strconv.FormatUint(s.sent.Add(1), 10)
		s.route(schedule.Shown(x.Message, id, to.destination, feed.OriginOf(x.Message.Destination)), to, sent, 0)
	}
	sent.Done(nil)
	select {
	case err := <-answer:
		return err
	case <-s.broker.watching.Done():
		return errStopping
	}
}
