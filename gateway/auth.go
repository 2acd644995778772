package gateway

import "context"

// Principal is who a session acts for. The zero value is the anonymous principal.
type Principal struct {
	// Name is the user name; empty is anonymous.
	Name string
	// Groups the principal is a member of.
	Groups []string
}

// Credentials are what a client showed. Absent parts are empty.
type Credentials struct {
	Login, Passcode string
}

// Authenticator tells who a client is. Safe for concurrent use.
type Authenticator interface {
	// Authenticate returns the principal or an Error of kind Unauthenticated
	// whose text the door shows.
	Authenticate(ctx context.Context, c Credentials) (Principal, error)
}

// Action is what a principal wants to do with a destination.
type Action uint8

const (
	// Read: subscribe and receive.
	Read Action = iota + 1
	// Write: send.
	Write
	// Create: use a destination that does not exist yet.
	Create
)

// Authorizer tells what a principal may do. It is asked by core alone, so that
// every door has its rules. Safe for concurrent use; must not block.
type Authorizer interface {
	// Authorize returns nil or an Error of kind Denied whose text the door shows.
	Authorize(p Principal, a Action, d Destination) error
}
