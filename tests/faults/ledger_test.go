package faults

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
)

// message is what the ledger knows of one message.
type message struct {
	queue       string
	transaction string // it was sent in, or empty
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

// ledger writes down what was promised and what came. Messages are named
// "producer/number". Its methods may be called from any goroutine.
type ledger struct {
	mu           sync.Mutex
	messages     map[string]*message
	transactions map[string]*transaction
	wrong        []string
	// progress counts receipts of all kinds.
	progress            int
	refusals            int
	duplicates, flagged int
	// unflagged are duplicates that came without being marked redelivered.
	unflagged []string
}

func newLedger() *ledger {
	return &ledger{messages: map[string]*message{}, transactions: map[string]*transaction{}}
}

func (l *ledger) fault(format string, v ...any) {
	if len(l.wrong) < 50 {
		l.wrong = append(l.wrong, fmt.Sprintf(format, v...))
	}
}

func (l *ledger) sent(name, queue, tx string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages[name] = &message{queue: queue, transaction: tx}
	if tx != "" {
		t := l.transactions[tx]
		if t == nil {
			t = &transaction{}
			l.transactions[tx] = t
		}
		t.members = append(t.members, name)
	}
}

// receipt takes the id of a receipt: "send name", "commit tx" or "ack name".
func (l *ledger) receipt(id string) {
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
		l.messages[name].acked = true
	default:
		l.fault("a receipt for nothing: %q", id)
	}
}

// delivered takes a delivery.
func (l *ledger) delivered(name, queue string, redelivered bool) {
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
	case m.acked:
		l.fault("%s came back after its ACK was receipted (redelivered %v)", name, redelivered)
	}
	if m.deliveries > 0 {
		l.duplicates++
		if redelivered {
			l.flagged++
		} else {
			l.unflagged = append(l.unflagged, name)
		}
	}
	m.deliveries++
}

// refuse takes an ERROR for a message; false if it speaks of none or says nothing.
func (l *ledger) refuse(f raw.Frame) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	name, ok := strings.CutPrefix(f.Get("receipt-id"), "send ")
	m := l.messages[name]
	if !ok || m == nil || f.Get("message") == "" {
		return false
	}
	m.refused = true
	l.refusals++
	return true
}

func (l *ledger) acking(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := l.messages[name]; m != nil {
		m.ackSent = true
	}
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.progress
}

// close holds the books against the promises, after everything was drained.
func (l *ledger) close(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	receipted, maybe := 0, 0
	for _, name := range slices.Sorted(maps.Keys(l.messages)) {
		m := l.messages[name]
		switch {
		case m.receipted && m.deliveries == 0:
			l.fault("%s was receipted and never came", name)
		case (m.receipted || m.deliveries > 0) && !m.ackSent:
			l.fault("%s was delivered %d times, never acknowledged, and is gone", name, m.deliveries)
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
	t.Logf("%d messages receipted and delivered, %d delivered without a receipt; %d of %d transactions receipted, %d torn; %d duplicates, %d of them flagged redelivered",
		receipted, maybe, committed, len(l.transactions), torn, l.duplicates, l.flagged)
	for _, w := range l.wrong {
		t.Error(w)
	}
	if receipted == 0 {
		t.Error("nothing was receipted: the test tested nothing")
	}
}

// undrained are receipted messages that nobody has acknowledged for sure.
func (l *ledger) undrained() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.messages {
		if m.receipted && !m.acked {
			n++
		}
	}
	return n
}

// nameOf is the name and the number in a body.
func nameOf(body string) (name, producer string, number int) {
	name, _, _ = strings.Cut(body, " ")
	producer, text, _ := strings.Cut(name, "/")
	number, _ = strconv.Atoi(text)
	return name, producer, number
}
