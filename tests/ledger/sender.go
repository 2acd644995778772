package ledger

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
)

// Sender is a producer that fails over: when its connection breaks, or a receipt takes too long, it connects to
// another node and sends what was not receipted again, in order, as further copies. Fill in the exported
// fields, and call Run in a goroutine.
type Sender struct {
	Name      string
	Home      int           // the node that it connects to first
	Window    int           // how many messages or transactions may be without a receipt
	Parts     int           // how many messages a transaction has; 0 sends without transactions
	Pace      time.Duration // between a receipt and the next message
	Size      int           // of bodies; 0 is a mixture of small ones
	Drops     int           // it drops its connection once in so many receipts; 0 never
	Most      int           // it sends no more than that; 0 is no limit
	Lives     time.Duration // its messages expire after that; 0 is never
	Light     bool          // its messages are not persistent
	Refusable bool          // what it is told with an ERROR is not sent is given up
	Queues    []string
	Rnd       *rand.Rand
	Dialer    *Dialer
	Over      <-chan struct{} // closed when it shall send nothing new

	next        int // of numbers
	connections int
	txs         int
	pending     []*offer

	mu       sync.Mutex
	node     int
	last     time.Time // of receipts
	gap      time.Duration
	latency  time.Duration
	broken   bool
	receipts int
}

// offer is a message or a transaction that has no receipt.
type offer struct {
	names  []string // without the number of the copy
	queues []string
	tx     string
	copy   int
	sent   time.Time
}

// id is the id of the receipt that an offer waits for.
func (o *offer) id() string {
	if o.tx != "" {
		return fmt.Sprintf("commit %s#%d", o.tx, o.copy)
	}
	return fmt.Sprintf("send %s#%d", o.names[0], o.copy)
}

// Run sends until Over, and then until everything is receipted.
func (s *Sender) Run(l *Ledger) {
	at := s.Home
	s.mu.Lock()
	s.last = time.Now()
	s.mu.Unlock()
	never := make(chan struct{})
	for {
		c, node := s.Dialer.connect(at, never)
		s.mu.Lock()
		s.node = node
		s.mu.Unlock()
		s.connections++
		done := s.serve(c, l)
		_ = c.Conn().Close()
		if done {
			return
		}
		s.mu.Lock()
		s.broken = true
		s.mu.Unlock()
		at = node + 1
	}
}

// serve has one connection, and reports whether the work is done.
func (s *Sender) serve(c *raw.Client, l *Ledger) (done bool) {
	for _, o := range s.pending {
		s.offer(c, l, o)
	}
	for {
		for len(s.pending) < s.Window && !s.over() {
			o := s.fresh()
			s.pending = append(s.pending, o)
			s.offer(c, l, o)
		}
		if len(s.pending) == 0 {
			return true
		}
		f, ok, err := next(c)
		switch {
		case err != nil:
			return false
		case !ok:
			if time.Since(s.pending[0].sent) > s.Dialer.Bound {
				return false
			}
			continue
		case f.Command == "ERROR" && s.Refusable && s.refused(f.Get("receipt-id"), l):
			time.Sleep(refusedPause)
			continue
		case f.Command != "RECEIPT":
			l.Fault("sender %s got %v", s.Name, f)
			return false
		}
		s.receipted(f.Get("receipt-id"), l)
		if drops(s.Rnd, s.Drops) {
			return false
		}
		if s.Pace > 0 {
			time.Sleep(s.Pace) // what makes it a slow sender
		}
	}
}

func (s *Sender) over() bool {
	if s.Most > 0 && s.next >= s.Most {
		return true
	}
	select {
	case <-s.Over:
		return true
	default:
		return false
	}
}

func (s *Sender) receipted(id string, l *Ledger) {
	at := slices.IndexFunc(s.pending, func(o *offer) bool { return o.id() == id })
	if at < 0 {
		l.Fault("sender %s got a receipt for %q", s.Name, id)
		return
	}
	l.Receipt(id)
	now := time.Now()
	s.mu.Lock()
	s.gap = max(s.gap, now.Sub(s.last))
	s.latency = max(s.latency, now.Sub(s.pending[at].sent))
	s.last = now
	s.receipts++
	s.mu.Unlock()
	s.pending = slices.Delete(s.pending, at, at+1)
}

// refusedPause keeps a sender that is refused from doing nothing else than that.
const refusedPause = 5 * time.Millisecond

// refused gives an offer up, and reports whether there is one.
func (s *Sender) refused(id string, l *Ledger) bool {
	at := slices.IndexFunc(s.pending, func(o *offer) bool { return o.id() == id })
	if at < 0 {
		return false
	}
	o := s.pending[at]
	names := make([]string, len(o.names))
	for i, name := range o.names {
		names[i] = fmt.Sprintf("%s#%d", name, o.copy)
	}
	l.refuse(names)
	s.pending = slices.Delete(s.pending, at, at+1)
	return true
}

// fresh makes up the next message or transaction.
func (s *Sender) fresh() *offer {
	o := &offer{}
	first := s.Rnd.IntN(len(s.Queues))
	for i := range max(s.Parts, 1) {
		s.next++
		o.names = append(o.names, fmt.Sprintf("%s/%d", s.Name, s.next))
		o.queues = append(o.queues, s.Queues[(first+i)%len(s.Queues)])
	}
	if s.Parts > 0 {
		s.txs++
		o.tx = fmt.Sprintf("%s-tx%d", s.Name, s.txs)
	}
	return o
}

// offer sends another copy.
func (s *Sender) offer(c *raw.Client, l *Ledger, o *offer) {
	o.copy++
	o.sent = time.Now()
	if o.copy > 1 {
		l.again()
	}
	var all strings.Builder
	tx := ""
	if o.tx != "" {
		tx = fmt.Sprintf("%s#%d", o.tx, o.copy)
		all.WriteString(raw.Text("BEGIN", "", "transaction:"+tx))
	}
	for i, name := range o.names {
		name = fmt.Sprintf("%s#%d", name, o.copy)
		if s.Light {
			l.SentLight(name, o.queues[i], fmt.Sprintf("%s over connection %d", s.Name, s.connections))
		} else {
			l.Sent(name, o.queues[i], tx)
		}
		headers := []string{"destination:/queue/" + o.queues[i], fmt.Sprintf("persistent:%v", !s.Light)}
		if s.Lives > 0 {
			headers = append(headers, fmt.Sprintf("expires:%d", time.Now().Add(s.Lives).UnixMilli()))
		}
		if tx != "" {
			headers = append(headers, "transaction:"+tx)
		} else {
			headers = append(headers, "receipt:"+o.id())
		}
		all.WriteString(raw.Text("SEND", s.body(name), headers...))
	}
	if tx != "" {
		all.WriteString(raw.Text("COMMIT", "", "transaction:"+tx, "receipt:"+o.id()))
	}
	_ = c.Write(all.String()) // a broken connection shows when it is read
}

func (s *Sender) body(name string) string {
	size := s.Size
	if size == 0 {
		size = s.Rnd.IntN(600)
	}
	return name + " " + strings.Repeat(".", size)
}

// Mark begins a new measurement.
func (s *Sender) Mark() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gap, s.latency, s.broken, s.receipts = 0, 0, false, 0
}

// Pauses is what was measured since Mark.
type Pauses struct {
	Node     int           // that it is connected to
	Receipts int           // that came
	Gap      time.Duration // the longest time without one, up to the last
	Latency  time.Duration // of the slowest
	Broken   bool          // the connection broke meanwhile
}

// Pauses tells what was measured since Mark.
func (s *Sender) Pauses() Pauses {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Pauses{s.node, s.receipts, s.gap, s.latency, s.broken}
}
