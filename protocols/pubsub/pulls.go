package pubsub

import (
	"sync"
	"time"
)

// pulled is the last pull of a subscription on this node.
type pulled struct {
	// from is where the cursor stood, generation its own, and log what it is in; end is behind the last message that it brought, at when.
	from       uint64
	end        uint64
	messages   uint64 // that it brought, and the bytes of their data
	bytes      uint64
	at         time.Time
	generation uint64
	log        string
	// serial names the pull; pending is false once one of its messages was acknowledged.
	serial  uint64
	pending bool
}

// share is how many bytes so many of its messages have: all of them, or their part.
func (p *pulled) share(messages uint64) uint64 {
	if messages >= p.messages {
		return p.bytes
	}
	return p.bytes * messages / p.messages
}

// pulls remembers the last pull of each subscription.
type pulls struct {
	mu   sync.Mutex
	all  map[string]pulled // by the subscription's ID
	last uint64
	// forgetful: some were forgotten.
	forgetful bool
}

// pullsMost bounds what is remembered. Beyond it acknowledgements are taken as if another node had been asked.
const pullsMost = 1 << 16

func (p *pulls) put(id string, now pulled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.all[id]; !known && len(p.all) >= pullsMost {
		clear(p.all)
		p.forgetful = true
	}
	p.last++
	now.serial, now.pending = p.last, true
	p.all[id] = now
}

// get returns the last pull. If it is not known, there may have been one that was forgotten.
func (p *pulls) get(id string) (last pulled, known, forgetful bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last, known = p.all[id]
	return last, known, p.forgetful
}

// settle says that a pull was acknowledged, unless there was another one since.
func (p *pulls) settle(id string, serial uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last, ok := p.all[id]; ok && last.serial == serial {
		last.pending = false
		p.all[id] = last
	}
}
