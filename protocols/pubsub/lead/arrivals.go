package lead

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	// againAfter is how long nobody listens after a subscription ended, or could not be made.
	againAfter = 3 * time.Second
	openTime   = 30 * time.Second
	// heardBytes is how much of the messages that nobody looks at is taken at once.
	heardBytes = 1 << 20
)

// Arrivals has wake called whenever something may have come to a topic, until stop is called. wake does not block.
type Arrivals func(topic string, wake func()) (stop func())

// Listen returns Arrivals that hear of messages as a subscriber of their topics, on one session, which open opens: it needs to be somebody who may read all topics.
// Whenever they may have missed something they wake as well: so they do when nodes come or go, since what is published on one that has just come is not heard of elsewhere
// until it knows who subscribes there. nodes are those that there are, as Config of push has it; it may be nil.
func Listen(open func(context.Context) (gateway.Session, error), nodes func() []string) Arrivals {
	l := &listener{open: open, nodes: nodes, news: make(chan struct{})}
	return l.follow
}

// listener holds the session while anybody listens.
type listener struct {
	open  func(context.Context) (gateway.Session, error)
	nodes func() []string

	mu      sync.Mutex
	session gateway.Session
	users   int
	news    chan struct{} // closed when nodes have come or gone, and then another one
	unwatch func()        // returns when nobody watches
}

// watchEvery is how often it is looked whether nodes have come or gone.
const watchEvery = 200 * time.Millisecond

// hearAfter is when all are woken after that: the nodes tell one another of their subscribers in a moment, or somewhat later if they have much to do.
var hearAfter = [...]time.Duration{0, time.Second, 3 * time.Second, 10 * time.Second}

// watch tells all who listen that nodes have come or gone since there were those that are known, until ctx ends.
func (l *listener) watch(ctx context.Context, known []string) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	told := len(hearAfter)
	var since time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if nodes := l.nodes(); !slices.Equal(nodes, known) {
				known, since, told = nodes, now, 0
			}
			if told < len(hearAfter) && now.Sub(since) >= hearAfter[told] {
				told++
				l.mu.Lock()
				close(l.news)
				l.news = make(chan struct{})
				l.mu.Unlock()
			}
		}
	}
}

// changed is closed when nodes have come or gone.
func (l *listener) changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.news
}

// take returns the session, and opens it for the first.
func (l *listener) take(ctx context.Context) (gateway.Session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session == nil {
		ctx, cancel := context.WithTimeout(ctx, openTime)
		defer cancel()
		var known []string
		if l.nodes != nil {
			known = l.nodes()
		}
		s, err := l.open(ctx)
		if err != nil {
			return nil, err
		}
		l.session = s
		if l.nodes != nil {
			watching, cancel := context.WithCancel(context.Background())
			ended := make(chan struct{})
			l.unwatch = func() {
				cancel()
				<-ended
			}
			go func() { // waited for by unwatch
				defer close(ended)
				l.watch(watching, known)
			}()
		}
	}
	l.users++
	return l.session, nil
}

// leave closes a session that nobody uses any more, or that is of no use.
func (l *listener) leave(s gateway.Session, useless bool) {
	l.mu.Lock()
	if l.session != s {
		l.mu.Unlock()
		return
	}
	l.users--
	last := l.users == 0 || useless
	unwatch := l.unwatch
	if last {
		l.session, l.users, l.unwatch = nil, 0, nil
	}
	l.mu.Unlock()
	if !last {
		return
	}
	if unwatch != nil {
		unwatch()
	}
	s.Close()
}

func (l *listener) follow(topic string, wake func()) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { // waited for by stop
		defer close(ended)
		for ctx.Err() == nil {
			_ = l.listen(ctx, topic, wake) // why it ended does not matter: it is begun again
			wake()
			select {
			case <-ctx.Done():
			case <-time.After(againAfter):
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// listen wakes for each message of a topic, until ctx or the subscription ends.
func (l *listener) listen(ctx context.Context, topic string, wake func()) error {
	s, err := l.take(ctx)
	if err != nil {
		return err
	}
	some, over := make(chan struct{}, 1), make(chan struct{})
	signal := func() {
		select {
		case some <- struct{}{}:
		default:
		}
	}
	sub, err := s.Subscribe(gateway.SubscribeOptions{
		Destination: gateway.Destination{Kind: gateway.KindTopic, Name: topic}, Prefetch: 1, Pending: 1, AutoAck: true, Wake: signal,
		Ended: func(*gateway.Error) { close(over) },
	})
	if err != nil {
		l.leave(s, gateway.KindOf(err) == gateway.Unavailable)
		return err
	}
	defer l.leave(s, false)
	defer sub.Close()
	if a, ok := sub.(gateway.Announced); ok {
		a.Announced(known(wake), 0)
	}
	wake()
	var heard [16]gateway.Delivery
	for changed := l.changed(); ; {
		for n := sub.Next(heard[:], heardBytes); n > 0; n = sub.Next(heard[:], heardBytes) {
			sub.Written(n)
			wake()
		}
		select {
		case <-some:
		case <-changed:
			changed = l.changed()
			wake()
		case <-over:
			return errOver
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var errOver = errors.New("the subscription is over")

// known wakes when all nodes know of a subscription.
type known func()

// Complete implements gateway.Completion.
func (k known) Complete(uint64, error) { k() }
