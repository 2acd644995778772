package nats

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
)

// named is how many addresses of a user are said at the same time.
const named = 8

// whereabouts are the addresses of a user's connections. NATS does not say by which of them a message came, so that what the
// user's session does or must not do is said of all. Gate.mu guards it, but for text.
type whereabouts struct {
	ids     []uint64 // ascending with time
	remotes []string
	said    atomic.Pointer[string]
}

func (w *whereabouts) arrived(id uint64, remote string) {
	w.ids, w.remotes = append(w.ids, id), append(w.remotes, remote)
	w.say()
}

// departed forgets a connection. The last address stays: what was sent from there may still be on its way.
func (w *whereabouts) departed(id uint64) {
	i := slices.Index(w.ids, id)
	if i < 0 {
		return
	}
	w.ids, w.remotes = slices.Delete(w.ids, i, i+1), slices.Delete(w.remotes, i, i+1)
	if len(w.ids) > 0 {
		w.say()
	}
}

func (w *whereabouts) say() {
	text := strings.Join(w.remotes[:min(len(w.remotes), named)], ", ")
	if more := len(w.remotes) - named; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	w.said.Store(&text)
}

// text is "ip:port", or several. Any goroutine may call it.
func (w *whereabouts) text() string {
	if said := w.said.Load(); said != nil {
		return *said
	}
	return doorRemote
}
