package pubsub

import (
	"sync"
	"time"
)

// pulled is the last pull of a subscription on this node.
type pulled struct {
	// end is behind the last message that it brought, at when, generation the cursor's then.
	end        uint64
	messages   uint64 // that it brought, and the bytes of their data
	bytes      uint64
	at         time.Time
	generation uint64
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
}

// pullsMost bounds what is remembered. Beyond it acknowledgements are taken as if another node had been asked.
const pullsMost = 1 << 16

func (p *pulls) put(id string, now pulled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.all[id]; !known && len(p.all) >= pullsMost {
		clear(p.all)
	}
	p.last++
	now.serial, now.pending = p.last, true
	p.all[id] = now
}

func (p *pulls) get(id string) (pulled, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last, ok := p.all[id]
	return last, ok
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
