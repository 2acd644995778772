package completion

import (
	"sync"

	"github.com/sluice-mq/sluice/gateway"
)

// Parts completes when all parts of something have, with the first error. It is a gateway.Completion for each of them.
type Parts struct {
	// After, if not nil, runs before the end is told.
	After func()

	mu    sync.Mutex
	left  int
	err   error
	c     gateway.Completion
	token uint64
}

// NewParts has c told when so many parts have completed. c may be nil.
func NewParts(left int, c gateway.Completion, token uint64) *Parts {
	return &Parts{left: left, c: c, token: token}
}

// Add adds a part. Some must be left.
func (p *Parts) Add() {
	p.mu.Lock()
	p.left++
	p.mu.Unlock()
}

// Done completes one of the parts.
func (p *Parts) Done(err error) { p.Complete(0, err) }

// Hold implements gateway.Holder: one of the parts is kept back.
func (p *Parts) Hold(uint64) { Hold(p.c, p.token) }

// Complete implements gateway.Completion.
func (p *Parts) Complete(_ uint64, err error) {
	p.mu.Lock()
	if err != nil && p.err == nil {
		p.err = err
	}
	p.left--
	last := p.left == 0
	err = p.err
	p.mu.Unlock()
	if last {
		if p.After != nil {
			p.After()
		}
		Complete(p.c, p.token, err)
	}
}
