package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Native is a queue for a NativeTaker. STOMP clients may send to it as well.
const Native = "faults.native"

// native connects to the node with that index or to one after it, until over.
func (d *Dialer) native(at int, over <-chan struct{}) (nc *nats.Conn, js jetstream.JetStream, node int) {
	for {
		nodes := d.Nodes()
		for i := range nodes {
			node = (at + i) % len(nodes)
			if nodes[node] == "" {
				continue
			}
			nc, err := nats.Connect("nats://"+nodes[node], nats.NoReconnect(), nats.Timeout(dialWithin))
			if err != nil {
				continue
			}
			if js, err := jetstream.New(nc); err == nil {
				return nc, js, node
			}
			nc.Close()
		}
		select {
		case <-over:
			return nil, nil, 0
		case <-time.After(50 * time.Millisecond): // as clients do that found nobody
		}
	}
}

// NativeSender is a producer that publishes with PubAcks, one message after another, and fails over as a Sender does. Fill in the
// exported fields, and call Run in a goroutine.
type NativeSender struct {
	Name   string
	Home   int
	Queues []string
	Pace   time.Duration
	Dialer *Dialer // with the addresses for native clients
	Over   <-chan struct{}

	number, copy int
	acked        atomic.Int64
}

// Acked is how many PubAcks came.
func (s *NativeSender) Acked() int { return int(s.acked.Load()) }

// Run publishes until Over, and then until everything is acknowledged.
func (s *NativeSender) Run(l *Ledger) {
	at := s.Home
	for {
		nc, js, node := s.Dialer.native(at, make(chan struct{}))
		done := s.serve(js, l)
		nc.Close()
		if done {
			return
		}
		at = node + 1
	}
}

func (s *NativeSender) serve(js jetstream.JetStream, l *Ledger) (done bool) {
	for {
		if s.copy == 0 { // the last one is acknowledged
			select {
			case <-s.Over:
				return true
			default:
			}
			s.number++
		}
		s.copy++
		if s.copy > 1 {
			l.again()
		}
		name, queue := fmt.Sprintf("%s/%d#%d", s.Name, s.number, s.copy), s.Queues[s.number%len(s.Queues)]
		l.Sent(name, queue, "")
		ctx, cancel := context.WithTimeout(context.Background(), s.Dialer.Bound)
		_, err := js.Publish(ctx, "queue."+queue, []byte(name+" "+strings.Repeat(".", s.number%300)))
		cancel()
		var refused *jetstream.APIError
		switch {
		case errors.As(err, &refused): // it says that it was not stored
			l.refuse([]string{name})
			time.Sleep(refusedPause)
			return false
		case err != nil:
			return false
		}
		l.Receipt("send " + name)
		s.acked.Add(1)
		s.copy = 0
		time.Sleep(s.Pace) // what makes it a slow sender
	}
}

// NativeTaker is a JetStream worker on the queue Native that confirms each message with a DoubleAck, and fails over. Fill in the exported
// fields, and call Run in a goroutine.
type NativeTaker struct {
	Home   int
	Dialer *Dialer // with the addresses for native clients
	Stop   string  // the message behind all others
	Over   <-chan struct{}

	deliveries  atomic.Int64
	connections int
	stopping    bool
}

// Deliveries is how many messages came so far.
func (k *NativeTaker) Deliveries() int { return int(k.deliveries.Load()) }

// Run takes messages until Stop.
func (k *NativeTaker) Run(l *Ledger) {
	at := k.Home
	for {
		nc, js, node := k.Dialer.native(at, k.Over)
		if nc == nil {
			return
		}
		k.connections++
		done := k.serve(js, l)
		nc.Close()
		if done {
			return
		}
		at = node + 1
	}
}

// patience is how long a NativeTaker asks for messages at a time.
const patience = 500 * time.Millisecond

func (k *NativeTaker) serve(js jetstream.JetStream, l *Ledger) (done bool) {
	ctx, cancel := context.WithTimeout(context.Background(), k.Dialer.Bound)
	defer cancel()
	consumer, err := js.CreateOrUpdateConsumer(ctx, "QUEUES", jetstream.ConsumerConfig{Durable: "faults", FilterSubject: "queue." + Native})
	if err != nil {
		return false
	}
	o := order{queue: Native, connections: k.connections, began: time.Now(), last: map[string]int{}}
	heard := time.Now()
	for {
		select {
		case <-k.Over:
			return true
		default:
		}
		if k.stopping && time.Since(heard) > k.Dialer.Bound {
			return true // the last one was acknowledged, and the answer was lost
		}
		asked := time.Now()
		batch, err := consumer.Fetch(50, jetstream.FetchMaxWait(patience))
		if err != nil {
			return false
		}
		for m := range batch.Messages() {
			heard, asked = time.Now(), time.Now()
			if stop, ok := k.take(m, &o, l); stop || !ok {
				return stop
			}
		}
		if time.Since(asked) > patience+patience/2 { // the client gave up by itself, and what is on its way to it comes again, as to another connection
			o.connections, o.began = o.connections+1, time.Now()
		}
		if err := batch.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) {
			return false
		}
	}
}

// take takes a message; stop: it was the last one. ok is false if the connection is of no use any more.
func (k *NativeTaker) take(m jetstream.Msg, o *order, l *Ledger) (stop, ok bool) {
	k.deliveries.Add(1)
	meta, err := m.Metadata()
	if err != nil {
		l.Fault("a native message without metadata: %v", err)
		return false, false
	}
	name, who, number := NameOf(string(m.Data()))
	o.take(l, name, who, number, meta.NumDelivered > 1)
	original, _, _ := strings.Cut(name, "#")
	k.stopping = k.stopping || original == k.Stop
	l.Acking(name)
	ctx, cancel := context.WithTimeout(context.Background(), k.Dialer.Bound)
	defer cancel()
	switch err := m.DoubleAck(ctx); {
	case err == nil:
		l.Receipt("ack " + name)
		return original == k.Stop, true
	case errors.Is(err, nats.ErrNoResponders): // the delivery is not known any more: it comes again
		return false, true
	}
	return false, false
}
