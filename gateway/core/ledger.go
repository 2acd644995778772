package core

import (
	"net/netip"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

// ledger counts what clients use of the broker, in an account for all, one for each user and one for each address.
type ledger struct {
	broker  *Broker
	reached limitCounters

	mu     sync.Mutex
	quotas Quotas
	total  *account
	users  map[string]*account
	hosts  map[netip.Prefix]*account
	// blocked accounts have subscriptions that wait for room in flight.
	blocked map[*account]struct{}
}

// account is what somebody uses. It is guarded by the ledger's lock.
type account struct {
	scope scope
	name  string // in words: "user alice"
	user  string
	host  netip.Prefix
	quota Quota
	pace  *pace // nil without a limit

	connections   int
	subscriptions map[*enrolled]struct{}
	destinations  map[gateway.Destination]*use
	inFlight      int
	each          int // how much of it was shared out to each subscription
	waiting       []*enrolled
	told          time.Time // when it was last written down that somebody waits
}

// use is that of a destination by an account.
type use struct {
	subscriptions int
	created       bool // by a send
	asking        bool // whether it still exists
	gone          bool // it does not
}

func (l *ledger) init(b *Broker) {
	l.broker, l.quotas = b, b.cfg.Quotas
	l.users, l.hosts, l.blocked = make(map[string]*account), make(map[netip.Prefix]*account), make(map[*account]struct{})
	l.total = l.open(&account{scope: inTotal, name: "the broker"}, l.quotas.Total)
}

// open prepares an account. The lock is held, or nobody else knows the ledger.
func (l *ledger) open(a *account, q Quota) *account {
	a.subscriptions, a.destinations = make(map[*enrolled]struct{}), make(map[gateway.Destination]*use)
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

// hostOf is the address that a client counts by. ok is false for sessions of the process itself.
func hostOf(remote string) (host netip.Prefix, ok bool) {
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

// enter counts a connection in its accounts, or refuses it with an error of kind Limit.
func (l *ledger) enter(p gateway.Principal, remote string) ([]*account, error) {
	host, ok := hostOf(remote)
	if !ok {
		return nil, nil
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
			return nil, err
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
	return accounts, nil
}

// exceeded is a limit that refuses.
type exceeded struct {
	told    *gateway.Error // for the client
	account *account
	limit   limit
}

// Error implements error.
func (e *exceeded) Error() string { return e.told.Error() }

// allows returns an exceeded if an account has as many of something as its quota says. The lock is held.
func (l *ledger) allows(a *account, what limit, has, may int) error {
	if may == 0 || has < may {
		return nil
	}
	l.reached[a.scope][what].Add(1)
	return &exceeded{gateway.Errorf(gateway.Limit, "%s has %d %s, the limit is %d", a.name, has, what, may), a, what}
}

// leave gives back what a session counted for.
func (l *ledger) leave(s *session) { l.exit(s.accounts) }

func (l *ledger) exit(accounts []*account) {
	if len(accounts) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.broker.cfg.Now()
	for _, a := range accounts {
		a.connections--
		l.close(a, now)
	}
}

// close forgets an account that nobody uses and that owes nothing. The lock is held.
func (l *ledger) close(a *account, now time.Time) {
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

// renewed takes in that a user has other groups now.
func (l *ledger) renewed(p gateway.Principal) {
	l.mu.Lock()
	if a := l.users[p.Name]; a != nil {
		a.set(l.quotas.of(&p))
	}
	l.mu.Unlock()
}

// terms are what a session's standing says of its accounts.
func (l *ledger) terms(accounts []*account) (paces []*pace, gated bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range accounts {
		if a.pace != nil {
			paces = append(paces, a.pace)
		}
		gated = gated || a.quota.InFlight > 0
	}
	return paces, gated
}

// SetQuotas changes the quotas. Open sessions keep what they have beyond them.
func (b *Broker) SetQuotas(q Quotas) {
	b.reauthorizing.Lock()
	defer b.reauthorizing.Unlock()
	l := &b.ledger
	l.mu.Lock()
	l.quotas = q
	l.mu.Unlock()
	sessions := b.openSessions() // who comes from here on finds the new ones
	l.mu.Lock()
	l.total.set(q.Total)
	for _, a := range l.hosts {
		a.set(q.PerAddress)
	}
	for _, s := range sessions {
		p := s.who()
		if a := l.users[p.Name]; a != nil {
			a.set(q.of(&p))
		}
	}
	var woken []*enrolled
	for a := range l.blocked {
		woken = append(woken, l.wake(a, len(a.waiting))...)
	}
	changes := l.shareAll()
	l.mu.Unlock()
	for _, s := range sessions {
		s.refresh()
	}
	extend(changes)
	wakeAll(woken)
}

// refresh takes in new terms of the session's accounts, and has its grants asked for again.
func (s *session) refresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := *s.standing.Load()
	st.paces, st.gated = s.broker.ledger.terms(s.accounts)
	s.standing.Store(&st)
}
