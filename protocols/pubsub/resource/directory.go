package resource

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/schema"
)

// Facts is what a Directory needs of gateway.Registry.
type Facts interface {
	Change(ctx context.Context, key string, value []byte, since uint64) (revision uint64, err error)
	Watch(ctx context.Context, fn func(key string, value []byte, revision uint64)) error
	CatchUp(ctx context.Context) error
}

// Config of a Directory.
type Config struct {
	Facts Facts
	// ServiceToken may do everything; empty: there is none.
	ServiceToken string
	// Vault keeps tokens so that they can be shown again; nil: they cannot.
	Vault *Vault
	// Loan is what tokens are made of that are given to users whose own cannot be told, see TokenFor: a secret that all nodes have; empty: there are none.
	Loan string
	// Keys are what the identifiers of bindings are compared by, however they are written; nil, or an empty answer, is the text itself.
	Keys func(identifier string) []string
	// Shared: other nodes change facts, too.
	Shared bool
	// Judged, if not nil, is called after somebody's rights may have changed. It must not wait, nor call the directory.
	Judged func()
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Logger gets facts that cannot be read; nil is silence.
	Logger *slog.Logger
}

// Where facts are.
const (
	projectKeys      = "pubsub/project/"
	userKeys         = "pubsub/user/"
	subscriptionKeys = "pubsub/sub/"
	cursorKeys       = "pubsub/cursor/"
)

// Directory knows all of them. Safe for concurrent use.
type Directory struct {
	cfg Config

	mu      sync.RWMutex
	applied uint64
	judged  uint64        // the revision of the last fact by which rights may have changed
	news    chan struct{} // closed when applied grows
	users   map[string]*User
	people  map[string]*User // by ID: of several the one that was written last
	tokens  map[string]*User // by sum

	registrations map[string]*Registration // by ID
	projects      map[string]*Project
	topics        map[Name]*Topic
	subscriptions map[Name]*Subscription
	cursors       map[Name]*Cursor
	pushes        map[Name]*PushState
	routes        map[Name]*Route
	progress      map[Name]*RouteProgress
	restated      chan struct{} // closed when a subscription, a topic, a route, or whose a cursor is changes
	schemas       map[Name]*Schema
	schemaIDs     map[string]*Schema                         // of several the one that was written last
	revisions     map[string]map[int]*Schema                 // by their schemas' IDs
	ruled         atomic.Pointer[map[string]*schema.Version] // by topic
	serviceTypes  map[string]*ServiceType                    // by ID, as authMethods and bindings are
	authMethods   map[string]*AuthMethod
	bindings      map[string]*Binding
	mapped        atomic.Pointer[Mapping] // of these three; nil: it is to be put in order
	editing       chan struct{}           // full while somebody changes them
	loanKey       atomic.Pointer[[]byte]  // of Config.Loan; it changes under the lock

	serviceSum atomic.Pointer[string] // of the service token; empty: there is none

	looking chan struct{} // full while somebody looks
	looked  time.Time     // when the last look began
	seen    time.Time     // when the last one began that went well
}

// Open reads all facts, and follows them until ctx ends.
func Open(ctx context.Context, cfg Config) (*Directory, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Directory{
		cfg: cfg, news: make(chan struct{}), users: make(map[string]*User), people: make(map[string]*User), tokens: make(map[string]*User),
		registrations: make(map[string]*Registration), projects: make(map[string]*Project), topics: make(map[Name]*Topic), subscriptions: make(map[Name]*Subscription), cursors: make(map[Name]*Cursor), pushes: make(map[Name]*PushState), restated: make(chan struct{}),
		routes: make(map[Name]*Route), progress: make(map[Name]*RouteProgress),
		schemas: make(map[Name]*Schema), schemaIDs: make(map[string]*Schema), revisions: make(map[string]map[int]*Schema),
		serviceTypes: make(map[string]*ServiceType), authMethods: make(map[string]*AuthMethod), bindings: make(map[string]*Binding), editing: make(chan struct{}, 1), looking: make(chan struct{}, 1),
	}
	d.loanKey.Store(new([]byte))
	d.Trust(cfg.ServiceToken, cfg.Loan)
	if err := cfg.Facts.Watch(ctx, d.learn); err != nil {
		return nil, fmt.Errorf("reading projects and users: %w", err)
	}
	return d, nil
}

// learn takes in a fact.
func (d *Directory) learn(key string, value []byte, revision uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.listed(key)
	if err := d.take(key, value, revision); err != nil {
		d.cfg.Logger.Error("a fact cannot be read and is left out", "key", key, "error", err)
	}
	if strings.HasPrefix(key, userKeys) || strings.HasPrefix(key, projectKeys) || before || d.listed(key) {
		d.judged = revision
		if d.cfg.Judged != nil {
			d.cfg.Judged()
		}
	}
	d.applied = max(d.applied, revision)
	close(d.news)
	d.news = make(chan struct{})
}

// listed reports whether a fact is one with an ACL that names somebody. The lock is held.
func (d *Directory) listed(key string) bool {
	var acl []string
	if rest, ok := strings.CutPrefix(key, gateway.LogKeys); ok {
		if t := d.topics[named(rest)]; t != nil {
			acl = t.ACL
		}
	} else if rest, ok := strings.CutPrefix(key, subscriptionKeys); ok {
		if s := d.subscriptions[named(rest)]; s != nil {
			acl = s.ACL
		}
	}
	return len(acl) > 0
}

// named is the name at the end of a key.
func named(s string) (n Name) {
	n.Project, n.Name, _ = strings.Cut(s, ".")
	return n
}

// Judgement grows whenever somebody's rights may have changed.
func (d *Directory) Judgement() uint64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.judged
}

func (d *Directory) take(key string, value []byte, revision uint64) error {
	if name, ok := strings.CutPrefix(key, userKeys); ok {
		return d.takeUser(name, value, revision)
	}
	if id, ok := strings.CutPrefix(key, registrationKeys); ok {
		return takeIn(d.registrations, id, value, func(r *Registration) { r.revision = revision })
	}
	if name, ok := strings.CutPrefix(key, projectKeys); ok {
		return takeIn(d.projects, name, value, func(p *Project) { p.Name, p.revision = name, revision })
	}
	if rest, ok := strings.CutPrefix(key, revisionKeys); ok {
		return d.takeRevision(rest, value, revision)
	}
	if mine, err := d.takeMapping(key, value, revision); mine {
		return err
	}
	for _, kind := range []string{gateway.LogKeys, subscriptionKeys, cursorKeys, pushKeys, schemaKeys, routeKeys, placeKeys} {
		rest, ok := strings.CutPrefix(key, kind)
		if !ok {
			continue
		}
		if !strings.Contains(rest, ".") {
			return nil // a log that is none of ours
		}
		n := named(rest)
		switch kind {
		case gateway.LogKeys:
			return d.takeTopic(n, value, revision)
		case subscriptionKeys:
			d.restate()
			return takeIn(d.subscriptions, n, value, func(s *Subscription) { s.Name, s.revision = n, revision })
		case schemaKeys:
			return d.takeSchema(n, value, revision)
		case routeKeys:
			return d.takeRoute(n, value, revision)
		case placeKeys:
			return takeIn(d.progress, n, value, func(p *RouteProgress) { p.revision = revision })
		case pushKeys:
			return takeIn(d.pushes, n, value, func(p *PushState) { p.revision = revision })
		}
		before := d.cursors[n]
		err := takeIn(d.cursors, n, value, func(c *Cursor) { c.revision = revision })
		if now := d.cursors[n]; before == nil || now == nil || before.Generation != now.Generation || before.Tenure != now.Tenure || before.Leader != now.Leader {
			d.restate()
		}
		return err
	}
	return nil
}

// takeIn keeps what a fact says, or forgets it.
func takeIn[K comparable, T any](all map[K]*T, key K, value []byte, complete func(*T)) error {
	if value == nil {
		delete(all, key)
		return nil
	}
	t := new(T)
	if err := json.Unmarshal(value, t); err != nil {
		return err
	}
	complete(t)
	all[key] = t
	return nil
}

// takeUser keeps what a fact says of a user. One who was given another name may be there twice for a moment: the later fact counts.
func (d *Directory) takeUser(name string, value []byte, revision uint64) error {
	old := d.users[name]
	if err := takeIn(d.users, name, value, func(u *User) { u.Name, u.revision = name, revision }); err != nil {
		return err
	}
	if old != nil && d.people[old.ID] == old {
		delete(d.people, old.ID)
		d.unlearn(old)
	}
	if u := d.users[name]; u != nil {
		if twin := d.people[u.ID]; twin != nil {
			d.unlearn(twin)
		}
		d.people[u.ID] = u
		d.recognise(u)
	}
	return nil
}

// recognise notes by what a user is recognised.
func (d *Directory) recognise(u *User) {
	for _, sum := range d.sums(u) {
		d.tokens[sum] = u
	}
}

// unlearn forgets by what a user was recognised.
func (d *Directory) unlearn(u *User) {
	for _, sum := range d.sums(u) {
		delete(d.tokens, sum)
	}
}

// changesMost is how often a change is tried again because somebody else came in between.
const changesMost = 100

// change has a fact written. decide says by what is known now which one, and what it is to be: nil is nothing any more. It is asked again if somebody
// came in between. When change returns, the directory knows of it.
func (d *Directory) change(ctx context.Context, decide func() (key string, value any, since uint64, err error)) error {
	for range changesMost {
		d.mu.RLock()
		key, value, since, err := decide()
		d.mu.RUnlock()
		if err != nil {
			return err
		}
		var fact []byte
		if value != nil {
			if fact, err = json.Marshal(value); err != nil {
				return err
			}
		}
		revision, err := d.cfg.Facts.Change(ctx, key, fact, since)
		if err == nil {
			return d.await(ctx, revision)
		}
		if gateway.KindOf(err) != gateway.Conflict {
			return err
		}
		if err := d.Look(ctx); err != nil {
			return err
		}
	}
	return gateway.Errorf(gateway.Unavailable, "too many change the same thing at once")
}

// await returns when a revision is known.
func (d *Directory) await(ctx context.Context, revision uint64) error {
	for {
		d.mu.RLock()
		known, news := d.applied >= revision, d.news
		d.mu.RUnlock()
		if known {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return gateway.WrapError(gateway.Unavailable, ctx.Err(), "it was written, but is not known here yet")
		}
	}
}

// Look returns when everything is known that was written, anywhere, before it was called.
func (d *Directory) Look(ctx context.Context) error { return d.look(ctx, 0) }

// lookEvery is how often somebody may look for what is not there: strangers may have him do so.
const lookEvery = 50 * time.Millisecond

// look is Look for all who want it at once, at least so long after the one before.
func (d *Directory) look(ctx context.Context, apart time.Duration) error {
	asked := time.Now()
	select {
	case d.looking <- struct{}{}:
		defer func() { <-d.looking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if d.seen.After(asked) { // another one's look was for us as well
		return nil
	}
	if rest := apart - time.Since(d.looked); rest > 0 {
		select {
		case <-time.After(rest):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	d.looked = time.Now()
	if err := d.cfg.Facts.CatchUp(ctx); err != nil {
		return err
	}
	d.seen = d.looked
	return nil
}

// Refresh is Look for who misses what another node may have made a moment ago. The Error says that there are no other nodes.
func (d *Directory) Refresh(ctx context.Context) error {
	if !d.cfg.Shared {
		return gateway.Errorf(gateway.NotFound, "there are no other nodes")
	}
	return d.look(ctx, lookEvery)
}

// seek looks for something, and once more if another node may have made it.
func seek[T any](ctx context.Context, d *Directory, find func() *T) *T {
	d.mu.RLock()
	t := find()
	d.mu.RUnlock()
	if t != nil || !d.cfg.Shared || d.look(ctx, lookEvery) != nil {
		return t
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	return find()
}

// errGone and errThere are the errors of those who change what is not there, or make what is.
var (
	errGone  = gateway.Errorf(gateway.NotFound, "it does not exist")
	errThere = gateway.Errorf(gateway.Conflict, "it exists already")
)

// origin is that of something new.
func (d *Directory) origin(by string) Origin {
	now := d.cfg.Now().UnixMicro()
	return Origin{ID: NewID(), Created: now, Modified: now, CreatedBy: by}
}
