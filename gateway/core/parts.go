package core

import (
	"sync"
	"sync/atomic"

	"github.com/sluice-mq/sluice/gateway"
)

// parts completes when all parts have, with the first error.
type parts struct {
	mu    sync.Mutex
	left  int
	err   error
	c     gateway.Completion
	token uint64
	// from, if not nil, sent a message of which the parts are copies: so much.
	from   *session
	copies amount
}

func (p *parts) add(one bool) {
	if one {
		p.mu.Lock()
		p.left++
		p.mu.Unlock()
	}
}

const (
	// underwayMost and underwayBytes are how many copies for queues that topics feed may be on their way for one session until its door is told to wait.
	underwayMost  = 8192
	underwayBytes = 32 << 20
)

// underway counts copies that are on their way to the queues that keep them.
type underway struct{ copies, bytes atomic.Int64 }

// add reports whether there are too many now.
func (u *underway) add(a amount) (tooMany bool) {
	copies, bytes := u.copies.Add(int64(a.messages)), u.bytes.Add(int64(a.bytes))
	return copies > underwayMost || bytes > underwayBytes
}

func (u *underway) take(a amount) {
	u.copies.Add(-int64(a.messages))
	u.bytes.Add(-int64(a.bytes))
}

func (p *parts) done(err error) { p.Complete(0, err) }

// Hold implements gateway.Holder: one of the parts is kept back.
func (p *parts) Hold(uint64) { hold(p.c, p.token) }

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
		if p.from != nil {
			p.from.underway.take(p.copies)
		}
		complete(p.c, p.token, err)
	}
}
