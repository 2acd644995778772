package app

import (
	"sync"

	"github.com/sluice-mq/sluice/protocols/admin"
)

// stage is how far a node's life has come. It only grows, but that a node which drains may serve again.
type stage int

const (
	starting stage = iota
	serving
	draining
	drained
	stopping
)

// health is what the admin door tells of the node.
type health struct {
	mu     sync.Mutex
	stage  stage
	waits  string // what the start waits for
	probes []probe
}

// probe is a condition of being in service; reason says in words why it does
// not hold, or is empty. It must not block and may be called concurrently.
type probe struct {
	name   string
	reason func() string
}

var _ admin.Health = (*health)(nil)

func (h *health) enter(s stage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stage = max(h.stage, s)
}

// leaves reports whether the node drains, has drained or stops.
func (h *health) leaves() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stage >= draining
}

// undrain takes back that the node drains, unless it stops.
func (h *health) undrain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stage == draining || h.stage == drained {
		h.stage = serving
	}
}

// wait says what the start waits for.
func (h *health) wait(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waits = ": " + what
}

// waiting is what the start waits for, behind a colon, or empty.
func (h *health) waiting() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.waits
}

// reason is why the node is not in service by its stage, or empty. h is locked.
func (h *health) reason() string {
	text := [...]string{"starting", "", "draining", "drained", "stopping"}[h.stage]
	if h.stage == starting {
		text += h.waits
	}
	return text
}

// watch adds a probe. Probes are added before the node serves.
func (h *health) watch(name string, reason func() string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.probes = append(h.probes, probe{name, reason})
}

// Started reports whether the node has ever served.
func (h *health) Started() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stage >= serving
}

// Checks are the stage of life and the probes.
func (h *health) Checks() []admin.Check {
	h.mu.Lock()
	checks := []admin.Check{{Name: "node", Reason: h.reason()}}
	probes := h.probes
	h.mu.Unlock()
	for _, p := range probes {
		checks = append(checks, admin.Check{Name: p.name, Reason: p.reason()})
	}
	return checks
}
