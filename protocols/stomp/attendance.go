package stomp

import "time"

// Where the goroutine of a writer is.
const (
	writerAway    uint32 = iota // there is none
	writerWorking               // it looks at everything before it goes
	writerCalled                // it has to look again
	writerGone                  // there will be none any more
)

// stays is how long the goroutine of a writer that has nothing to do waits for more.
const stays = time.Second

// wakeWriter has the writer look at what there is for it. It may be called from any goroutine.
func (c *conn) wakeWriter() {
	for {
		was := c.desk.Load()
		if was == writerCalled || was == writerGone {
			return
		}
		if !c.desk.CompareAndSwap(was, writerCalled) {
			continue
		}
		if was == writerAway {
			go c.write()
			return
		}
		select {
		case c.wake <- struct{}{}:
		default:
		}
		return
	}
}

// ring is wakeWriter in a goroutine that may become the writer's.
func (c *conn) ring() {
	if c.desk.CompareAndSwap(writerAway, writerCalled) {
		c.write()
		return
	}
	c.wakeWriter()
}

// write is the writer's goroutine, which somebody has called.
func (c *conn) write() {
	defer c.survive()
	w := &c.writer
	for {
		c.desk.Store(writerWorking)
		select {
		case <-c.wake: // what it calls for is looked at now
		default:
		}
		busy, over := w.turn()
		if over {
			w.end()
			return
		}
		if !busy && !w.rest() {
			return
		}
	}
}

// rest waits until there may be work, beating in time where that was promised. It reports false when nothing has come for
// so long that the goroutine has to go; from then on it belongs to nobody.
func (w *writer) rest() bool {
	now := time.Now()
	if w.beat > 0 && now.Sub(w.last) >= w.beat {
		w.send([]byte{'\n'})
	}
	idle := now.Sub(w.worked) >= stays
	var due time.Time
	if w.beat > 0 {
		due = w.last.Add(w.beat)
	}
	if until := w.worked.Add(stays); !idle && (due.IsZero() || until.Before(due)) {
		due = until
	}
	w.callAt(now, due)
	desk := &w.c.desk
	switch {
	case w.err != nil: // the next turn ends it
	case idle:
		return !desk.CompareAndSwap(writerWorking, writerAway)
	case desk.Load() == writerWorking:
		<-w.c.wake
	}
	return true
}

// callAt sees to it that the writer is called at a time, or earlier; the zero time is never. A timer that rings too early costs
// less than one that is set again for whatever is written.
func (w *writer) callAt(now, at time.Time) {
	if at.IsZero() || now.Before(w.rings) && !at.Before(w.rings) {
		return
	}
	w.rings = at
	if w.timer == nil {
		w.timer = time.AfterFunc(at.Sub(now), w.c.ring)
		return
	}
	w.timer.Reset(at.Sub(now))
}
