package auth

import (
	"context"
	"unicode/utf8"

	"github.com/sluice-mq/sluice/gateway"
)

// MaxLoginLength is the longest login that is accepted, in bytes. A login ends
// up in logs, so it is bounded whoever asks.
const MaxLoginLength = 256

// Anonymous accepts every client: whatever login and passcode it shows, it gets
// a principal of that name, and an empty name if it shows none. It proves
// nothing, so it is what a node on loopback uses. Safe for concurrent use; the
// zero value is ready.
type Anonymous struct{}

var _ gateway.Authenticator = Anonymous{}

// Authenticate returns the principal that the login names. It refuses, with
// an Error of kind Unauthenticated, only names that could not be shown in a log:
// longer than MaxLoginLength, not UTF-8 or holding control characters.
func (Anonymous) Authenticate(_ context.Context, l gateway.Login) (gateway.Principal, error) {
	c := l.Credentials
	switch {
	case len(c.Login) > MaxLoginLength:
		return gateway.Principal{}, gateway.Errorf(gateway.Unauthenticated,
			"login is %d bytes long, the limit is %d", len(c.Login), MaxLoginLength)
	case !utf8.ValidString(c.Login):
		return gateway.Principal{}, gateway.Errorf(gateway.Unauthenticated, "login is not valid UTF-8")
	}
	for i := range len(c.Login) {
		if b := c.Login[i]; b < 0x20 || b == 0x7f {
			return gateway.Principal{}, gateway.Errorf(gateway.Unauthenticated,
				"login holds the control character 0x%02x at byte %d", b, i)
		}
	}
	return gateway.Principal{Name: c.Login}, nil
}

// Renew returns the same principal.
func (Anonymous) Renew(p gateway.Principal) (gateway.Principal, error) { return p, nil }
