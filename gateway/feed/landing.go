package feed

import "sync"

// Landing knows of what is on its way to where it is kept, so that somebody can wait for all that was before. The zero value is ready to use.
type Landing struct {
	mu         sync.Mutex
	generation uint64
	under      map[uint64]int // begun and not ended, by generation
	waiting    []landed
}

type landed struct {
	generation uint64
	fn         func()
}

// Begin is called before it is decided where something goes; End says that it is there.
func (l *Landing) Begin() (generation uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.under == nil {
		l.under = make(map[uint64]int)
	}
	l.under[l.generation]++
	return l.generation
}

func (l *Landing) End(generation uint64) {
	l.mu.Lock()
	if l.under[generation]--; l.under[generation] == 0 {
		delete(l.under, generation)
	}
	var told []landed
	if len(l.waiting) > 0 && l.under[generation] == 0 {
		first := l.first()
		n := 0
		for n < len(l.waiting) && l.waiting[n].generation < first {
			n++
		}
		told = append(told, l.waiting[:n]...)
		l.waiting = l.waiting[n:]
	}
	l.mu.Unlock()
	for _, w := range told {
		w.fn()
	}
}

// first is the oldest generation of which something is under way. The lock is held.
func (l *Landing) first() uint64 {
	first := l.generation + 1
	for g := range l.under {
		first = min(first, g)
	}
	return first
}

// Wait calls fn when all that began before has ended.
func (l *Landing) Wait(fn func()) {
	l.mu.Lock()
	mine := l.generation
	l.generation++
	if l.first() > mine {
		l.mu.Unlock()
		fn()
		return
	}
	l.waiting = append(l.waiting, landed{mine, fn})
	l.mu.Unlock()
}
