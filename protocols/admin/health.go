package admin

import (
	"fmt"
	"net/http"
	"strings"
)

// Check is one condition of being in service, by a name that stays the same.
type Check struct {
	Name string
	// Reason is empty if the condition holds; else it says in words why not.
	Reason string
}

// Health is what the door asks about the node. Safe for concurrent use; must
// not block, since a load balancer gives up quickly.
type Health interface {
	// Started reports whether the start, with all its recovery, is over. It
	// never becomes false again.
	Started() bool
	// Checks are all conditions of being in service, always in the same order.
	// The node is in service if none has a reason.
	Checks() []Check
}

// live answers as long as the process can answer at all: a node that recovers
// or has no room must not be restarted for it.
func live(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "live\n") }

func (s *Server) startup(w http.ResponseWriter, _ *http.Request) {
	if s.cfg.Health.Started() {
		say(w, http.StatusOK, "started\n")
		return
	}
	say(w, http.StatusServiceUnavailable, "starting\n")
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	checks := s.cfg.Health.Checks()
	var reasons []string
	var lines strings.Builder
	for _, c := range checks {
		if c.Reason == "" {
			fmt.Fprintf(&lines, "[+] %s\n", c.Name)
			continue
		}
		fmt.Fprintf(&lines, "[-] %s: %s\n", c.Name, c.Reason)
		reasons = append(reasons, c.Name+": "+c.Reason)
	}
	if !r.URL.Query().Has("verbose") {
		lines.Reset()
	}
	if len(reasons) > 0 {
		say(w, http.StatusServiceUnavailable, lines.String()+"not ready: "+strings.Join(reasons, "; ")+"\n")
		return
	}
	say(w, http.StatusOK, lines.String()+"ready\n")
}

// say answers in plain words. Nothing here may be kept by a cache on the way.
func say(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}
