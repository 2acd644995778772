package lease

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/lead"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

const (
	// lookEvery is how often a node looks whether the leases that it keeps are still its own, and lookApart how far apart two looks are at least, however often
	// subscriptions change.
	lookEvery = 250 * time.Millisecond
	lookApart = 50 * time.Millisecond
	// idleFor is how long nobody wants anything of a subscription until its book is closed.
	idleFor = time.Minute
	// againAfter is how long who was sent away waits before he asks once more.
	againAfter = 20 * time.Millisecond
)

// Keeper keeps the leases of the subscriptions that this node leads, and asks other nodes about those of others. All methods may be called concurrently; Run is
// called once.
type Keeper struct {
	cfg        Config
	letters    letters
	background sync.WaitGroup
	// life ends when nothing more is to be begun.
	life context.Context
	die  context.CancelFunc

	hurried atomic.Bool

	mu     sync.Mutex
	books  map[string]*slot // by the subscription's ID
	closed bool
}

var errStops = gateway.Errorf(gateway.Unavailable, "the node stops")

// slot has a book, once ready is closed; or why there is none.
type slot struct {
	ready chan struct{}
	book  *book
	err   error
}

// New makes a keeper. Other nodes are answered once Run is called.
func New(cfg Config) (*Keeper, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	k := &Keeper{cfg: cfg, books: make(map[string]*slot)}
	k.letters.open, k.letters.slots = cfg.Open, make(chan struct{}, lettersMost)
	k.life, k.die = context.WithCancel(context.Background())
	return k, nil
}

// Run answers other nodes and gives up what this one does not lead any more, until ctx ends. Then it leaves all leases to others. It returns an error if the
// other nodes cannot be heard.
func (k *Keeper) Run(ctx context.Context) error {
	stop := func() {}
	if k.cfg.Others != nil {
		var err error
		if stop, err = k.cfg.Others.Answer(k.answer); err != nil {
			k.close()
			return err
		}
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		changed := k.cfg.Directory.Restated()
		k.look()
		select {
		case <-ctx.Done():
			stop()
			k.close()
			return ctx.Err()
		case <-tick.C:
		case <-changed:
			select { // more are changing, perhaps
			case <-time.After(lookApart):
			case <-ctx.Done():
			}
		}
	}
}

// Hurry has nobody wait for messages any more: who waits is answered at once.
func (k *Keeper) Hurry() {
	k.hurried.Store(true)
	for _, s := range k.ready() {
		s.book.hurry()
	}
}

// look ends the books that are not this node's any more, and those that nobody uses.
func (k *Keeper) look() {
	idle := k.cfg.Now().Add(-idleFor)
	for id, s := range k.ready() {
		switch {
		case !k.keeps(s.book):
			s.book.shut(errMoved)
		case s.book.idle(idle):
			k.background.Go(s.book.resign)
		default:
			continue
		}
		k.forget(id, s)
	}
}

// ready are the slots with a book.
func (k *Keeper) ready() map[string]*slot {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make(map[string]*slot, len(k.books))
	for id, s := range k.books {
		select {
		case <-s.ready:
			if s.err == nil {
				all[id] = s
			}
		default:
		}
	}
	return all
}

func (k *Keeper) forget(id string, s *slot) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.books[id] == s {
		delete(k.books, id)
	}
}

// keeps reports whether a book is the one that counts.
func (k *Keeper) keeps(b *book) bool {
	c, there := k.cfg.Directory.Standing(b.sub, b.of)
	return there && b.mine(&c) && slices.Contains(k.cfg.Nodes(), k.cfg.Node)
}

// close ends everything.
func (k *Keeper) close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	var leaving sync.WaitGroup
	for _, s := range k.ready() {
		leaving.Go(s.book.resign)
	}
	leaving.Wait()
	k.die()
	k.background.Wait()
	k.letters.drop(nil)
}

// leader is the node that keeps the leases of a subscription, or should begin to: the one that does so already stays it as long as it is there.
func (k *Keeper) leader(sub *resource.Subscription, of *resource.Topic) (string, error) {
	nodes := k.cfg.Nodes()
	if len(nodes) == 0 {
		return "", gateway.Errorf(gateway.Unavailable, "this node has lost the others")
	}
	if c, _ := k.cfg.Directory.Standing(sub, of); slices.Contains(nodes, c.Leader) {
		return c.Leader, nil
	}
	return lead.Leader(sub.ID, nodes), nil
}

// bookOf returns the book of a subscription that this node leads. Whoever comes first opens it.
func (k *Keeper) bookOf(ctx context.Context, sub *resource.Subscription, of *resource.Topic) (*book, error) {
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return nil, errStops
	}
	s := k.books[sub.ID]
	opens := s == nil
	if opens {
		s = &slot{ready: make(chan struct{})}
		k.books[sub.ID] = s
		k.background.Go(func() { k.open(sub, of, s) })
	}
	k.mu.Unlock()
	select {
	case <-s.ready:
	case <-ctx.Done():
		return nil, gateway.WrapError(gateway.Unavailable, ctx.Err(), "the subscription cannot be opened now")
	}
	if s.err != nil {
		return nil, s.err
	}
	if !opens && !k.keeps(s.book) {
		s.book.shut(errMoved)
		k.forget(sub.ID, s)
		return nil, errMoved
	}
	return s.book, nil
}

// open makes this node the one that keeps a subscription's leases.
func (k *Keeper) open(sub *resource.Subscription, of *resource.Topic, s *slot) {
	ctx, cancel := context.WithTimeout(k.life, k.cfg.Patience)
	defer cancel()
	b, err := k.begin(ctx, sub, of)
	k.mu.Lock()
	late := k.closed && err == nil
	if late {
		err = errStops
	}
	if s.book, s.err = b, err; err != nil {
		delete(k.books, sub.ID)
	}
	close(s.ready) // before the keeper closes, who then ends the book; or after that
	k.mu.Unlock()
	if late {
		b.resign()
	}
}

func (k *Keeper) begin(ctx context.Context, sub *resource.Subscription, of *resource.Topic) (*book, error) {
	var now resource.Cursor
	err := k.cfg.Directory.MoveCursor(ctx, sub, of, func(c *resource.Cursor) (bool, error) {
		if c.Leader != k.cfg.Node && slices.Contains(k.cfg.Nodes(), c.Leader) {
			return false, errMoved
		}
		c.Leader = k.cfg.Node
		c.Tenure++
		now = *c
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	b, err := newBook(k, sub, of, &now)
	if err != nil {
		return nil, err
	}
	return b, b.recall()
}

// Stats are how many subscriptions' leases this node keeps, and how many leases there are.
func (k *Keeper) Stats() (books, leases int) {
	for _, s := range k.ready() {
		s.book.mu.Lock()
		books, leases = books+1, leases+len(s.book.out)
		s.book.mu.Unlock()
	}
	return books, leases
}
