package nats_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// churn counts what workers were promised.
type churn struct {
	mu        sync.Mutex
	confirmed map[string]int
}

func (c *churn) note(body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.confirmed[string(body)]++
}

func (c *churn) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.confirmed)
}

// work is the life of one worker: it asks in some way, does something with what it gets, and leaves, seldom politely.
func (h *house) work(c *churn, dice *rand.Rand) error {
	nc, err := natsgo.Connect("nats://in-process", natsgo.InProcessServer(h.server))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	within, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	name := []string{"one", "two", "three"}[dice.IntN(3)]
	consumer, err := js.CreateOrUpdateConsumer(within, "QUEUES", jetstream.ConsumerConfig{
		Durable: name, FilterSubject: "queue.a", AckWait: 50*time.Millisecond + time.Hour*time.Duration(dice.IntN(2)), MaxAckPending: 40,
	})
	if err != nil {
		return err
	}
	for range dice.IntN(6) {
		b, err := consumer.Fetch(1+dice.IntN(20), jetstream.FetchMaxWait(20*time.Millisecond))
		switch dice.IntN(5) {
		case 0:
			b, err = consumer.FetchNoWait(1 + dice.IntN(20))
		case 1:
			b, err = consumer.FetchBytes(1+dice.IntN(2000), jetstream.FetchMaxWait(20*time.Millisecond))
		}
		if err != nil {
			return err
		}
		for m := range b.Messages() {
			switch dice.IntN(8) {
			case 0: // forgotten
			case 1:
				err = m.Nak()
			case 2:
				err = m.NakWithDelay(time.Duration(dice.IntN(5)) * time.Millisecond)
			case 3:
				err = m.InProgress()
			default:
				if err = m.DoubleAck(within); err == nil {
					c.note(m.Data())
				} else if errors.Is(err, natsgo.ErrNoResponders) { // it took too long
					err = nil
				}
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Workers come, ask in all ways, and leave with messages in their hands. In the end every message
// was confirmed to one of them, once, and nothing of them is left.
func TestWorkersComeAndGo(t *testing.T) {
	const n, most = 1500, 8
	h := newHouse(t, options{})
	h.fill("a", n)
	c := &churn{confirmed: map[string]int{}}
	var all sync.WaitGroup
	deadline := time.Now().Add(2 * patience)
	for i := range most {
		all.Go(func() {
			dice := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(i)))
			for c.count() < n && time.Now().Before(deadline) {
				if err := h.work(c, dice); err != nil {
					t.Errorf("a worker failed: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
	h.settled("a", 0, 0)
	require.Len(t, c.confirmed, n)
	for i := range n {
		require.Equal(t, 1, c.confirmed[strconv.Itoa(i)], "message %d", i)
	}
	require.Eventually(t, func() bool { return h.broker.Stats().Subscriptions == 1 }, patience, time.Millisecond, "only the door's own is left")
	for name, waiting := range h.infos() {
		require.Zero(t, waiting, name)
	}
}
