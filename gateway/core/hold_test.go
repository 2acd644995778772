package core_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// tapped is a store whose appends and loads a test may look at and delay.
type tapped struct {
	*gatewaytest.Memory
	append func(j gateway.Journal, r *gateway.Record, a gateway.Appended)
	trim   func()
	load   func(j gateway.Journal, queue string, seqs []uint64, done func([]*gateway.Message, error))
}

func (s *tapped) Journal(i int) gateway.Journal { return tappedJournal{s.Memory.Journal(i), s} }

type tappedJournal struct {
	gateway.Journal
	tap *tapped
}

func (j tappedJournal) Append(r *gateway.Record, a gateway.Appended) {
	if j.tap.append == nil {
		j.Journal.Append(r, a)
		return
	}
	j.tap.append(j.Journal, r, a)
}

func (j tappedJournal) Trim(seq uint64) {
	j.Journal.Trim(seq)
	if j.tap.trim != nil {
		j.tap.trim()
	}
}

func (j tappedJournal) Load(queue string, seqs []uint64, done func([]*gateway.Message, error)) {
	if j.tap.load == nil {
		j.Journal.Load(queue, seqs, done)
		return
	}
	j.tap.load(j.Journal, queue, seqs, done)
}

// tap makes a world whose store is tapped.
func tap(t *testing.T, change ...func(*core.Config)) (*world, *tapped) {
	w := &world{T: t, disk: gatewaytest.NewDisk(3)}
	w.store = gatewaytest.NewMemory(w.disk)
	s := &tapped{Memory: w.store}
	cfg := core.Config{
		Node: "n1", Store: s, Authenticator: gatewaytest.Everyone{}, Authorizer: gatewaytest.Everyone{},
		Logger: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	w.broker, err = core.New(context.Background(), cfg)
	require.NoError(t, err)
	t.Cleanup(w.stop)
	return w, s
}

// answered tells when an append was answered.
type answered struct {
	to   gateway.Appended
	done chan struct{}
}

func (a answered) Appended(seq uint64, err error) {
	a.to.Appended(seq, err)
	close(a.done)
}

// A transaction that was held back may be stored by another journal before the one
// that let it go has looked again: what is held behind both still goes one by one.
func TestWhatIsHeldBehindTwoCommitsKeepsItsOrder(t *testing.T) {
	w, store := tap(t)
	require.NotEqual(t, gateway.ShardOf("a", 3), gateway.ShardOf("b2", 3))
	third, fourth, second := make(chan struct{}), make(chan struct{}), make(chan struct{})
	store.append = func(j gateway.Journal, r *gateway.Record, a gateway.Appended) {
		if r.Message == nil || r.Message.Destination.Name != "b2" {
			j.Append(r, a)
			return
		}
		j.Append(r, answered{a, second})
		select { // as if this goroutine were slow from here on
		case <-second:
		case <-third:
		case <-time.After(time.Second): // it is the one that answers
		}
	}
	var mu sync.Mutex
	var order []string
	s := w.session()
	_, err := s.Subscribe(gateway.SubscribeOptions{
		Destination: topic("t"), Prefetch: 10, AutoAck: true, Wake: func() {},
		Match: func(m *gateway.Message) bool {
			if string(m.Body) == "3" {
				close(third)
				select { // as slow, and no slower
				case <-fourth:
				case <-second:
				case <-time.After(time.Second):
				}
			}
			mu.Lock()
			order = append(order, string(m.Body))
			mu.Unlock()
			if string(m.Body) == "4" {
				close(fourth)
			}
			return true
		},
	})
	require.NoError(t, err)
	var o outcome
	goOn := w.store.Stop()
	s.Commit(&gateway.Transaction{Sends: []*gateway.Message{message(queue("a"), "1", true)}}, &o, 1)
	s.Commit(&gateway.Transaction{Sends: []*gateway.Message{message(queue("b2"), "2", true)}}, &o, 2)
	s.Send(message(topic("t"), "3", false), &o, 3)
	s.Send(message(topic("t"), "4", false), &o, 4)
	goOn()
	for _, err := range o.wait(t, 4) {
		require.NoError(t, err)
	}
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, []string{"3", "4"}, order)
}
