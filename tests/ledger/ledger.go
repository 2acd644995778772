package ledger

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
)

// message is what the ledger knows of one message.
type message struct {
	queue       string
	sent, came  time.Time // came: the last time
	settled     time.Time // when its ACK was receipted
	transaction string    // it was sent in, or empty
	light       bool      // not persistent
	lane        string    // what has an order: empty is the producer
	receipted   bool
	deliveries  int
	ackSent     bool
	refused     bool
	acked       bool // the ACK was receipted
}

// transaction is what the ledger knows of one.
type transaction struct {
	members   []string
	committed bool // the COMMIT was receipted
}

// Ledger writes down what was promised and what came. Messages are named
// "producer/number", or "producer/number#copy" by those that send a message again if it was not
// receipted: each copy is a message of its own here, so that what comes twice was doubled by a node. Its methods may be called from any goroutine.
type Ledger struct {
	mu           sync.Mutex
	messages     map[string]*message
	transactions map[string]*transaction
	wrong        []string
	told         int // of wrong, before the verdict
	// progress counts receipts of all kinds.
	progress            int
	Refusals            int
	Duplicates, Flagged int
	arrived             map[string]bool // "producer/number" of any copy
	// Of non-persistent messages: duplicates, those of them that were marked, and deliveries although the ACK was receipted.
	lightDuplicates, lightFlagged, lightAgain int
	copies, doubly                            int // copies after the first that were sent; that came although another one had come
	// Late counts non-persistent messages that came for the first time behind later ones.
	Late int
	// Unflagged are duplicates that came without being marked redelivered.
	Unflagged []string
	// PowerCut: what has no receipt may go with the kernel's memory, also if somebody has it. Set before work begins.
	PowerCut bool
}

// New makes an empty one.
func New() *Ledger {
	return &Ledger{messages: map[string]*message{}, transactions: map[string]*transaction{}, arrived: map[string]bool{}}
}

// Fault writes down that something is wrong.
func (l *Ledger) Fault(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault(format, v...)
}

// mostFaults bounds what is told of the time before the verdict, and again of that.
const mostFaults = 50

func (l *Ledger) fault(format string, v ...any) {
	if len(l.wrong) < l.told+mostFaults {
		l.wrong = append(l.wrong, fmt.Sprintf(format, v...))
	}
}

// Sent takes a message that is about to be sent, in a transaction unless tx is empty.
func (l *Ledger) Sent(name, queue, tx string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages[name] = &message{queue: queue, sent: time.Now(), transaction: tx}
	if tx != "" {
		t := l.transactions[tx]
		if t == nil {
			t = &transaction{}
			l.transactions[tx] = t
		}
		t.members = append(t.members, name)
	}
}

// SentLight takes a non-persistent message that is about to be sent. It may be lost with the node that keeps it, and
// that is counted. Then nobody can know either that it was acknowledged. An owner that is cut off or stands still may keep it, with its receipt, until it
// is found again: so what comes late is counted as well, within a lane, which is what its producer sends to one node.
func (l *Ledger) SentLight(name, queue, lane string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages[name] = &message{queue: queue, sent: time.Now(), light: true, lane: lane}
}

// Receipt takes the id of a receipt: "send name", "commit tx" or "ack name".
func (l *Ledger) Receipt(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress++
	switch what, name, _ := strings.Cut(id, " "); what {
	case "send":
		l.messages[name].receipted = true
	case "commit":
		t := l.transactions[name]
		t.committed = true
		for _, m := range t.members {
			l.messages[m].receipted = true
		}
	case "ack":
		l.messages[name].acked, l.messages[name].settled = true, time.Now()
	default:
		l.fault("a receipt for nothing: %q", id)
	}
}

// Delivered takes a delivery.
func (l *Ledger) Delivered(name, queue string, redelivered bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.messages[name]
	switch {
	case m == nil:
		l.fault("%s was never sent", name)
		return
	case m.queue != queue:
		l.fault("%s came from %s and was sent to %s", name, queue, m.queue)
	case m.refused:
		l.fault("%s was refused and came all the same", name)
	case m.acked && m.light:
		l.lightAgain++
	case m.acked:
		l.fault("%s from %s, sent at %s, delivered at %s, came back at %s after its ACK was receipted at %s (redelivered %v)",
			name, queue, m.sent.Format(timeOfDay), m.came.Format(timeOfDay), time.Now().Format(timeOfDay), m.settled.Format(timeOfDay), redelivered)
	}
	if m.deliveries > 0 && m.light {
		l.lightDuplicates++
		if redelivered {
			l.lightFlagged++
		}
	} else if m.deliveries > 0 {
		l.Duplicates++
		if redelivered {
			l.Flagged++
		} else {
			l.Unflagged = append(l.Unflagged, fmt.Sprintf("%s from %s, delivered at %s and %s", name, queue, m.came.Format(timeOfDay), time.Now().Format(timeOfDay)))
		}
	}
	m.deliveries++
	m.came = time.Now()
}

// arrives reports whether a message comes for the first time, whichever copy, when the first was sent, and in which lane this one.
func (l *Ledger) arrives(name string) (sent time.Time, lane string, first bool) {
	original, _, _ := strings.Cut(name, "#")
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := l.messages[original+"#1"]; m != nil {
		sent = m.sent
	}
	if l.arrived[original] {
		if m := l.messages[name]; m != nil && m.deliveries == 1 {
			l.doubly++
		}
		return sent, "", false
	}
	l.arrived[original] = true
	if m := l.messages[name]; m != nil {
		lane = m.lane
	}
	return sent, lane, true
}

// Doubled is how many duplicates of persistent messages came so far.
func (l *Ledger) Doubled() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Duplicates
}

// late counts a non-persistent message.
func (l *Ledger) late() {
	l.mu.Lock()
	l.Late++
	l.mu.Unlock()
}

// again counts a copy.
func (l *Ledger) again() {
	l.mu.Lock()
	l.copies++
	l.mu.Unlock()
}

// Refuse takes an ERROR for a message; false if it speaks of none or says nothing.
func (l *Ledger) Refuse(f raw.Frame) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	name, ok := strings.CutPrefix(f.Get("receipt-id"), "send ")
	m := l.messages[name]
	if !ok || m == nil || f.Get("message") == "" {
		return false
	}
	m.refused = true
	l.Refusals++
	return true
}

// Acking takes a message whose ACK is about to be sent.
func (l *Ledger) Acking(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := l.messages[name]; m != nil {
		m.ackSent = true
	}
}

// Count is how many receipts of all kinds came.
func (l *Ledger) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.progress
}

// timeOfDay is how times are told, to be found in logs.
const timeOfDay = "15:04:05.000"

// Close holds the books against the promises, after everything was drained.
func (l *Ledger) Close(t *testing.T) {
	t.Helper()
	for _, w := range l.Verdict(t.Logf) {
		t.Error(w)
	}
}

// Verdict is what is wrong, after everything was drained. It logs the figures.
func (l *Ledger) Verdict(logf func(string, ...any)) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = len(l.wrong) // which must not hide losses
	receipted, maybe, light, lost := 0, 0, 0, 0
	for _, name := range slices.Sorted(maps.Keys(l.messages)) {
		m := l.messages[name]
		switch {
		case m.light && m.receipted:
			if light++; m.deliveries == 0 {
				lost++
			}
		case m.light:
		case m.receipted && m.deliveries == 0:
			l.fault("%s to %s, sent at %s, was receipted and never came", name, m.queue, m.sent.Format(timeOfDay))
		case l.PowerCut && !m.receipted && m.deliveries > 0 && !m.ackSent:
		case (m.receipted || m.deliveries > 0) && !m.ackSent:
			l.fault("%s to %s, sent at %s, was delivered %d times, never acknowledged, and is gone", name, m.queue, m.sent.Format(timeOfDay), m.deliveries)
		case m.receipted:
			receipted++
		case m.deliveries > 0:
			maybe++
		}
	}
	torn, committed := 0, 0
	for id, tx := range l.transactions {
		came := 0
		for _, name := range tx.members {
			if l.messages[name].deliveries > 0 {
				came++
			}
		}
		if came != 0 && came != len(tx.members) {
			torn++
			l.fault("transaction %s is torn: %d of %d came, committed %v", id, came, len(tx.members), tx.committed)
		}
		if tx.committed {
			committed++
		}
	}
	logf("%d messages receipted and delivered, %d delivered without a receipt; %d of %d transactions receipted, %d torn; %d duplicates, %d of them flagged redelivered",
		receipted, maybe, committed, len(l.transactions), torn, l.Duplicates, l.Flagged)
	if light > 0 {
		logf("%d non-persistent messages receipted, of which %d were lost and %d came again after their ACK; %d duplicates, %d of them flagged redelivered; %d came late",
			light, lost, l.lightAgain, l.lightDuplicates, l.lightFlagged, l.Late)
	}
	if l.copies > 0 {
		logf("clients sent %d messages again, of which %d came twice for that", l.copies, l.doubly)
	}
	if receipted == 0 {
		l.fault("nothing was receipted: the test tested nothing")
	}
	return l.wrong
}

// refuse notes that copies of messages were refused.
func (l *Ledger) refuse(names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range names {
		if m := l.messages[name]; m != nil {
			m.refused = true
		}
	}
	l.Refusals++
}

// Undrained are receipted messages that nobody has acknowledged for sure.
func (l *Ledger) Undrained() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.messages {
		if m.receipted && !m.acked {
			n++
		}
	}
	return n
}

// NameOf is the name and the number in a body.
func NameOf(body string) (name, producer string, number int) {
	name, _, _ = strings.Cut(body, " ")
	producer, text, _ := strings.Cut(name, "/")
	text, _, _ = strings.Cut(text, "#") // the number of the copy
	number, _ = strconv.Atoi(text)
	return name, producer, number
}
