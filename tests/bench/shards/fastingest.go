package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// fastFlow is how many appends of a fast batch share one answer.
const fastFlow = 64

// Operations of a fast batch, the last but one token of its replies. A lull needs
// a commit: a ping only repeats the last answer.
const (
	fastStart  = 0
	fastAppend = 1
	fastCommit = 3 // without a message of its own
)

// fastBatch is the open batch of an appender.
type fastBatch struct {
	on     bool
	number int    // of the batch, its name
	first  uint64 // the appender's number of its first append
}

// startFast turns an appender to fast-ingest publishing, in which an answer
// covers everything before it. The journal must be empty, so that the appender's
// numbers are the stream's sequences less one.
func (a *appender) startFast() error {
	a.fast.on = true
	sub, err := a.nc.Subscribe(a.prefix+">", a.fastAck)
	if err != nil {
		return err
	}
	go a.commitLulls() // ends with the connection
	return sub.SetPendingLimits(-1, -1)
}

// fastReply is the reply subject of the next append. The lock is held.
func (a *appender) fastReply(op int) string {
	if op == fastAppend && a.next == a.fast.first {
		op = fastStart
	}
	return fmt.Sprintf("%s%d.%d.fail.%d.%d.$FI", a.prefix, a.fast.number, fastFlow, a.next-a.fast.first+1, op)
}

func (a *appender) fastAck(m *nats.Msg) {
	seq, err := parseAck(m.Data)
	if err != nil || bytes.Contains(m.Data, []byte(`"type":"gap"`)) {
		fmt.Fprintf(os.Stderr, "fast batch: %s\n", m.Data)
		os.Exit(1)
	}
	a.mu.Lock()
	if bytes.Contains(m.Data, []byte(`"type":"ack"`)) {
		name, _, _ := strings.Cut(m.Subject[len(a.prefix):], ".")
		if name != strconv.Itoa(a.fast.number) {
			a.mu.Unlock()
			return // its commit tells all
		}
		seq += a.fast.first
	}
	var done []pending
	first := a.oldest
	for ; a.oldest < seq; a.oldest++ {
		done = append(done, a.waiting[a.oldest])
		delete(a.waiting, a.oldest)
	}
	a.mu.Unlock()
	for i, p := range done {
		a.acked(p, first+uint64(i)+1, nil)
	}
}

// commitLulls ends the batch when answers stay out for a moment.
func (a *appender) commitLulls() {
	tick := time.NewTicker(500 * time.Microsecond)
	defer tick.Stop()
	for before := uint64(0); !a.nc.IsClosed(); <-tick.C {
		a.mu.Lock()
		waits, still := a.next > a.oldest && a.next > a.fast.first, a.oldest == before
		before = a.oldest
		if waits && still {
			_ = a.nc.PublishMsg(&nats.Msg{Subject: a.subject, Reply: a.fastReply(fastCommit)})
			a.fast.number, a.fast.first = a.fast.number+1, a.next
		}
		a.mu.Unlock()
	}
}
