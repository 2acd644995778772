package nats

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

// Voucher stands before the broker's Authenticator, so that the doors of users can have sessions: whom a Gate has let in the broker lets in once
// more, as the same principal, without being shown the proof again. It is safe for concurrent use.
type Voucher struct {
	next gateway.Authenticator

	mu      sync.Mutex
	vouched map[string]gateway.Principal // by tokens that are good for one login
}

// NewVoucher asks next about everybody else.
func NewVoucher(next gateway.Authenticator) *Voucher {
	return &Voucher{next: next, vouched: make(map[string]gateway.Principal)}
}

// vouch returns credentials that are good for one login as p, and what takes them back. They do not expire, and by which proof somebody came does not matter: the connections
// of the user have sessions of their own.
func (v *Voucher) vouch(p gateway.Principal) (gateway.Credentials, func()) {
	token := rand.Text() + rand.Text()
	p.Proof, p.Expires = "", time.Time{}
	v.mu.Lock()
	v.vouched[token] = p
	v.mu.Unlock()
	return gateway.Credentials{Token: token}, func() {
		v.mu.Lock()
		delete(v.vouched, token)
		v.mu.Unlock()
	}
}

// Authenticate implements gateway.Authenticator.
func (v *Voucher) Authenticate(ctx context.Context, l gateway.Login) (gateway.Principal, error) {
	if l.Protocol == doorProtocol && l.Listener == "" {
		v.mu.Lock()
		p, ok := v.vouched[l.Credentials.Token]
		delete(v.vouched, l.Credentials.Token)
		v.mu.Unlock()
		if ok {
			return p, nil
		}
	}
	return v.next.Authenticate(ctx, l)
}

// Renew implements gateway.Authenticator.
func (v *Voucher) Renew(p gateway.Principal) (gateway.Principal, error) { return v.next.Renew(p) }

// doorProtocol is that of a door's own session.
const doorProtocol = "nats/door"

// doorRemote stands for the address of a door's session where no other is known.
const doorRemote = "native clients"

// anonymousToken stands for whoever did not say who they are.
const anonymousToken = "anonymous"

// TokenOf stands for a user in the names of accounts, subjects and files: whatever a user is called, it is 32 hexadecimal digits,
// the same on all nodes. Groups that a token of JWT says are that token's own and not the user's: who shows others is kept apart.
func TokenOf(p gateway.Principal) string {
	if p.Name == "" {
		return anonymousToken
	}
	said := strconv.Quote(p.Name)
	if p.Method == "jwt" {
		said += fmt.Sprintf(" %q", slices.Sorted(slices.Values(p.Groups)))
	}
	sum := sha256.Sum256([]byte(said))
	return hex.EncodeToString(sum[:16])
}
