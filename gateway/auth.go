package gateway

import (
	"context"
	"crypto/x509"
	"time"
)

// Principal is who a session acts for. The zero value is the anonymous principal.
type Principal struct {
	// Name is the user name; empty is anonymous.
	Name string
	// Groups the principal is a member of.
	Groups []string
	// DN is the subject of its certificate as RFC 2253 writes it; empty if it showed none.
	DN string
	// Method is how it was proven: "password", "certificate", "token", "jwt", "ldap"; empty: nothing was proven.
	Method string
	// Proof is by what its Authenticator recognises later what was shown, and says nothing to anybody else; empty: whoever it is is
	// renewed by name. It is never written down.
	Proof string
	// Expires is when the proof is worth nothing any more; zero is never. core ends the session then.
	Expires time.Time
}

// Credentials are what a client showed. Absent parts are empty.
type Credentials struct {
	Login, Passcode string
	// Token is a bearer token.
	Token string
	// Certificate is the client's own, whose key it has proven to have.
	Certificate *x509.Certificate
	// CertificateErr says, in words for its owner, why the listener does not trust Certificate; nil: it does.
	CertificateErr error
}

// Introduced is implemented by a connection whose transport learned something about its client before the first byte
// of the protocol: a certificate, a bearer token, the name of its library.
type Introduced interface {
	// Introduction is fixed when the connection is handed to its door.
	Introduction() Introduction
}

// Introduction is what a transport knows of a client.
type Introduction struct {
	// Credentials hold no Login and no Passcode.
	Credentials Credentials
	// Library is what the client's software calls itself; empty if it does not say. It comes from the client.
	Library string
	// Secure: nobody on the way reads along.
	Secure bool
}

// Authenticator tells who a client is. Safe for concurrent use.
type Authenticator interface {
	// Authenticate returns the principal or an Error whose text the door shows: of kind Unauthenticated; or
	// Limit, if there were too many attempts; or Unavailable, if whoever knows cannot be asked now. It may take as long as ctx allows.
	Authenticate(ctx context.Context, l Login) (Principal, error)
	// Renew tells who a principal is now that was authenticated before: with other groups, perhaps. The Error of kind
	// Unauthenticated says that it is nobody any more. It asks nobody else and does not block.
	Renew(p Principal) (Principal, error)
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
	// Manage: look into a destination without consuming, empty it, watch it.
	Manage
)

// String returns the action as rules write it.
func (a Action) String() string {
	switch a {
	case Read:
		return "read"
	case Write:
		return "write"
	case Create:
		return "create"
	case Manage:
		return "manage"
	}
	return "unknown"
}

// Authorizer tells what principals may do. It is asked by core, so that every door has its rules, and by the admin door for its operations.
// Safe for concurrent use.
type Authorizer interface {
	// Rights returns what a principal may do by the rules of this moment. It must not block.
	Rights(p Principal) Rights
}

// Rights are what one principal may do, by rules that do not change any more. Safe for concurrent use. They are asked for every message, so
// the answer must be quick and cost no allocation when it is yes.
type Rights interface {
	// May returns nil or an Error of kind Denied whose text the door shows. A pattern may be used if anything may
	// that it matches: then each destination has to be asked for, unless All says otherwise.
	May(a Action, d Destination) error
	// All reports whether the action is allowed with every destination that d, a pattern, matches.
	All(a Action, d Destination) bool
	// Operate returns nil or an Error of kind Denied for an operation on the node itself: "drain", "status", "tap".
	Operate(operation string) error
}
