package dispatch

// A group's messages go to the subscription that got the first of them, until that goes, or the group was closed. Each group has a record of
// its own up to a number; those beyond share some, as if they were one group. Groups of which there is nothing keep their owner
// until their record is needed: those that were used last stay longest. While the queue has an exclusive owner, groups of others are
// free as soon as nothing of them is in flight; brief groups always are. Nothing else moves to a consumer
// that comes later: new groups go to who has the fewest.

const (
	// groupsMost have records of their own.
	groupsMost = 1024
	// buckets are what the others share.
	buckets = 64
)

// group is who gets the messages of one group.
type group struct {
	hash uint64
	// bucket: it stands for several.
	bucket bool
	owner  *subscription
	// flying are in flight and were not closed off.
	flying int
	// later are those that come later, of a brief group.
	later int
	// lanes with something of it.
	lanes []*lane
	// older and newer link those of which there is nothing, which only have an owner.
	older, newer *group
	resting      bool
}

// groups are all that there are.
type groups struct {
	most   int
	own    map[uint64]*group
	shared map[uint64]*group
	// oldest and newest of those that rest.
	oldest, newest *group
}

func newGroups(most int) groups {
	return groups{most: most, own: make(map[uint64]*group), shared: make(map[uint64]*group)}
}

func (gs *groups) none() bool { return len(gs.own)+len(gs.shared) == 0 }

// find returns the record of a group, nil if there is none. While there is anything of a group it is always the same.
func (gs *groups) find(hash uint64) *group {
	if g := gs.own[hash]; g != nil {
		return g
	}
	return gs.shared[hash%buckets]
}

// open returns the record of a group, making it if need be.
func (gs *groups) open(hash uint64) *group {
	if g := gs.find(hash); g != nil {
		return g
	}
	if len(gs.own) >= gs.most && gs.oldest != nil {
		gs.forget(gs.oldest)
	}
	if len(gs.own) < gs.most {
		g := &group{hash: hash}
		gs.own[hash] = g
		return g
	}
	g := &group{hash: hash % buckets, bucket: true}
	gs.shared[g.hash] = g
	return g
}

// forget drops a record of which there is nothing.
func (gs *groups) forget(g *group) {
	gs.wake(g)
	if g.owner != nil {
		g.owner.groups--
		g.owner = nil
	}
	if g.bucket {
		delete(gs.shared, g.hash)
	} else {
		delete(gs.own, g.hash)
	}
}

// settle lets a record rest, or forgets it, if there is nothing of its group; else it is awake.
func (gs *groups) settle(g *group) {
	switch {
	case len(g.lanes) > 0 || g.flying > 0 || g.later > 0:
		gs.wake(g)
	case g.owner == nil || g.bucket:
		gs.forget(g)
	case !g.resting:
		g.resting, g.older = true, gs.newest
		if gs.newest != nil {
			gs.newest.newer = g
		} else {
			gs.oldest = g
		}
		gs.newest = g
	}
}

// wake takes a record from those that rest.
func (gs *groups) wake(g *group) {
	if !g.resting {
		return
	}
	if g.older != nil {
		g.older.newer = g.newer
	} else {
		gs.oldest = g.newer
	}
	if g.newer != nil {
		g.newer.older = g.older
	} else {
		gs.newest = g.older
	}
	g.older, g.newer, g.resting = nil, nil, false
}

// give makes a subscription, or nobody, the owner of a group.
func (q *Queue) give(g *group, s *subscription) {
	if g.owner == s {
		return
	}
	if g.owner != nil {
		g.owner.groups--
	}
	if g.owner = s; s != nil {
		s.groups++
	}
	q.epoch++
	for _, l := range g.lanes {
		if l.pool != nil {
			l.pool.remove(l)
			q.lanes.poolOf(l).add(l)
		}
	}
}

// handOut notes that an entry of a group goes to a subscription.
func (q *Queue) handOut(e *Entry, s *subscription) {
	if q.lanes == nil {
		q.lay()
	}
	g := q.lanes.open(e.Lane.group())
	if g.owner == nil {
		q.give(g, s)
	}
	g.flying++
	q.lanes.wake(g)
}

// handedOut notes that an entry of a group is in flight with a subscription: if it closes the group, what is in flight of it is of
// the past, and what comes next may go to somebody else.
func (q *Queue) handedOut(e *Entry, s *subscription) {
	if !e.Lane.closes() {
		return
	}
	g := q.lanes.find(e.Lane.group())
	q.sever(g, s, e.Lane.group())
	if g.flying > 0 {
		for _, o := range q.subs {
			q.sever(g, o, e.Lane.group())
		}
	}
	if g.flying == 0 {
		q.giveUp(g)
	}
	q.lanes.settle(g)
}

// sever makes what a subscription has in flight of a group of the past.
func (q *Queue) sever(g *group, s *subscription, hash uint64) {
	if s.inFlight.n == 0 || g.flying == 0 {
		return
	}
	if last := s.inFlight.last(); g.flying == 1 && last.Lane.group() == hash && last.Lane&severed == 0 {
		last.Lane |= severed
		g.flying = 0
		return
	}
	s.inFlight.all(func(e *Entry) bool {
		if e.Lane.group() == hash && e.Lane&severed == 0 {
			e.Lane |= severed
			g.flying--
		}
		return g.flying > 0
	})
}

// letGo notes that an entry of a group is in flight no more.
func (q *Queue) letGo(e *Entry) {
	if e.Lane&severed != 0 {
		return
	}
	g := q.lanes.find(e.Lane.group())
	if g.flying--; g.flying == 0 && (q.cfg.BriefGroups || q.owner != nil && g.owner != q.owner) {
		q.giveUp(g)
	}
	q.lanes.settle(g)
}

// giveUp frees a group of which nothing is in flight, but for one of which something comes later: nobody gets anything of that.
func (q *Queue) giveUp(g *group) {
	if g.later > 0 {
		q.give(g, &q.barrier)
		return
	}
	q.give(g, nil)
}

// bar notes that an entry of a brief group comes later.
func (q *Queue) bar(e *Entry) {
	if !q.cfg.BriefGroups || e.Lane.group() == 0 {
		return
	}
	if q.lanes == nil {
		q.lay()
	}
	g := q.lanes.open(e.Lane.group())
	g.later++
	q.give(g, &q.barrier)
	q.lanes.wake(g)
}

// unbar notes that an entry of a brief group comes later no more.
func (q *Queue) unbar(e *Entry) {
	if !q.cfg.BriefGroups || e.Lane.group() == 0 {
		return
	}
	g := q.lanes.find(e.Lane.group())
	if g.later--; g.later == 0 {
		q.give(g, q.holderOf(g))
	}
	q.lanes.settle(g)
}

// claim frees the groups for the exclusive owner of the queue of which nothing is in flight; the others follow in letGo.
func (q *Queue) claim() {
	if q.lanes == nil || q.owner == nil {
		return
	}
	for _, gs := range [...]map[uint64]*group{q.lanes.own, q.lanes.shared} {
		for _, g := range gs {
			if g.flying == 0 && g.owner != nil && g.owner != q.owner {
				q.giveUp(g)
				q.lanes.settle(g)
			}
		}
	}
}

// adoptGroup is handOut for what a client has had since before: who has something of a group in flight is its owner before who has nothing.
func (q *Queue) adoptGroup(e *Entry, s *subscription) {
	if g := q.lanes.find(e.Lane.group()); g != nil && g.flying == 0 {
		q.give(g, s)
	}
	q.handOut(e, s)
}

// disown lets the groups of a subscription go that has nothing in flight any more. Those of which somebody else has something, which clients
// brought along from before, go to that one.
func (q *Queue) disown(s *subscription) {
	if q.lanes == nil || s.groups == 0 {
		return
	}
	for _, gs := range [...]map[uint64]*group{q.lanes.own, q.lanes.shared} {
		for _, g := range gs {
			if g.owner == s {
				if q.give(g, q.holderOf(g)); g.owner == nil {
					q.giveUp(g)
				}
				q.lanes.settle(g)
			}
		}
	}
}

// holderOf returns who came first of those who have something of a group, nil if nobody has.
func (q *Queue) holderOf(g *group) (holder *subscription) {
	if g.flying == 0 {
		return nil
	}
	for _, s := range q.arrivals() {
		s.inFlight.all(func(e *Entry) bool {
			if e.Lane.group() != 0 && e.Lane&severed == 0 && q.lanes.find(e.Lane.group()) == g {
				holder = s
			}
			return holder == nil
		})
		if holder != nil {
			break
		}
	}
	return holder
}
