package nats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

// user is one of whom connections are here, or were lately.
type user struct {
	token  string
	rights atomic.Pointer[gateway.Rights]
	over   atomic.Bool // the broker has ended the door's session
	where  whereabouts

	// opened is closed when door or err is set, for good; closed when nothing of the door runs any more.
	opened, closed chan struct{}
	door           *Door
	err            error

	// Guarded by Gate.mu: who it is, how many connections it has, and since when none.
	principal gateway.Principal
	clients   int
	since     time.Time
	closing   bool
}

var (
	errLeaving  = gateway.Errorf(gateway.Unavailable, "the node is stopping")
	errMostUser = gateway.Errorf(gateway.Limit, "too many users are here")
)

// enter counts a connection of a principal in, and returns its user when the door is open.
func (g *Gate) enter(ctx context.Context, who gateway.Principal, remote string) (*user, error) {
	token := TokenOf(who)
	for {
		u, isNew, err := g.reserve(token, who, remote)
		switch {
		case err != nil:
			return nil, err
		case u.closing: // until another can be opened
			select {
			case <-u.closed:
				continue
			case <-ctx.Done():
				return nil, gateway.WrapError(gateway.Unavailable, ctx.Err(), "the user cannot be served now")
			}
		case isNew:
			g.open(u)
		}
		select {
		case <-u.opened:
		case <-ctx.Done():
			g.release(u)
			return nil, gateway.WrapError(gateway.Unavailable, ctx.Err(), "the user cannot be served now")
		}
		if u.err != nil {
			g.release(u)
			return nil, u.err
		}
		return u, nil
	}
}

// reserve counts a connection in, unless the user's door is being closed.
func (g *Gate) reserve(token string, who gateway.Principal, remote string) (u *user, isNew bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.leaving {
		return nil, false, errLeaving
	}
	u = g.users[token]
	if u != nil && !u.closing && !sameGroups(u.principal, who) {
		g.close(u) // what it may do has changed since: it begins anew
	}
	if u != nil && u.closing {
		return u, false, nil
	}
	if u == nil {
		if len(g.users) >= g.cfg.Users {
			return nil, false, errMostUser
		}
		u = &user{token: token, principal: who, opened: make(chan struct{}), closed: make(chan struct{})}
		u.principal.Proof, u.principal.Expires = "", time.Time{}
		u.where.said.Store(&remote)
		g.users[token] = u
		isNew = true
		g.running.Add(1)
	}
	u.clients++
	return u, isNew, nil
}

func sameGroups(a, b gateway.Principal) bool {
	return slices.Equal(slices.Sorted(slices.Values(a.Groups)), slices.Sorted(slices.Values(b.Groups)))
}

// release counts a connection out.
func (g *Gate) release(u *user) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if u.clients--; u.clients == 0 {
		u.since = g.cfg.Clock()
	}
}

// open opens the door of a user, and sees to it until it is closed.
func (g *Gate) open(u *user) {
	g.reconsider(u)
	u.door, u.err = g.openDoor(u)
	close(u.opened)
	if u.err != nil {
		g.mu.Lock()
		u.closing = true
		delete(g.users, u.token)
		g.mu.Unlock()
		close(u.closed)
		g.running.Done()
		return
	}
	go func() {
		defer g.running.Done()
		err := u.door.Serve(g.context)
		g.mu.Lock()
		g.past.add(u.door.Stats(), false)
		delete(g.users, u.token)
		g.mu.Unlock()
		close(u.closed)
		if err != nil && !errors.Is(err, context.Canceled) {
			select {
			case g.failed <- err:
			default:
			}
		}
	}()
}

func (g *Gate) openDoor(u *user) (*Door, error) {
	credentials, forget := g.cfg.Voucher.vouch(u.principal)
	defer forget()
	login := gateway.Login{Credentials: credentials, Protocol: doorProtocol, Remote: doorRemote, Whereabouts: u.where.text, Ended: g.toldOf(&u.over)}
	session, err := g.cfg.Broker.Open(g.context, login)
	if err != nil {
		return nil, fmt.Errorf("opening a session for a native user's door: %w", err)
	}
	cfg, err := g.cfg.Open(u.token)
	if err != nil {
		session.Close()
		return nil, fmt.Errorf("opening an account for a native user: %w", err)
	}
	g.complete(u, &cfg, session)
	return New(cfg)
}

// complete fills in what is the gate's to say.
func (g *Gate) complete(u *user, cfg *Config, session gateway.Session) {
	cfg.Broker, cfg.Session = g.cfg.Broker, session
	cfg.Logger = g.cfg.Logger.With("user", u.principal.Name)
	if cfg.Clock == nil {
		cfg.Clock = g.cfg.Clock
	}
	cfg.Listen = func() (net.Addr, error) { return g.addr, nil }
	mine := User{}
	if cfg.User != nil {
		mine = *cfg.User
	}
	mine.Token = u.token
	mine.MayHaveStreams = func() error { return (*u.rights.Load()).Operate("streams") }
	cfg.User = &mine
	if queue := cfg.Queue; queue != nil {
		cfg.Queue = func(name string) (int, bool) {
			if (*u.rights.Load()).May(gateway.Read, gateway.Destination{Kind: gateway.KindQueue, Name: name}) != nil {
				return 0, false
			}
			return queue(name)
		}
	}
}

// reconsider asks what a user may do now.
func (g *Gate) reconsider(u *user) {
	g.mu.Lock()
	who := u.principal
	g.mu.Unlock()
	rights := g.cfg.Authorizer.Rights(who)
	u.rights.Store(&rights)
}

// renew has new rules hold for a user. Who is nobody any more loses the door.
func (g *Gate) renew(u *user) {
	g.mu.Lock()
	who := u.principal
	g.mu.Unlock()
	now, err := g.cfg.Voucher.Renew(who)
	g.mu.Lock()
	if err != nil {
		g.close(u)
		g.mu.Unlock()
		return
	}
	u.principal = now
	u.principal.Proof, u.principal.Expires = "", time.Time{}
	g.mu.Unlock()
	g.reconsider(u)
	select {
	case <-u.opened:
		if u.err == nil {
			u.door.Reconsider()
		}
	default:
	}
}

// close begins to close a door. The lock is held.
func (g *Gate) close(u *user) {
	if u.closing || g.leaving {
		return
	}
	u.closing = true
	g.running.Go(func() {
		for id := range g.idsOf(u) {
			g.cfg.Disconnect(id)
			g.leave(id)
		}
		if err := u.drain(g.context); err != nil {
			g.cfg.Logger.Debug("the door of a native user was closed at once", "error", err)
		}
	})
}

// idsOf are the connections of a user.
func (g *Gate) idsOf(u *user) map[uint64]struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	ids := make(map[uint64]struct{})
	for id, c := range g.clients {
		if c.user == u {
			ids[id] = struct{}{}
		}
	}
	return ids
}

// drain drains the user's door, once it is open.
func (u *user) drain(ctx context.Context) error {
	select {
	case <-u.opened:
	case <-ctx.Done():
		return ctx.Err()
	}
	if u.err != nil {
		return nil
	}
	err := u.door.Drain(ctx)
	<-u.closed
	return err
}

// closeIdle closes the doors of users who have been away for some time, and those that the broker does not serve any more.
func (g *Gate) closeIdle() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, u := range g.users {
		select {
		case <-u.opened:
		default:
			continue
		}
		idle := u.clients == 0 && g.cfg.Clock().Sub(u.since) > g.cfg.Idle
		if u.err == nil && (idle || u.over.Load() || u.door.Deaf()) {
			g.close(u)
		}
	}
}

// Stats is what all doors count, those of users who have left among them.
func (g *Gate) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := g.past
	for _, u := range g.users {
		select {
		case <-u.opened:
			if u.err == nil {
				all.add(u.door.Stats(), true)
			}
		default:
		}
	}
	return all
}
