package nats

import (
	"crypto/sha256"
	"sync"
	"time"
)

// repeatWindow is for how long the id of a message is remembered, as with JetStream.
const repeatWindow = 2 * time.Minute

// messageKey stands for a queue and the id that a publisher gave a message for it.
type messageKey [16]byte

func keyOf(queue, id string) (k messageKey) {
	sum := sha256.Sum256([]byte(queue + "\x00" + id))
	copy(k[:], sum[:])
	return k
}

// published is what is known of a message with an id.
type published struct {
	seq uint64 // 0: it is not stored yet
	at  int64
}

// repeats recognises messages that were published before. It remembers in two
// generations, so that forgetting costs nothing: the older one goes as a whole. Safe for concurrent use.
type repeats struct {
	most int // ids in a generation

	mu       sync.Mutex
	now, old map[messageKey]published
	began    int64
	// waiting are repetitions, by their tokens, of messages that are not stored yet.
	waiting map[messageKey][]uint64
	early   uint64 // generations that went before their time
}

func (r *repeats) init(most int) {
	r.most = max(most/2, 1)
	r.now, r.waiting = make(map[messageKey]published), make(map[messageKey][]uint64)
}

// first notes a message. If it was published before, it returns what is known of that.
func (r *repeats) first(k messageKey, now int64) (before published, repeated bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	for _, m := range [...]map[messageKey]published{r.now, r.old} {
		if p, ok := m[k]; ok && (p.seq == 0 || now-p.at <= int64(repeatWindow)) {
			return p, true
		}
	}
	r.now[k] = published{at: now}
	return published{}, false
}

// await lets a repetition wait for the outcome of the message that it repeats. It
// returns false if that is known by now.
func (r *repeats) await(k messageKey, token uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range [...]map[messageKey]published{r.now, r.old} {
		if p, ok := m[k]; ok && p.seq == 0 {
			r.waiting[k] = append(r.waiting[k], token)
			return true
		}
	}
	return false
}

// stored notes a message's outcome and returns the repetitions that wait for it. One that
// failed, with seq 0, was never published.
func (r *repeats) stored(k messageKey, seq uint64, now int64) (waiting []uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.old, k)
	if seq == 0 {
		delete(r.now, k)
	} else {
		r.now[k] = published{seq, now}
	}
	waiting = r.waiting[k]
	delete(r.waiting, k)
	return waiting
}

// turn begins a new generation when the time has come or this one is full. What is under way
// stays known. The lock is held.
func (r *repeats) turn(now int64) {
	over := now-r.began > int64(repeatWindow) || now < r.began
	if !over && len(r.now) < r.most {
		return
	}
	if !over {
		r.early++
	}
	for k, p := range r.old {
		if p.seq == 0 {
			r.now[k] = p
		}
	}
	r.old, r.now, r.began = r.now, make(map[messageKey]published), now
}
