package gatewaytest

import (
	"context"

	"github.com/sluice-mq/sluice/gateway"
)

// Everyone lets everybody in and do everything.
type Everyone struct{}

// Authenticate implements gateway.Authenticator.
func (Everyone) Authenticate(_ context.Context, l gateway.Login) (gateway.Principal, error) {
	return gateway.Principal{Name: l.Credentials.Login}, nil
}

// Renew implements gateway.Authenticator.
func (Everyone) Renew(p gateway.Principal) (gateway.Principal, error) { return p, nil }

// Rights implements gateway.Authorizer.
func (Everyone) Rights(gateway.Principal) gateway.Rights { return Rules(nil) }

// Rules is an Authorizer made of a function, which is asked whether a principal may do something; nil allows everything.
type Rules func(gateway.Principal, gateway.Action, gateway.Destination) error

// Rights implements gateway.Authorizer.
func (r Rules) Rights(p gateway.Principal) gateway.Rights {
	return rights{r, p}
}

// May implements gateway.Rights for whoever is anonymous.
func (r Rules) May(a gateway.Action, d gateway.Destination) error {
	return rights{r, gateway.Principal{}}.May(a, d)
}

// All implements gateway.Rights for whoever is anonymous.
func (r Rules) All(gateway.Action, gateway.Destination) bool { return r == nil }

// Operate implements gateway.Rights; everything is allowed.
func (r Rules) Operate(string) error { return nil }

type rights struct {
	rules Rules
	who   gateway.Principal
}

func (r rights) May(a gateway.Action, d gateway.Destination) error {
	if r.rules == nil {
		return nil
	}
	return r.rules(r.who, a, d)
}

func (r rights) All(gateway.Action, gateway.Destination) bool { return r.rules == nil }

func (r rights) Operate(string) error { return nil }
