package app

import (
	"context"
	"sync/atomic"

	"github.com/sluice-mq/sluice/gateway"
)

// identity is who may come in and what they may do, by the configuration of the moment. What it stands for is replaced as
// a whole. Safe for concurrent use.
type identity struct{ now atomic.Pointer[guards] }

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
	return i.now.Load().Authenticate(ctx, l)
}

// Renew implements gateway.Authenticator.
func (i *identity) Renew(p gateway.Principal) (gateway.Principal, error) {
	return i.now.Load().Renew(p)
}

// Rights implements gateway.Authorizer.
func (i *identity) Rights(p gateway.Principal) gateway.Rights { return i.now.Load().Rights(p) }

// replace puts others in force. Those before are closed; what they are asked for meanwhile they answer still.
func (i *identity) replace(g *guards) {
	if old := i.now.Swap(g); old != nil && old.close != nil {
		old.close()
	}
}
