package dispatch

// Configure changes a queue's configuration. What waits takes its new lane, and what may be handed out now is; who has something in
// flight keeps it. BriefGroups stays as it is. Bounds as in NewQueue; SubscriptionBytes counts for subscriptions that come.
func (q *Queue) Configure(cfg Config, now int64, fx *Effects) {
	old := q.cfg
	q.cfg = cfg.bounded()
	q.cfg.BriefGroups = old.BriefGroups
	if old.Priorities != cfg.Priorities {
		q.relay()
	}
	q.elect()
	q.rest()
	q.trim(q.cfg.WindowMessages, int64(q.cfg.WindowBytes))
	q.epoch++
	q.pump(now, fx)
}

// relay puts all that waits into its lane anew. It costs something for every entry.
func (q *Queue) relay() {
	if q.lanes == nil {
		if !q.cfg.Priorities || q.waiting.n == 0 {
			return
		}
		q.lay()
	}
	ls := q.lanes
	var old []line
	q.eachLane(func(l *lane) bool {
		old = append(old, l.line)
		if l.pool != nil {
			l.pool.remove(l)
		}
		q.forgetLane(l)
		if l.group != nil {
			l.group.lanes = nil
		}
		return true
	})
	q.waiting.line, q.waiting.held = newLine(), 0
	ls.all, ls.list, ls.n = make(map[laneKey]*lane), nil, 0
	for i := range old {
		old[i].all(func(e *Entry) bool {
			l := q.openLane(e.Lane)
			if e.Seq != 0 && e.Message != nil {
				l.held++
			}
			l.add(*e)
			q.changed(l, 1)
			return true
		})
		old[i].chunks = nil
	}
	q.window.ahead = 0
	q.unlay()
}
