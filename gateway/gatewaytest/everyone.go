package gatewaytest

import (
	"context"

	"github.com/sluice-mq/sluice/gateway"
)

// Everyone lets everybody in and do everything.
type Everyone struct{}

// Authenticate implements gateway.Authenticator.
func (Everyone) Authenticate(_ context.Context, c gateway.Credentials) (gateway.Principal, error) {
	return gateway.Principal{Name: c.Login}, nil
}

// Authorize implements gateway.Authorizer.
func (Everyone) Authorize(gateway.Principal, gateway.Action, gateway.Destination) error { return nil }
