package nats

import "container/heap"

// alarm rings at a time, in Unix nanoseconds, unless it is put off or stopped before.
type alarm struct {
	at   int64
	ring func()
	// set: it is in the heap, at place.
	set   bool
	place int
}

// alarms are those that are set, the next one first.
type alarms []*alarm

// put sets an alarm, or puts it off, and reports whether it is the next one now.
func (s *alarms) put(a *alarm, at int64) bool {
	a.at = at
	if a.set {
		heap.Fix(s, a.place)
	} else {
		heap.Push(s, a)
	}
	return a.place == 0
}

// stop takes an alarm out. One that is not set may be stopped, too.
func (s *alarms) stop(a *alarm) {
	if a.set {
		heap.Remove(s, a.place)
	}
}

// due takes the next alarm out if its time has come.
func (s *alarms) due(now int64) *alarm {
	if len(*s) == 0 || (*s)[0].at > now {
		return nil
	}
	return heap.Pop(s).(*alarm)
}

// Len implements heap.Interface.
func (s alarms) Len() int { return len(s) }

// Less implements heap.Interface.
func (s alarms) Less(i, j int) bool { return s[i].at < s[j].at }

// Swap implements heap.Interface.
func (s alarms) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].place, s[j].place = i, j
}

// Push implements heap.Interface.
func (s *alarms) Push(x any) {
	a := x.(*alarm)
	a.set, a.place = true, len(*s)
	*s = append(*s, a)
}

// Pop implements heap.Interface.
func (s *alarms) Pop() any {
	old := *s
	a := old[len(old)-1]
	old[len(old)-1] = nil
	*s = old[:len(old)-1]
	a.set = false
	return a
}
