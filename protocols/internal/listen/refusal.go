package listen

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"time"
)

const (
	// refusals is how many connections may be told at once that there is no
	// room; the rest are closed without a word, so that a flood stays cheap.
	refusals = 16
	// refusalsTLS is the same for those that need a handshake to hear it.
	refusalsTLS   = 2
	refusalPeriod = time.Second
	// refusalDrain is how much of what a refused client sends is read and thrown
	// away: closing with unread bytes would reset the connection and take
	// the words of refusal with it.
	refusalDrain = 64 << 10
)

const (
	wordsLimit   = "Too many connections: this node takes no more"
	wordsAddress = "Too many connections from this address have not logged in"
	wordsStorm   = "Too many clients are connecting at once: try again later"
	wordsTLS     = "this port speaks TLS"
	wordsNoTLS   = "this port does not speak TLS"
)

// refuse tells a connection for which there is no room, unless too many are being told already. It does not wait.
func (l *Listener) refuse(s *socket, viaProxy bool, why string) {
	if l.cfg.Refuse == nil || viaProxy && s.tls || !l.mayTell(s) {
		// A proxy's header would have to be read before a handshake; that is too much for a word.
		_ = s.Close()
		return
	}
	l.done.Go(func() {
		defer l.toldIt(s)
		defer s.Close()
		defer l.survive(s)
		l.say(s, why)
	})
}

// tell is refuse in the connection's own goroutine; the caller closes.
func (l *Listener) tell(s *socket, why string) {
	if l.cfg.Refuse != nil && l.mayTell(s) {
		defer l.toldIt(s)
		l.say(s, why)
	}
}

func (l *Listener) tellers(s *socket) chan struct{} {
	if s.tls {
		return l.toldTLS
	}
	return l.told
}

// mayTell reports whether there is a place among those that are being told.
func (l *Listener) mayTell(s *socket) bool {
	select {
	case l.tellers(s) <- struct{}{}:
		return true
	default:
		return false
	}
}

// toldIt ends what mayTell began.
func (l *Listener) toldIt(s *socket) { <-l.tellers(s) }

// say has the door say why, and lets the client read it. Clients of a TLS port hear it within TLS.
func (l *Listener) say(s *socket, why string) {
	_ = s.SetDeadline(time.Now().Add(refusalPeriod))
	if !s.tls {
		l.cfg.Refuse(s, why)
		discard(s)
		return
	}
	t := tls.Server(s, l.cfg.TLS)
	if t.HandshakeContext(context.Background()) != nil {
		return
	}
	l.cfg.Refuse(t, why)
	_ = s.SetDeadline(time.Now().Add(refusalPeriod))
	_ = t.CloseWrite()
	discard(s)
}

// mismatch answers a client that speaks TLS to a plain port, or the other way round. It is called by whoever reads first.
func (l *Listener) mismatch(s *socket) {
	why, log := wordsNoTLS, "a client speaks TLS to a port without it"
	if s.tls {
		why, log = wordsTLS, "a client speaks no TLS to a port with it"
	}
	l.turnedAway(noteProtocol, &l.stats.Refused.Protocol, log, s.TCPConn.RemoteAddr(), nil)
	if l.cfg.Refuse == nil {
		return
	}
	_ = s.SetDeadline(time.Now().Add(refusalPeriod))
	l.cfg.Refuse(s.TCPConn, why)
	discard(s)
}

// The kinds of lines that strangers can have written into the log.
const (
	noteLimit = iota
	noteAddress
	noteStorm
	noteHandshake
	noteProxy
	noteProtocol
	noteUpgrade
	noteAccept
	lastNote
)

// notesEvery is how often a kind of line is logged at most: strangers write little into the log.
const notesEvery = time.Second

// note is when a kind of line may be written again.
type note struct {
	sync.Mutex
	next   time.Time
	silent int
}

// TurnedAway counts and logs, sparingly, a client that a door's transport turned away before the door saw it.
func (l *Listener) TurnedAway(what string, client net.Addr, err error) {
	l.turnedAway(noteUpgrade, &l.stats.Refused.Upgrade, what, client, err)
}

// turnedAway counts and logs a connection that is turned away.
func (l *Listener) turnedAway(kind int, figure *uint64, what string, client net.Addr, err error) {
	l.count(figure)
	l.note(kind, what, client, err)
}

func (l *Listener) note(kind int, what string, client net.Addr, err error) {
	with := []any{"address", l.tcp.Addr().String(), "remote", client.String()}
	if err != nil {
		with = append(with, "error", err)
	}
	l.sparingly(kind, slog.LevelInfo, "turned away: "+what, with...)
}

// sparingly logs a line of a kind, unless there was one a moment ago.
func (l *Listener) sparingly(kind int, level slog.Level, text string, with ...any) {
	n := &l.notes[kind]
	n.Lock()
	defer n.Unlock()
	now := l.cfg.Clock()
	if now.Before(n.next) {
		n.silent++
		return
	}
	if n.silent > 0 {
		with = append(with, "not_logged_before", n.silent)
	}
	l.cfg.Logger.Log(context.Background(), level, text, with...)
	n.next, n.silent = now.Add(notesEvery), 0
}
