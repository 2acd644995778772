package ldap

import (
	"context"
	"slices"
	"sync"
	"time"
)

// pacedBy is how many binds say what one takes.
const pacedBy = 32

// pace knows what a right passcode has cost lately. A server compares a passcode only if there is an entry, and that takes a time that strangers
// could measure: so a refusal takes as long. Safe for concurrent use.
type pace struct {
	mu   sync.Mutex
	took [pacedBy]time.Duration
	n    int // ever
}

func (p *pace) note(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took[p.n%pacedBy] = took
	p.n++
}

// usual is what nine binds of ten have not exceeded; 0: nobody knows.
func (p *pace) usual() time.Duration {
	p.mu.Lock()
	known := slices.Clone(p.took[:min(p.n, pacedBy)])
	p.mu.Unlock()
	if len(known) == 0 {
		return 0
	}
	slices.Sort(known)
	return known[len(known)*9/10]
}

// keep waits until a refusal has taken as long as usual.
func (p *pace) keep(ctx context.Context, begun time.Time) {
	left := p.usual() - time.Since(begun)
	if left <= 0 {
		return
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
