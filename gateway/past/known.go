package past

import (
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

// KnownMost is how many messages of one process a shard recognises: more than it can have offered
// without an answer.
const KnownMost = 2 * 8192

// Known recognises what another node offers a second time, because it does not know what became of the
// first: by its id, and a transaction's parts by their names. The zero value is ready to use; it is guarded by its shard's lock.
type Known struct {
	all     map[string]*knownCall
	origins map[string]*knownOrigin
}

// knownOrigin are the newest names of one process, as a ring.
type knownOrigin struct {
	names []string
	next  int
}

// knownCall is what became of it.
type knownCall struct {
	over    bool
	seq     uint64        // of a record that is kept
	waiting []func(error) // while it is under way
}

// Origin is the part of an id that names the process which gave it.
func Origin(name string) string {
	const lead = len("ID:")
	if len(name) > lead {
		if i := strings.IndexByte(name[lead:], ':'); i >= 0 {
			return name[:lead+i]
		}
	}
	return ""
}

// NameOf is what a message is recognised by.
func NameOf(m *gateway.Message, transaction string) string {
	if transaction != "" {
		return transaction
	}
	return m.ID + "\x00" + m.Place()
}

// remember adds a name and forgets the oldest of its process.
func (k *Known) remember(name string, c *knownCall) {
	if k.all == nil {
		k.all, k.origins = make(map[string]*knownCall), make(map[string]*knownOrigin)
	}
	from := Origin(name)
	o := k.origins[from]
	if o == nil {
		o = &knownOrigin{}
		k.origins[strings.Clone(from)] = o
	}
	if len(o.names) < KnownMost {
		o.names = append(o.names, name)
	} else {
		delete(k.all, o.names[o.next])
		o.names[o.next] = name
		o.next = (o.next + 1) % KnownMost
	}
	k.all[name] = c
}

// Reopen notes that a call is under way which the journal has.
func (k *Known) Reopen(name string) {
	if k.all[name] != nil {
		k.all[name] = &knownCall{}
	}
}

// replayedCall is what the journal had.
var replayedCall = &knownCall{over: true}

// Begin reports whether a call is new. If it is not, done is told with the first.
func (k *Known) Begin(name string, done func(error)) (isNew, over bool) {
	c := k.all[name]
	switch {
	case c == nil:
		k.remember(name, &knownCall{})
		return true, false
	case c.over:
		return false, true
	}
	c.waiting = append(c.waiting, done)
	return false, false
}

// End notes what became of a call and returns who waits for it, too. What failed may be tried again.
func (k *Known) End(name string, err error) (waiting []func(error)) {
	c := k.all[name]
	if c == nil || c.over {
		return nil
	}
	waiting, c.waiting = c.waiting, nil
	if c.over = err == nil; !c.over {
		delete(k.all, name)
	}
	return waiting
}

// Kept notes the record of a call, and returns the one that was noted before.
func (k *Known) Kept(name string, seq uint64) (before uint64) {
	if c := k.all[name]; c != nil && c != replayedCall {
		before, c.seq = c.seq, seq
	}
	return before
}
