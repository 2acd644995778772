package core

import (
	"sync"
	"sync/atomic"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/completion"
	"github.com/sluice-mq/sluice/gateway/dispatch"
	"github.com/sluice-mq/sluice/gateway/past"
	"github.com/sluice-mq/sluice/gateway/policy"
	"github.com/sluice-mq/sluice/gateway/statistics"
)

const (
	// windowMessages and windowBytes bound the bodies a queue keeps in memory
	// although the journal has them; allWindows bounds them over all queues, as far
	// as they are not needed at once.
	windowMessages = 16384
	windowBytes    = 16 << 20
	allWindows     = 32 << 20
	// settleMost bounds the settlements, or the redelivery counts, in one record.
	settleMost = 4096
)

// shard owns the queues of one journal: it feeds their state machines and carries
// out what they decide. Everything in it is guarded by mu; what may call
// back (the journal, doors, other shards) is called after mu was released.
type shard struct {
	broker  *Broker
	index   int
	journal gateway.Journal

	mu     sync.Mutex
	queues map[string]*queue
	tag    uint64
	fx     dispatch.Effects
	after  aftermath

	// settling collects settlements while a record of earlier ones is under way.
	settling []uint64
	waiters  []waiter
	marking  []gateway.Mark
	// handing are the queues of which it must be written anew how far they are handed out; it
	// travels with other records, or alone if there are none. behind: for one of them what is written
	// is already too little.
	handing []*queue
	behind  bool
	writing bool
	saying  bool // a word is on its way
	// resting: they collect until the broker ends it; rested: it has.
	resting, rested bool
	// refused is the record under way if the journal did not take it, and refusedFor why.
	refused    *settlement
	refusedFor error
	// loose: the last settlements were written for nobody, so they may not be on disk.
	// flush: somebody waits for them all the same.
	loose, flush bool

	// arriving counts messages on their way through the journal.
	arriving atomic.Int64
	// epoch is that of the tenure, in a cluster.
	epoch uint64
	// replaced: another node owns it, and this one has not been told by the store yet that it does not.
	replaced atomic.Bool
	// ended: another node may own it; gone is closed then.
	ended bool
	gone  chan struct{}
	// tallies are what queues have counted that were forgotten.
	tallies map[string]statistics.Counts
	// scheduling: somebody sends what waits for its time.
	scheduling bool
	// shared: an owner before this one may still hand something out. awaited are the nodes that may still say what their clients have, or have settled, from
	// owners before this one. Until all that is over nothing
	// is handed out, because it would be handed out again, and nothing expires. late are the subscriptions that wait for that, since when.
	shared  bool
	awaited map[string]struct{}
	late    []*queueSubscription
	since   int64
	// known are the messages and transactions that other nodes may offer again.
	known past.Known
	// remains of the owner before this one.
	remains past.Remains

	// down: what was only in memory is written down, and nothing more is kept there.
	down bool

	// seen is the highest sequence of a durable record that was answered: no
	// record up to it is still on its way to its queue.
	seen uint64
	// Of what is kept of topics, at the last visit: down to which record it may need the journal, and how many bytes it holds. visits counts them.
	retainedLow  uint64
	retainedLive int64
	visits       uint64
	// kept are the records of transactions whose end is not on disk, and of their messages:
	// they may not be trimmed, acknowledged or not.
	kept map[uint64]struct{}
	// orders holds the Order of live records where their sequence does not tell it.
	orders map[uint64]uint64
	// aliases are what clients may know live messages by.
	aliases *aliases
	// moving: messages are appended again, and what settles them may be at movingFrom or behind it. Before
	// movingFrom none of those is that were moved last.
	moving     bool
	movingFrom uint64
	dying      int // burials under way
	// expired wait for their burial, because reading of those before them are under way.
	expired []pendingDeath
	reading int
	// table is what the queues behave by.
	table *policies
	// takings are the operations that take messages out, by the tags of those.
	takings map[uint64]*taking
	// unburied burials failed since the last sweep, the last of them for unburiedFor.
	unburied    int
	unburiedFor error
	// refusals are the Nacks that wait for burials, by the tags of their messages.
	refusals map[uint64]*refusal
}

// queue is a state machine and its surroundings.
type queue struct {
	name   string
	policy *policy.Policy
	*dispatch.Queue
	subscriptions map[dispatch.SubID]*queueSubscription
	// spilling is how many non-persistent messages are on their way to the
	// journal; later ones must follow them there.
	spilling int
	// journaled, memory and loaded are the bytes last seen by account.
	journaled, memory, loaded int64
	idle                      int  // sweeps without any use
	lost                      bool // subscriptions to patterns were told to leave it
	orphaned                  int  // sweeps for which a temporary queue has had no consumer
	depth
	// retain is what the policy keeps here of a topic, nil for ordinary queues.
	retain *policy.Retain
	// handed is the highest sequence that was handed out, announced what the journal was told of
	// it, noted the record that says so, and from the handed at that time. listed: the queue is in handing.
	handed, announced, noted, from uint64
	listed                         bool
	tally                          tally
}

// waiter is told when the settlements before it are durable.
type waiter struct {
	c     gateway.Completion
	token uint64
}

// hold tells a door that somebody keeps its client's message back, and returns the waiter of nobody.
func (w waiter) hold() waiter {
	hold(w.c, w.token)
	return waiter{}
}

// hold passes on that what c is told of is kept back.
func hold(c gateway.Completion, token uint64) { completion.Hold(c, token) }

// aftermath is what remains to be done once the lock is released.
type aftermath struct {
	wake   []*queueSubscription
	loads  []pendingLoad
	deaths []pendingDeath
	record *settlement
	word   *word
	rest   bool // settlements begin to collect
	letIn  []*queue
	done   []waiter
	// scheduled: something waits for its time.
	scheduled bool
	// sighted are queues that somebody may look for.
	sighted []sighting
}

type pendingLoad struct {
	q    *queue
	seqs []uint64
}

func newShard(b *Broker, i int, j gateway.Journal) *shard {
	return &shard{
		broker: b, index: i, journal: j,
		gone: make(chan struct{}), queues: make(map[string]*queue), kept: make(map[uint64]struct{}), orders: make(map[uint64]uint64),
		refusals: make(map[uint64]*refusal), aliases: newAliases(), takings: make(map[uint64]*taking),
	}
}

func (b *Broker) seatOf(name string) *seat {
	return b.seats[gateway.ShardOf(name, len(b.seats))]
}

// owned are the shards that this node owns.
func (b *Broker) owned() []*shard {
	all := make([]*shard, 0, len(b.seats))
	for _, t := range b.seats {
		if s := t.here.Load(); s != nil {
			all = append(all, s)
		}
	}
	return all
}

// queue returns the queue of that name, making it if need be. The lock is held.
func (s *shard) queue(name string) *queue {
	q := s.queues[name]
	if q == nil {
		p := s.broker.policyOf(name)
		q = &queue{
			name:   name,
			policy: p,
			Queue:  dispatch.NewQueue(configOf(p)),
			retain: s.broker.retainedOf(name),
		}
		if q.retain != nil { // the next visit may be after a record of it
			s.retainedLow = min(s.retainedLow, s.seen+1)
		}
		s.queues[name] = q
		s.remember(q)
		s.sight(q)
		s.adviseMade(name)
		s.after.scheduled = s.after.scheduled || name == gateway.SchedulePlace
	}
	if q.idle = 0; q.lost {
		s.find(q)
	}
	return q
}

func (s *shard) nextTag() uint64 {
	s.tag++
	return s.tag
}

// on runs an event of a queue under the lock and then carries out its effects.
func (s *shard) on(name string, event func(q *queue, fx *dispatch.Effects)) {
	s.mu.Lock()
	q := s.queue(name)
	event(q, &s.fx)
	s.effects(q)
	s.release()
}

// effects does what the machine decided, as far as it can be done under the lock,
// and leaves the rest in after.
func (s *shard) effects(q *queue) {
	fx := &s.fx
	if s.ended {
		fx.Deliver = fx.Deliver[:0] // the next owner does that
	}
	ordered := s.epoch > 0 && len(fx.Deliver) > 0 && !isTempPlace(q.name)
	for i := range fx.Deliver {
		d := &fx.Deliver[i]
		if ordered && !d.Entry.Message.Persistent {
			s.remains.HandOut(q.name, d.Entry.Message)
		}
		if sub := q.subscriptions[d.Sub]; sub.push(&d.Entry) {
			s.after.wake = append(s.after.wake, sub)
		}
		q.handed = max(q.handed, d.Entry.Seq)
		if d.Entry.Tag == q.tally.watched {
			q.tally.handed(s.broker.nowMillis())
		}
	}
	if len(fx.Deliver) > 0 {
		s.announce(q)
	}
	if len(fx.Load) > 0 {
		s.after.loads = append(s.after.loads, pendingLoad{q, append([]uint64(nil), fx.Load...)})
	}
	if len(fx.Settle) > 0 {
		s.settling = append(s.settling, fx.Settle...)
		if len(s.orders) > 0 {
			for _, seq := range fx.Settle {
				delete(s.orders, seq)
			}
		}
	}
	s.marking = append(s.marking, fx.Mark...)
	for _, d := range fx.Dead {
		s.die(q, d)
	}
	fx.Reset()
	s.account(q)
	s.rouse(q)
}

// account keeps the books of bytes in memory.
func (s *shard) account(q *queue) {
	if s.ended {
		return
	}
	journaled, memory := q.Weight()
	if memory != q.memory {
		s.broker.memory.Add(memory - q.memory)
		q.memory = memory
	}
	q.journaled = journaled
	if loaded := q.Stats().LoadedBytes; loaded != q.loaded {
		s.broker.loaded.Add(loaded - q.loaded)
		q.loaded = loaded
	}
}

// release unlocks and carries out what must be done without the lock.
func (s *shard) release() {
	s.write()
	s.inter()
	a := s.after
	s.after = aftermath{}
	s.mu.Unlock()
	for _, sub := range a.wake {
		sub.ring.Wake()
	}
	for _, l := range a.loads {
		s.load(l)
	}
	for _, d := range a.deaths {
		s.bury(d)
	}
	if a.record != nil {
		a.record.append()
	}
	if a.word != nil {
		a.word.append()
	}
	if a.rest {
		select {
		case s.broker.resting <- struct{}{}:
		default:
		}
	}
	for _, w := range a.done {
		complete(w.c, w.token, nil)
	}
	for _, q := range a.letIn {
		s.letIn(q)
	}
	if a.scheduled {
		s.schedule()
	}
	for _, x := range a.sighted {
		s.broker.seekers.tell(s, x)
	}
}

// load reads bodies back and feeds them to the queue.
func (s *shard) load(l pendingLoad) {
	s.journal.Load(l.q.name, l.seqs, func(messages []*gateway.Message, err error) {
		s.mu.Lock()
		if err != nil {
			s.broker.cfg.Logger.Error("loading messages failed", "queue", l.q.name, "error", err)
			l.q.LoadFailed(l.seqs)
		} else {
			l.q.Loaded(l.seqs, messages, s.broker.nowMillis(), &s.fx)
		}
		s.effects(l.q)
		s.release()
	})
}

// entry makes the place of a message in its queue. The lock is held.
func (s *shard) entry(m *gateway.Message, seq uint64, remains bool) dispatch.Entry {
	next := s.nextTag
	if remains {
		next = s.remains.Next
	}
	return dispatch.Entry{Tag: next(), Seq: seq, Expires: s.broker.until(m.Queue, m.Timestamp, m.Expires), Message: m, Size: uint32(m.Size()), Lane: dispatch.LaneOf(m)}
}

// store puts a message that the journal has into its queue. Behind others it
// comes without its body when memory for bodies is short. The lock is held.
func (s *shard) store(q *queue, a *arrival, seq uint64) {
	m := a.record.Message
	if a.remains && s.remains.Passed(q.name, m) {
		s.remains.Lose()
		s.settling = append(s.settling, seq)
		return
	}
	s.setOrder(seq, a.record.Order)
	e := s.entry(m, seq, a.remains)
	redeliveries, due := later(m, a.redeliveries, a.due)
	e.Redeliveries = redeliveries
	if s.broker.loaded.Load() > allWindows && q.Stats().Waiting > 0 {
		e.Message = nil
	}
	now := s.broker.nowMillis()
	if !a.remains {
		q.tally.count(q.Queue, &e, now)
	}
	q.StoredLater(e, due, now, &s.fx)
	s.effects(q)
	s.bound(q)
	s.crowd(q)
	if !a.remains {
		s.adviseArrival(q, m)
	}
}
