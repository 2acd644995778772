package quota

import (
	"net/netip"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

// Broker is what a ledger asks of its broker.
type Broker interface {
	// Inquire finds out whether a queue exists. done may be called before it returns, or much later; with an error if nobody says.
	Inquire(queue string, done func(exists bool, err error))
	// Refresh has the open sessions whose accounts which picks forget what they were granted.
	Refresh(which func(Accounts) bool)
}

// Ledger counts what clients use of the broker, in an account for all, one for each user and one for each address. It may be used by any number of goroutines.
type Ledger struct {
	broker  Broker
	now     func() time.Time
	reached limitCounters

	mu     sync.Mutex
	quotas Quotas
	total  *account
	users  map[string]*account
	hosts  map[netip.Prefix]*account
	// blocked accounts have subscriptions that wait for room in flight.
	blocked map[*account]struct{}
}

// Accounts are those that a session's use of the broker is counted in: none for sessions of the process itself. They never change.
type Accounts struct{ all []*account }

// None reports whether nothing is counted.
func (a Accounts) None() bool { return len(a.all) == 0 }

// account is what somebody uses. It is guarded by the ledger's lock.
type account struct {
	scope scope
	name  string // in words: "user alice"
	user  string
	host  netip.Prefix
	quota Quota
	pace  *pace // nil without a limit

	connections   int
	subscriptions map[*Share]struct{}
	destinations  map[gateway.Destination]*use
	inFlight      int
	each          int // how much of it was shared out to each subscription
	waiting       []*Share
	told          time.Time // when it was last written down that somebody waits
}

// use is that of a destination by an account.
type use struct {
	subscriptions int
	created       bool // by a send
	asking        bool // whether it still exists
	gone          bool // it does not
}

// NewLedger opens the books of a broker.
func NewLedger(b Broker, q Quotas, now func() time.Time) *Ledger {
	l := &Ledger{
		broker: b, now: now, quotas: q,
		users: make(map[string]*account), hosts: make(map[netip.Prefix]*account), blocked: make(map[*account]struct{}),
	}
	l.total = l.open(&account{scope: inTotal, name: "the broker"}, q.Total)
	return l
}

// open prepares an account. The lock is held, or nobody else knows the ledger.
func (l *Ledger) open(a *account, q Quota) *account {
	a.subscriptions, a.destinations = make(map[*Share]struct{}), make(map[gateway.Destination]*use)
	a.set(q)
	return a
}

// set changes an account's quota. The lock is held.
func (a *account) set(q Quota) {
	a.quota = q
	switch {
	case q.PublishMessages == 0 && q.PublishBytes == 0:
		a.pace = nil
	case a.pace == nil:
		a.pace = &pace{account: a}
		fallthrough
	default:
		a.pace.change(q.PublishMessages, q.PublishBytes)
	}
}

// HostOf is the address that a client counts by. ok is false for sessions of the process itself.
func HostOf(remote string) (host netip.Prefix, ok bool) {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}, false
	}
	ip, bits := at.Addr().Unmap().WithZone(""), 32
	if ip.Is6() {
		bits = 64
	}
	host, err = ip.Prefix(bits)
	return host, err == nil
}

// Enter counts a connection in its accounts, or refuses it with Reached.
func (l *Ledger) Enter(p gateway.Principal, remote string) (Accounts, error) {
	host, ok := HostOf(remote)
	if !ok {
		return Accounts{}, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var accounts []*account
	if p.Name != "" {
		a := l.users[p.Name]
		if a == nil {
			a = l.open(&account{scope: perUser, name: "user " + p.Name, user: p.Name}, Quota{})
		}
		a.set(l.quotas.of(&p))
		accounts = append(accounts, a)
	}
	a := l.hosts[host]
	if a == nil {
		name := host.Addr().String()
		if host.Addr().Is6() {
			name = host.String()
		}
		a = l.open(&account{scope: perAddress, name: "address " + name, host: host}, l.quotas.PerAddress)
	}
	accounts = append(accounts, a, l.total)
	for _, a := range accounts {
		if err := l.allows(a, connectionsLimit, a.connections, a.quota.Connections); err != nil {
			return Accounts{}, err
		}
	}
	for _, a := range accounts {
		a.connections++
		switch a.scope {
		case perUser:
			l.users[a.user] = a
		case perAddress:
			l.hosts[a.host] = a
		}
	}
	return Accounts{accounts}, nil
}

// Reached is a limit that refuses something, or makes somebody wait.
type Reached struct {
	// Limit is its name, as in Count.
	Limit string
	// Told is what the client may know.
	Told *gateway.Error
}

// Error implements error.
func (r *Reached) Error() string { return r.Told.Error() }

// waits is a limit that makes the clients of an account wait.
func waits(a *account, l limit, most int) *Reached {
	return &Reached{l.String(), gateway.Errorf(gateway.Limit, "%s waits: the limit of %s is %d", a.name, l, most)}
}

// allows returns Reached if an account has as many of something as its quota says. The lock is held.
func (l *Ledger) allows(a *account, what limit, has, may int) error {
	if may == 0 || has < may {
		return nil
	}
	l.reached[a.scope][what].Add(1)
	return &Reached{what.String(), gateway.Errorf(gateway.Limit, "%s has %d %s, the limit is %d", a.name, has, what, may)}
}

// Leave gives back what a session counted for.
func (l *Ledger) Leave(accounts Accounts) {
	if accounts.None() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for _, a := range accounts.all {
		a.connections--
		l.close(a, now)
	}
}

// close forgets an account that nobody uses and that owes nothing. The lock is held.
func (l *Ledger) close(a *account, now time.Time) {
	if a.connections > 0 || len(a.destinations) > 0 || a.pace != nil && a.pace.debt(now) > 0 {
		return
	}
	switch a.scope {
	case perUser:
		delete(l.users, a.user)
	case perAddress:
		delete(l.hosts, a.host)
	}
}

// Renewed takes in that a user has other groups now.
func (l *Ledger) Renewed(p gateway.Principal) {
	l.mu.Lock()
	if a := l.users[p.Name]; a != nil {
		a.set(l.quotas.of(&p))
	}
	l.mu.Unlock()
}

// Terms are what the accounts ask of a session now.
func (l *Ledger) Terms(accounts Accounts) (t Terms) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range accounts.all {
		if a.pace != nil {
			t.paces = append(t.paces, a.pace)
		}
		t.Gated = t.Gated || a.quota.InFlight > 0
	}
	return t
}

// Change changes the quotas. who is asked for the principals of the sessions that are open by then, and then runs when their accounts have the new quotas: before anybody
// is woken. What is open stays. One call follows another.
func (l *Ledger) Change(q Quotas, who func() []gateway.Principal, then func()) {
	l.mu.Lock()
	l.quotas = q
	l.mu.Unlock()
	people := who() // who comes from here on finds the new ones
	l.mu.Lock()
	l.total.set(q.Total)
	for _, a := range l.hosts {
		a.set(q.PerAddress)
	}
	for i := range people {
		if a := l.users[people[i].Name]; a != nil {
			a.set(q.of(&people[i]))
		}
	}
	var woken []*Share
	for a := range l.blocked {
		woken = append(woken, l.wake(a, len(a.waiting))...)
	}
	changes := l.shareAll()
	l.mu.Unlock()
	then()
	extend(changes)
	wakeAll(woken)
}

// Counts has an entry for each limit of each scope, always in the same order.
func (l *Ledger) Counts() []Count { return l.reached.snapshot() }

// InUse is how many users and addresses have an account, and how many connections, subscriptions, destinations and deliveries in flight are counted in that of all.
func (l *Ledger) InUse() (accounts, uses int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.total
	return len(l.users) + len(l.hosts) + len(l.blocked), t.connections + len(t.subscriptions) + len(t.destinations) + len(t.waiting) + t.inFlight
}
