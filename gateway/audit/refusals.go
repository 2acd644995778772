package audit

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/quota"
)

// mostHosts is of how many hosts refused logins are written down in a second, each by itself. The rest shares what one has.
const mostHosts = 256

// Book is what a node writes down. It may be used by any number of goroutines.
type Book struct {
	auditor gateway.Auditor // nil: nothing is written down
	now     func() time.Time

	// Refused logins, for each host by itself, so that a storm from one does not hide another one.
	mu     sync.Mutex
	hosts  map[netip.Prefix]*restraint
	others restraint // of hosts for which there was no room, and of no address
}

// NewBook opens the book of an auditor; of nil nothing is written down.
func NewBook(a gateway.Auditor, now func() time.Time) *Book { return &Book{auditor: a, now: now} }

// Commands reports whether every single message is to be written down.
func (b *Book) Commands() bool { return b.auditor != nil && b.auditor.Commands() }

func (b *Book) record(l *gateway.Login, e *gateway.Event) {
	e.ClientID, e.Protocol, e.Listener, e.Remote, e.Library = l.ClientID, l.Protocol, l.Listener, l.From(), l.Library
	b.auditor.Record(e)
}

// leftOut is how many refusals of a host were not written down; host is not valid for the others.
type leftOut struct {
	host netip.Prefix
	n    int
}

// take is restraint.take for a login from an address.
func (b *Book) take(second int64, remote string) (ok bool, before leftOut) {
	host, known := quota.HostOf(remote)
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.hosts[host]
	switch {
	case !known, r == nil && len(b.hosts) >= mostHosts:
		r, host = &b.others, netip.Prefix{}
	case r == nil:
		r = &restraint{}
		if b.hosts == nil {
			b.hosts = make(map[netip.Prefix]*restraint)
		}
		b.hosts[host] = r
	}
	ok, n := r.take(second)
	return ok, leftOut{host, n}
}

// restBefore forgets the hosts of which nobody came in this second, and returns what was left out.
func (b *Book) restBefore(second int64) (all []leftOut) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for host, r := range b.hosts {
		if r.second != second {
			all = append(all, leftOut{host, r.leftOut})
			delete(b.hosts, host)
		}
	}
	return append(all, leftOut{n: b.others.restBefore(second)})
}

// Refused writes down that somebody was not let in; p is who it was, if that is known.
func (b *Book) Refused(l *gateway.Login, p gateway.Principal, err error) {
	if b.auditor == nil {
		return
	}
	ok, before := b.take(b.now().Unix(), l.Remote)
	b.tellLeftOut(before)
	if !ok {
		return
	}
	e := &gateway.Event{Kind: gateway.LoginRefused, Principal: p, Claimed: l.Credentials.Login, Err: err}
	var x *quota.Reached
	if errors.As(err, &x) {
		e.Kind, e.Subject, e.Err = gateway.LimitReached, x.Limit, x.Told
	}
	b.record(l, e)
}

// Sweep writes down how many refused logins were left out, of hosts from which nobody comes any more. It is called every second or so.
func (b *Book) Sweep() { b.tellLeftOut(b.restBefore(b.now().Unix())...) }

// Close writes down all that was left out.
func (b *Book) Close() { b.tellLeftOut(b.restBefore(math.MinInt64)...) }

func (b *Book) tellLeftOut(all ...leftOut) {
	for _, l := range all {
		if l.n == 0 || b.auditor == nil {
			continue
		}
		e := &gateway.Event{Kind: gateway.LoginRefused, Count: l.n, Subject: fmt.Sprintf("%d refusals were left out", l.n)}
		if l.host.IsValid() {
			e.Remote = l.host.String()
			if l.host.IsSingleIP() {
				e.Remote = l.host.Addr().String()
			}
		}
		b.auditor.Record(e)
	}
}
