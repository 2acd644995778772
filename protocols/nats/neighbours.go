package nats

import (
	"encoding/json"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"
)

// In a cluster the doors tell one another of consumers, of their use, and of the keys of reply topics. They
// do so in the account Inbound, which no client can enter.
const (
	doors       = "sluice.doors."
	doorChanges = "changes" // a list of book entries
	doorHello   = "hello"
	// fromNode is the header that names the speaker.
	fromNode = "Sluice-Node"
)

// doors begins the subjects between the doors of the same clients.
func (c *Config) doors() string {
	if c.User == nil {
		return doors
	}
	return doors + c.User.Token + "."
}

const (
	// spreadBytes bounds one message between doors, and spreadEvery is how often a door tells all it knows at most.
	spreadBytes = 128 << 10
	spreadEvery = time.Second
	// keepGraves is for how long it is known that a consumer was deleted, and mostGraves of how many: a node that was
	// away longer may bring it back.
	keepGraves = 7 * 24 * time.Hour
	mostGraves = mostConsumers
	// helloNames bounds the names in a greeting.
	helloNames = 256
)

// hello is what doors tell one another every second.
type hello struct {
	// Digest is the same for books that say the same.
	Digest string `json:"digest"`
	// Key opens the reply topics that the door has sealed.
	Key []byte `json:"key"`
	// Used are consumers that go when nobody uses them, and are used there.
	Used []string `json:"used,omitempty"`
}

// nearby is a door's part in that. Guarded by workers.mu.
type nearby struct {
	told    time.Time // when all was told the last time
	greeted time.Time
}

// slack is for how much longer than on a single node a consumer is kept that nobody uses: others tell of its use.
func (ws *workers) slack() time.Duration {
	if ws.cfg.Node == "" {
		return 0
	}
	return 3 * sweepEvery
}

// stampOf is the stamp of a change made now. The lock is held.
func (ws *workers) stampOf(name string) stamp {
	if ws.cfg.Node == "" {
		return stamp{}
	}
	s := stamp{ws.cfg.Clock().UnixMicro(), ws.cfg.Node}
	if c := ws.consumers[name]; c != nil {
		s.Changed = max(s.Changed, c.stamp.Changed+1)
	}
	if e, ok := ws.gone[name]; ok {
		s.Changed = max(s.Changed, e.Changed+1)
	}
	return s
}

// implicitStamp is that of a consumer nobody made: every change by somebody is later.
func (ws *workers) implicitStamp(name string) stamp {
	if e, ok := ws.gone[name]; ok {
		return stamp{e.Changed + 1, ws.cfg.Node}
	}
	return stamp{}
}

// bury remembers that a consumer was deleted, and returns what to tell others. The lock is held.
func (ws *workers) bury(c *consumer) []byte {
	if ws.cfg.Node == "" {
		return nil
	}
	e := bookEntry{Created: c.created, stamp: ws.stampOf(c.name), Gone: true}
	e.stamp.Changed = max(e.stamp.Changed, c.stamp.Changed+1)
	e.Config.Name = c.name
	ws.grave(e)
	text, _ := json.Marshal(e) // which can always be written
	return text
}

// grave remembers that a consumer was deleted. The lock is held.
func (ws *workers) grave(e bookEntry) {
	ws.gone[e.Config.Name] = e
	if len(ws.gone) <= mostGraves {
		return
	}
	oldest := e
	for _, o := range ws.gone {
		if oldest.after(o.stamp) {
			oldest = o
		}
	}
	delete(ws.gone, oldest.Config.Name)
}

// graves are the entries of deleted consumers. The lock is held.
func (ws *workers) graves() (all [][]byte) {
	for _, name := range slices.Sorted(maps.Keys(ws.gone)) {
		e := ws.gone[name]
		if ws.cfg.Clock().UnixMicro()-e.Changed > keepGraves.Microseconds() {
			delete(ws.gone, name)
			continue
		}
		text, _ := json.Marshal(e) // which can always be written
		all = append(all, text)
	}
	return all
}

// spread tells the other doors of entries. The lock is held.
func (ws *workers) spread(entries ...[]byte) {
	if ws.cfg.Node == "" {
		return
	}
	text := []byte{'['}
	for i, e := range entries {
		text = append(text, e...)
		if i == len(entries)-1 || len(text) > spreadBytes {
			ws.speak(doorChanges, append(text, ']'))
			text = []byte{'['}
			continue
		}
		text = append(text, ',')
	}
}

func (ws *workers) speak(subject string, text []byte) {
	if err := ws.cfg.Inbound.PublishMsg(&natsgo.Msg{Subject: ws.cfg.doors() + subject, Header: natsgo.Header{fromNode: {ws.cfg.Node}}, Data: text}); err != nil {
		ws.cfg.Logger.Debug("other nodes could not be told of consumers of native clients", "error", err)
	}
}

// greet says hello to the other doors. The lock is held.
func (ws *workers) greet() {
	if ws.cfg.Node == "" {
		return
	}
	now := ws.cfg.Clock()
	h := hello{Digest: ws.digest(), Key: ws.inboxes.key}
	for _, c := range ws.consumers {
		if c.cfg.InactiveThreshold > 0 && (!c.idle() || !c.used.Before(ws.nearby.greeted)) && len(h.Used) < helloNames && len(c.workers) > 0 {
			h.Used = append(h.Used, c.name)
		}
	}
	ws.nearby.greeted = now
	text, _ := json.Marshal(h) // which can always be written
	ws.speak(doorHello, text)
}

// digest stands for all that the book says, in whatever order. The lock is held.
func (ws *workers) digest() string {
	var sum uint64
	add := func(name string, s stamp, gone bool) {
		h := fnv.New64a()
		_, _ = h.Write(strconv.AppendBool(strconv.AppendInt([]byte(name+"\x00"+s.Node+"\x00"), s.Changed, 10), gone))
		sum += h.Sum64()
	}
	for _, c := range ws.consumers {
		if c.stamp != (stamp{}) {
			add(c.name, c.stamp, false)
		}
	}
	for name, e := range ws.gone {
		add(name, e.stamp, true)
	}
	return strconv.FormatUint(sum, 36)
}

// hear is the callback for what other doors say.
func (ws *workers) hear(m *natsgo.Msg) {
	if m.Header.Get(fromNode) == ws.cfg.Node {
		return
	}
	switch strings.TrimPrefix(m.Subject, ws.cfg.doors()) {
	case doorHello:
		var h hello
		if json.Unmarshal(m.Data, &h) != nil {
			return
		}
		if err := ws.inboxes.learn(h.Key); err != nil {
			ws.cfg.Logger.Warn("answers to requests of another node's native clients may be lost", "error", err)
		}
		ws.greeted(h)
	case doorChanges:
		var entries []bookEntry
		if json.Unmarshal(m.Data, &entries) != nil {
			return
		}
		ws.mu.Lock()
		defer ws.mu.Unlock()
		for _, e := range entries {
			ws.merge(e)
		}
	}
}

// greeted takes in what another door says of itself, and tells it what it does not know.
func (ws *workers) greeted(h hello) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	now := ws.cfg.Clock()
	for _, name := range h.Used {
		if c := ws.consumers[name]; c != nil {
			c.used = now
		}
	}
	if h.Digest == ws.digest() || now.Sub(ws.nearby.told) < spreadEvery {
		return
	}
	ws.nearby.told = now
	all := ws.graves()
	for _, c := range ws.consumers {
		if c.stamp != (stamp{}) {
			all = append(all, c.entry)
		}
	}
	ws.spread(all...)
}

// merge takes in another door's entry if it is later than ours. The lock is held.
func (ws *workers) merge(e bookEntry) {
	name := e.Config.Name
	old := ws.consumers[name]
	if grave, ok := ws.gone[name]; ok && !e.after(grave.stamp) || old != nil && !e.after(old.stamp) {
		return
	}
	if e.Gone {
		if old != nil {
			ws.forget(old)
		}
		ws.grave(e)
		ws.writeBook(nil)
		return
	}
	c, err := newConsumer(ws, e.Config, e.Created)
	if err == nil && old == nil {
		if refused := ws.full(c, nil); refused != nil {
			err = refused
		}
	}
	if err != nil {
		ws.cfg.Logger.Warn("a consumer of another node is left out", "consumer", name, "error", err)
		return
	}
	c.stamp = e.stamp
	c.note()
	switch {
	case old != nil && old.queue == c.queue:
		ws.change(old, c)
	case old != nil:
		ws.forget(old)
		ws.put(c)
	default:
		ws.put(c)
	}
	ws.writeBook(nil)
}
