package main

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
)

// pending is an append whose PubAck has not come: a message of a queue, or settlements.
type pending struct {
	q       *queue
	body    []byte
	settled []uint64
	size    int
}

// appender publishes to one stream without waiting and hears the PubAcks. Calls
// of append are stored in their order; acked is called in that order unless the
// server refuses one.
type appender struct {
	nc     *nats.Conn
	prefix string
	acked  func(p pending, seq uint64, err error)

	mu      sync.Mutex
	next    uint64 // number of the next append, the reply's last token
	waiting map[uint64]pending
	msg     nats.Msg
	fence   bool
	last    uint64 // fence: sequence that the next append must follow
	oldest  uint64 // fence and fast: first number without an answer
	fast    fastBatch
	subject string // fast: of the last append
}

func newAppender(nc *nats.Conn, acked func(pending, uint64, error)) (*appender, error) {
	a := &appender{nc: nc, prefix: nats.NewInbox() + ".", acked: acked, waiting: map[uint64]pending{}}
	sub, err := nc.Subscribe(a.prefix+"*", a.ack)
	if err != nil {
		return nil, err
	}
	return a, sub.SetPendingLimits(-1, -1)
}

// append publishes one record.
func (a *appender) append(subject string, body []byte, p pending) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting[a.next] = p
	a.msg = nats.Msg{Subject: subject, Data: body}
	switch {
	case a.fast.on:
		a.msg.Reply, a.subject = a.fastReply(fastAppend), subject
	default:
		a.msg.Reply = a.prefix + strconv.FormatUint(a.next, 10)
	}
	if a.fence {
		a.msg.Header = nats.Header{"Nats-Expected-Last-Sequence": {strconv.FormatUint(a.last, 10)}}
		a.last++
	}
	a.next++
	return a.nc.PublishMsg(&a.msg)
}

func (a *appender) ack(m *nats.Msg) {
	token, err := strconv.ParseUint(m.Subject[len(a.prefix):], 10, 64)
	if err != nil {
		return
	}
	seq, err := parseAck(m.Data)
	a.mu.Lock()
	p, ok := a.waiting[token]
	delete(a.waiting, token)
	var implied []pending
	if a.fence && err == nil {
		// The server took this one behind its predecessors: they are stored too,
		// although their PubAcks died with the leader that stored them.
		for ; a.oldest < token; a.oldest++ {
			if w, ok := a.waiting[a.oldest]; ok {
				implied = append(implied, w)
				delete(a.waiting, a.oldest)
			}
		}
	}
	a.mu.Unlock()
	for i, w := range implied {
		a.acked(w, seq-uint64(len(implied)-i), nil)
	}
	if ok {
		a.acked(p, seq, err)
	}
}

// parseAck reads the sequence of {"stream":"X","seq":N,...} without decoding the rest.
func parseAck(b []byte) (uint64, error) {
	i := bytes.Index(b, []byte(`"seq":`))
	if i < 0 || bytes.Contains(b, []byte(`"error"`)) {
		return 0, fmt.Errorf("append refused: %s", b)
	}
	var n uint64
	for _, c := range bytes.TrimLeft(b[i+6:], " ") {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + uint64(c-'0')
	}
	return n, nil
}
