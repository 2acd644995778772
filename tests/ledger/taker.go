package ledger

import (
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
)

// Taker is a consumer that fails over. It acknowledges with receipts, Lag messages late. Fill in the exported fields, and call
// Run in a goroutine. No other consumer may be on its queue, or what it says of the order counts for nothing.
type Taker struct {
	Queue  string
	Home   int // the node that it connects to first
	Lag    int
	Drops  int // it drops its connection once in so many deliveries; 0 never
	Rnd    *rand.Rand
	Dialer *Dialer
	// Stop is the message behind all others: when it is acknowledged, the taker is done.
	Stop string
	// Over ends it at once.
	Over <-chan struct{}

	node        atomic.Int32
	deliveries  atomic.Int64
	connections atomic.Int64
}

// Deliveries is how many messages came so far.
func (k *Taker) Deliveries() int { return int(k.deliveries.Load()) }

// Node is the one that it is connected to.
func (k *Taker) Node() int { return int(k.node.Load()) }

// Connections is how many it has had.
func (k *Taker) Connections() int { return int(k.connections.Load()) }

// Run takes messages until Stop.
func (k *Taker) Run(l *Ledger) {
	at, stopping := k.Home, false
	for {
		c, node := k.Dialer.connect(at, k.Over)
		if c == nil {
			return
		}
		k.node.Store(int32(node))
		k.connections.Add(1)
		v := visit{Taker: k, c: c, l: l, stopping: stopping}
		v.order = order{queue: k.Queue, connections: k.Connections(), began: time.Now(), last: map[string]int{}}
		done := v.serve()
		_ = c.Conn().Close()
		if done {
			return
		}
		stopping = v.stopping
		at = node + 1
	}
}

// visit is one connection of a taker.
type visit struct {
	*Taker
	c        *raw.Client
	l        *Ledger
	unacked  []handed
	owed     []time.Time // since when receipts of ACKs have been
	order    order
	stopping bool
	heard    time.Time
}

// order is what a connection says of the order of a queue.
type order struct {
	queue       string
	connections int // that the taker has had
	began       time.Time
	last        map[string]int // the highest number of each producer
}

// take takes a delivery.
func (o *order) take(l *Ledger, name, who string, number int, flagged bool) {
	l.Delivered(name, o.queue, flagged)
	sent, lane, first := l.arrives(name)
	if !first {
		return
	}
	if lane != "" {
		who = lane
	}
	// What an earlier connection had, or was to have, comes back in its old place, when that is noticed.
	foreign := o.connections > 1 && sent.Before(o.began.Add(noticed))
	if late := number <= o.last[who] && !foreign; late && lane != "" {
		l.late()
	} else if late {
		l.Fault("%s: %s, sent at %s, came at %s for the first time, after %s/%d, on connection %d of %s (redelivered %v)", o.queue, name, sent.Format(timeOfDay),
			time.Now().Format(timeOfDay), who, o.last[who], o.connections, o.began.Format(timeOfDay), flagged)
	}
	o.last[who] = max(o.last[who], number)
}

// noticed is how long it takes at most until a node knows that a consumer is gone.
const noticed = 10 * time.Second

type handed struct{ name, ack string }

func (v *visit) serve() (done bool) {
	v.c.Send("SUBSCRIBE", "", "destination:/queue/"+v.Queue, "id:1", "ack:client-individual", "activemq.prefetchSize:200")
	v.heard = time.Now()
	for {
		select {
		case <-v.Over:
			return true
		default:
		}
		f, ok, err := next(v.c)
		switch {
		case err != nil:
			return false
		case !ok:
			if len(v.owed) > 0 && time.Since(v.owed[0]) > v.Dialer.Bound {
				return false
			}
			// The last message was acknowledged over another connection, so it need not come again.
			if v.stopping && len(v.owed) == 0 && time.Since(v.heard) > v.Dialer.Bound {
				return true
			}
			continue
		}
		v.heard = time.Now()
		switch f.Command {
		case "RECEIPT":
			v.l.Receipt(f.Get("receipt-id"))
			v.owed = v.owed[1:]
			if v.stopping && len(v.owed) == 0 {
				return true
			}
		case "MESSAGE":
			v.take(f)
			if drops(v.Rnd, v.Drops) {
				return false
			}
		default:
			v.l.Fault("taker of %s got %v", v.Queue, f)
			return false
		}
	}
}

// take takes a delivery.
func (v *visit) take(f raw.Frame) {
	v.deliveries.Add(1)
	name, who, number := NameOf(f.Body)
	flagged := f.Get("redelivered") == "true"
	v.order.take(v.l, name, who, number, flagged)
	v.unacked = append(v.unacked, handed{name, f.Get("ack")})
	original, _, _ := strings.Cut(name, "#")
	v.stopping = v.stopping || original == v.Stop
	for len(v.unacked) > v.Lag || v.stopping && len(v.unacked) > 0 {
		m := v.unacked[0]
		v.l.Acking(m.name)
		v.c.Send("ACK", "", "id:"+m.ack, "receipt:ack "+m.name)
		v.unacked, v.owed = v.unacked[1:], append(v.owed, time.Now())
	}
}
