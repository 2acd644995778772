package nats

import (
	"time"

	"github.com/sluice-mq/sluice/protocols/nats/leaf"
)

const (
	// mostLoad is how many bytes a connection may have that it has not settled. The server closes connections
	// for which more than 64 MiB wait, and libraries drop what they cannot hold; both would have everything
	// come again and again, until it was delivered too often. One message more than this may be on its way.
	mostLoad = 16 << 20
	// lookEvery is how often the server is asked at most what still waits for a connection.
	lookEvery = 100 * time.Millisecond
)

// load is what is on its way to a connection or with it, in bytes. Guarded by workers.mu.
type load struct {
	held int
	// overdue was given back because its time was over, but may wait for the connection still.
	overdue int
	looked  time.Time // at what waits
	// leaf and place are those of the last message: until the server has taken it, it does not know what waits.
	leaf  *leaf.Conn
	place uint64
	// tight: a worker was granted less than it asked for.
	tight bool
}

func (l *load) bytes() int { return l.held + l.overdue }

func (l *load) full() bool { return l.bytes() >= mostLoad }

// fits is how many messages may be granted to a worker at most, as large as its last ones.
func (w *worker) fits() int {
	conn := w.connection
	if conn.load.overdue > 0 {
		conn.look(w.consumer.home)
	}
	n := 0
	if room := mostLoad - conn.load.bytes(); room > 0 {
		n = max(room/max(w.mean, 1), 1)
	}
	if n < w.wanted {
		conn.load.tight = true
	}
	return n
}

// look finds out how much of what is overdue has left the server.
func (conn *connection) look(home *workers) {
	now := home.cfg.Clock()
	onItsWay := conn.load.leaf == home.leaf && home.leaf != nil && home.leaf.Taken() < conn.load.place
	if onItsWay || now.Sub(conn.load.looked) < lookEvery {
		return
	}
	conn.load.looked = now
	conn.load.overdue = min(conn.load.overdue, home.cfg.Pending(conn.id))
}

// weigh notes a delivery's size, for what the next ones may be.
func (w *worker) weigh(d *delivery) {
	l := &w.connection.load
	l.held += d.size
	l.leaf, l.place = d.leaf, d.place
	if w.mean == 0 {
		w.mean = d.size
	} else {
		w.mean = (7*w.mean + d.size) / 8
	}
}

// relieve notes that a connection has settled something, or that its time was over.
func (conn *connection) relieve(size int, overdue bool) {
	conn.load.held -= size
	if overdue {
		conn.load.overdue += size
	}
	conn.relax()
}

// relax grants again when enough was settled.
func (conn *connection) relax() {
	if !conn.load.tight || conn.load.bytes() > mostLoad/2 {
		return
	}
	conn.load.tight = false
	for _, w := range conn.workers {
		w.fund()
		w.wake()
	}
}
