package dispatch

import "math/bits"

// priorities are how many a message can have.
const priorities = 10

// lane holds waiting entries of one priority and group, or of none. The plain one, Queue.waiting, is always there.
type lane struct {
	line
	priority uint8
	// group is nil for those that belong to none.
	group *group
	// held bodies are in memory, and in the journal too.
	held int
	// pool has it at this place of its heap, while something waits in it; front is the first tag, as the heap knows it.
	pool  *pool
	at    int
	front uint64
}

// pool has lanes that are not empty, of each priority the one with the lowest tag first.
type pool struct {
	heaps [priorities]heapOfLanes
	// some are the priorities with lanes, a bit each.
	some uint16
}

type heapOfLanes []*lane

// highest returns the highest priority of a pool's lanes at or below p, -1 if there is none.
func (p *pool) highest(priority int) int {
	if p == nil {
		return -1
	}
	return bits.Len16(p.some&(1<<(priority+1)-1)) - 1
}

// first returns the lane with the lowest tag, nil if there is none of that priority.
func (p *pool) first(priority int) *lane {
	if p == nil || len(p.heaps[priority]) == 0 {
		return nil
	}
	return p.heaps[priority][0]
}

// lanes of a priority, in no order but that the first one is first.
func (p *pool) lanes(priority int) []*lane {
	if p == nil {
		return nil
	}
	return p.heaps[priority]
}

// add puts a lane in that is in no pool and not empty.
func (p *pool) add(l *lane) {
	h := &p.heaps[l.priority]
	l.pool, l.at, l.front = p, len(*h), l.first().Tag
	*h = append(*h, l)
	h.up(l.at)
	p.some |= 1 << l.priority
}

// remove takes a lane out.
func (p *pool) remove(l *lane) {
	h := &p.heaps[l.priority]
	last := len(*h) - 1
	at := l.at
	h.swap(at, last)
	(*h)[last] = nil
	*h = (*h)[:last]
	if at < last {
		h.fix(at)
	}
	if last == 0 {
		p.some &^= 1 << l.priority
	}
	l.pool = nil
}

// touched brings a pool up to date with a lane whose front may be another.
func (p *pool) touched(l *lane) {
	if front := l.first().Tag; front != l.front {
		l.front = front
		p.heaps[l.priority].fix(l.at)
	}
}

func (h heapOfLanes) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (h heapOfLanes) fix(i int) {
	if !h.down(i) {
		h.up(i)
	}
}

func (h heapOfLanes) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].front <= h[i].front {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h heapOfLanes) down(i int) (moved bool) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h[child].front < h[least].front {
				least = child
			}
		}
		if least == i {
			return moved
		}
		h.swap(i, least)
		i, moved = least, true
	}
}
