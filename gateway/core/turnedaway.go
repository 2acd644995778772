package core

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/quota"
)

// mostHosts is of how many hosts refused logins are written down in a second, each by itself. The rest shares what one has.
const mostHosts = 256

// turnedAway keeps refused logins from flooding an audit: for each host by itself, so that a storm from one does not hide another one.
type turnedAway struct {
	mu     sync.Mutex
	hosts  map[netip.Prefix]*restraint
	others restraint // of hosts for which there was no room, and of no address
}

// leftOut is how many refusals of a host were not written down; host is not valid for the others.
type leftOut struct {
	host netip.Prefix
	n    int
}

// take is restraint.take for a login from an address.
func (t *turnedAway) take(second int64, remote string) (ok bool, before leftOut) {
	host, known := quota.HostOf(remote)
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.hosts[host]
	switch {
	case !known, r == nil && len(t.hosts) >= mostHosts:
		r, host = &t.others, netip.Prefix{}
	case r == nil:
		r = &restraint{}
		if t.hosts == nil {
			t.hosts = make(map[netip.Prefix]*restraint)
		}
		t.hosts[host] = r
	}
	ok, n := r.take(second)
	return ok, leftOut{host, n}
}

// restBefore forgets the hosts of which nobody came in this second, and returns what was left out.
func (t *turnedAway) restBefore(second int64) (all []leftOut) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for host, r := range t.hosts {
		if r.second != second {
			all = append(all, leftOut{host, r.leftOut})
			delete(t.hosts, host)
		}
	}
	return append(all, leftOut{n: t.others.restBefore(second)})
}

// refusedLogin writes down that somebody was not let in; p is who it was, if that is known.
func (b *Broker) refusedLogin(l *gateway.Login, p gateway.Principal, err error) {
	b.counts.refused.Add(1)
	if b.cfg.Auditor == nil {
		return
	}
	ok, before := b.refusals.take(b.cfg.Now().Unix(), l.Remote)
	b.tellRefusalsLeftOut(before)
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

func (b *Broker) tellRefusalsLeftOut(all ...leftOut) {
	for _, l := range all {
		if l.n == 0 || b.cfg.Auditor == nil {
			continue
		}
		e := &gateway.Event{Kind: gateway.LoginRefused, Count: l.n, Subject: fmt.Sprintf("%d refusals were left out", l.n)}
		if l.host.IsValid() {
			e.Remote = l.host.String()
			if l.host.IsSingleIP() {
				e.Remote = l.host.Addr().String()
			}
		}
		b.cfg.Auditor.Record(e)
	}
}
