package core

import "slices"

const (
	// aliasesMost is how many sequences one message is known by, beside its own. A message that nobody takes is moved again and again, for as long as it
	// is there: what it was called long ago and not at first, no client is likely to know.
	aliasesMost = 8
	// aliasesSpared are not looked at for what may be forgotten.
	aliasesSpared = 64
)

// aliases are the sequences that clients may know live messages by which have other places now.
type aliases struct {
	now   map[uint64]uint64   // where the message is that is known by a sequence
	names map[uint64][]uint64 // what the message at a sequence is known by, in ascending order
}

func newAliases() *aliases {
	return &aliases{now: make(map[uint64]uint64), names: make(map[uint64][]uint64)}
}

// of is the sequence of the message that is known by one.
func (a *aliases) of(seq uint64) uint64 {
	if now, ok := a.now[seq]; ok {
		return now
	}
	return seq
}

// add notes that the message at a sequence is known by another one, too.
func (a *aliases) add(name, now uint64) {
	if name == now || a.now[name] == now {
		return
	}
	names := a.names[now]
	i, _ := slices.BinarySearch(names, name)
	names = slices.Insert(names, i, name)
	a.now[name] = now
	if len(names) > aliasesMost { // who has a message for long knows it by its first names, and who has it since now by its last
		delete(a.now, names[aliasesMost/2])
		names = slices.Delete(names, aliasesMost/2, aliasesMost/2+1)
	}
	a.names[now] = names
}

// moved notes that a message has another place.
func (a *aliases) moved(from, to uint64) {
	if names := a.names[from]; names != nil {
		delete(a.names, from)
		a.names[to] = names
		for _, name := range names {
			a.now[name] = to
		}
	}
	a.add(from, to)
}

// forget forgets those of messages that are not among the live ones, whose number is given, whenever they may be half of all: for each message it looks at
// it forgets about another one.
func (a *aliases) forget(live int, isLive func(seq uint64) bool) {
	if len(a.names) < aliasesSpared || len(a.names) < 2*live {
		return
	}
	for now, names := range a.names {
		if isLive(now) {
			continue
		}
		for _, name := range names {
			delete(a.now, name)
		}
		delete(a.names, now)
	}
}
