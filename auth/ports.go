package auth

import (
	"context"
	"crypto/x509"
	"errors"

	"github.com/sluice-mq/sluice/gateway"
)

// Why somebody was refused. Ports wrap these as the cause of their errors: clients do not see them, the log and the
// counters do.
var (
	ErrUnknownUser   = errors.New("there is no such user")
	ErrWrongPassword = errors.New("the password is wrong")
	ErrUnknownToken  = errors.New("the token is nobody's")
	ErrDisabled      = errors.New("the user is disabled")
	ErrChanged       = errors.New("the password or token is another one now")
	ErrExpired       = errors.New("the proof has expired")
	ErrUntrusted     = errors.New("nobody trusted vouches for it")
)

// Passwords knows people by login and passcode: the file of users, a directory. Safe for concurrent use.
type Passwords interface {
	// Verify returns found false, and no error, if nobody here has that login: then the next one is asked. An Error of kind Limit
	// or Unavailable goes to the client as it is; of one of kind Unauthenticated the client hears nothing but that it is refused. It waits as long as
	// ctx allows; AddressOf(ctx) is who asks. The passcode is not empty and may not be kept.
	Verify(ctx context.Context, login, passcode string) (p gateway.Principal, found bool, err error)
}

// Names is implemented by Passwords who own their names: nobody whom another one finds by another spelling of the login gets one of them.
type Names interface {
	// Has reports whether somebody has exactly that name.
	Has(name string) bool
}

// Decoy is implemented by Passwords whose work takes a time that could be measured. When nobody has a login, it is asked to do what a wrong
// password would have cost, so that strangers cannot find out who exists.
type Decoy interface {
	// Decoy returns an Error of kind Limit when Verify would have done so.
	Decoy(ctx context.Context, login, passcode string) error
}

// Tokens knows people by a token. Safe for concurrent use.
type Tokens interface {
	// VerifyToken returns found false, and no error, if it knows nothing of such a token. The text of an Error of
	// kind Unauthenticated is appended to what the client reads; it never holds the token.
	VerifyToken(ctx context.Context, token string) (p gateway.Principal, found bool, err error)
}

// Certificates knows people by a certificate that is trusted. Safe for concurrent use.
type Certificates interface {
	// Identify returns found false, and no error, if it is nobody's. The text of an Error of kind Unauthenticated is appended to what the
	// client reads.
	Identify(c *x509.Certificate) (p gateway.Principal, found bool, err error)
}

// Renewer is implemented by those of the ports above that know what became of somebody. Safe for concurrent use; it must not block.
type Renewer interface {
	// Renew returns who p is now. found is false if it is not for this port to say, as p's Method tells.
	Renew(p gateway.Principal) (now gateway.Principal, found bool, err error)
}
