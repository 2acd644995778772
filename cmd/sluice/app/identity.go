package app

import (
	"context"
	"sync/atomic"

	"github.com/sluice-mq/sluice/auth"
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// identity is who may come in and what they may do, by the configuration of the moment. What it stands for is replaced as
// a whole. Safe for concurrent use.
type identity struct {
	now atomic.Pointer[guards]
	// callers have their rights from the topics that they use.
	callers *callers
}

// ownSession is the protocol of the node's own sessions, such as that of a self-test, and how their principal was proven. Doors name their own
// protocols, whatever clients say.
const ownSession = "internal"

// guards belong together.
type guards struct {
	gateway.Authenticator
	gateway.Authorizer
	// close ends what they have open elsewhere.
	close func()
}

var (
	_ gateway.Authenticator = (*identity)(nil)
	_ gateway.Authorizer    = (*identity)(nil)
)

// Authenticate implements gateway.Authenticator.
func (i *identity) Authenticate(ctx context.Context, l gateway.Login) (gateway.Principal, error) {
	if l.Protocol == ownSession {
		return gateway.Principal{Method: ownSession}, nil
	}
	return i.now.Load().Authenticate(ctx, l)
}

// Renew implements gateway.Authenticator.
func (i *identity) Renew(p gateway.Principal) (gateway.Principal, error) {
	if p.Method == ownSession {
		return p, nil
	}
	return i.now.Load().Renew(p)
}

// Rights implements gateway.Authorizer.
func (i *identity) Rights(p gateway.Principal) gateway.Rights {
	if p.Method == ownSession {
		return auth.AllowAll{}
	}
	if p.Method == resource.Method {
		return i.callers.Rights(p)
	}
	return i.now.Load().Rights(p)
}

// replace puts others in force. Those before are closed; what they are asked for meanwhile they answer still.
func (i *identity) replace(g *guards) {
	if old := i.now.Swap(g); old != nil && old.close != nil {
		old.close()
	}
}
