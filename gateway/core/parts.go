package core

import (
	"sync"

	"github.com/sluice-mq/sluice/gateway"
)

// parts completes when all parts have, with the first error.
type parts struct {
	mu    sync.Mutex
	left  int
	err   error
	c     gateway.Completion
	token uint64
}

func (p *parts) add(one bool) {
	if one {
		p.mu.Lock()
		p.left++
		p.mu.Unlock()
	}
}

func (p *parts) done(err error) { p.Complete(0, err) }

// Complete implements gateway.Completion.
func (p *parts) Complete(_ uint64, err error) {
	p.mu.Lock()
	if err != nil && p.err == nil {
		p.err = err
	}
	p.left--
	last := p.left == 0
	err = p.err
	p.mu.Unlock()
	if last {
		complete(p.c, p.token, err)
	}
}
