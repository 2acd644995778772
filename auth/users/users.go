package users

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-mq/sluice/auth"
	"github.com/sluice-mq/sluice/auth/dn"
	"github.com/sluice-mq/sluice/gateway"
)

// Config of Users; the zero values are what the comments say.
type Config struct {
	// Computing is how many passwords are computed at once; 0: one for each CPU, at most 8.
	Computing int
	// Waiting is how many logins may wait for that; 0: 4096. WaitingPerHost is how many of them may come from one host; 0: 256.
	Waiting, WaitingPerHost int
	// Remember is for how long a password that was right need not be computed again; 0: 5 minutes; negative: it always is.
	Remember time.Duration
	// Remembered is how many are kept; 0: 16384.
	Remembered int
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Users answers for the Directory of the moment. Safe for concurrent use.
type Users struct {
	directory atomic.Pointer[Directory]
	key       [32]byte // of this process: sums under it are worth nothing elsewhere
	gate      *gate
	remember  time.Duration
	now       func() time.Time

	mu         sync.Mutex
	remembered *remembered
	flights    map[sum]*flight

	computed atomic.Uint64
	recalled atomic.Uint64
	shared   atomic.Uint64
}

type sum [sha256.Size]byte

var (
	_ auth.Passwords    = (*Users)(nil)
	_ auth.Decoy        = (*Users)(nil)
	_ auth.Names        = (*Users)(nil)
	_ auth.Tokens       = (*Users)(nil)
	_ auth.Certificates = (*Users)(nil)
	_ auth.Renewer      = (*Users)(nil)
)

// New returns Users that answer for d.
func New(c Config, d *Directory) *Users {
	or := func(n *int, otherwise int) {
		if *n <= 0 {
			*n = otherwise
		}
	}
	or(&c.Computing, min(runtime.NumCPU(), 8))
	or(&c.Waiting, 4096)
	or(&c.WaitingPerHost, 256)
	or(&c.Remembered, 16384)
	if c.Remember == 0 {
		c.Remember = 5 * time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	u := &Users{
		gate:       newGate(c.Computing, c.Waiting, c.WaitingPerHost),
		remember:   c.Remember,
		now:        c.Now,
		remembered: newRemembered(c.Remembered),
		flights:    map[sum]*flight{},
	}
	rand.Read(u.key[:])
	u.directory.Store(d)
	return u
}

// Replace makes Users answer for another directory. Logins that are under way are judged by it, too.
func (u *Users) Replace(d *Directory) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.directory.Store(d)
	u.remembered.clear()
}

// Verify implements auth.Passwords.
func (u *Users) Verify(ctx context.Context, login, passcode string) (gateway.Principal, bool, error) {
	for {
		d := u.directory.Load()
		m := d.byName[login]
		if m == nil {
			return gateway.Principal{}, false, nil
		}
		s := m.secret
		if s == nil {
			s = d.decoy(u.sum(login))
		}
		right, err := u.check(ctx, s, m.stored, login, passcode)
		switch {
		case err != nil:
			return gateway.Principal{}, true, err
		case u.directory.Load() != d: // it took a while, and the world has changed
			continue
		case !right || m.secret == nil:
			return gateway.Principal{}, true, refused(auth.ErrWrongPassword)
		case m.disabled:
			return gateway.Principal{}, true, refused(auth.ErrDisabled)
		}
		return u.principal(m, "password"), true, nil
	}
}

// Has implements auth.Names.
func (u *Users) Has(name string) bool { return u.directory.Load().byName[name] != nil }

// Decoy implements auth.Decoy: it computes what the password of somebody who exists would have cost.
func (u *Users) Decoy(ctx context.Context, login, passcode string) error {
	_, err := u.check(ctx, u.directory.Load().decoy(u.sum(login)), "", login, passcode)
	return err
}

// decoy chooses one of the secrets, always the same one for a login, so that a stranger's login costs what
// some user's costs. It is nil if nobody has a password.
func (d *Directory) decoy(of sum) secret {
	if len(d.secrets) == 0 {
		return nil
	}
	return d.secrets[binary.LittleEndian.Uint64(of[:])%uint64(len(d.secrets))]
}

// sum is an HMAC of strings under the key of the process.
func (u *Users) sum(parts ...string) (s sum) {
	h := hmac.New(sha256.New, u.key[:])
	var length [8]byte
	for _, p := range parts {
		binary.LittleEndian.PutUint64(length[:], uint64(len(p)))
		h.Write(length[:])
		h.Write([]byte(p))
	}
	h.Sum(s[:0])
	return s
}

// Renew implements auth.Renewer for those who showed a password, a token or a certificate. Whose password or token is another one now is refused.
func (u *Users) Renew(p gateway.Principal) (gateway.Principal, bool, error) {
	d := u.directory.Load()
	m := d.byName[p.Name]
	var still bool
	switch p.Method {
	case "password":
		still = m != nil && m.secret != nil
	case "token":
		still = m != nil && m.token != nil
	case "certificate":
		still = m != nil && d.stillHas(m, p.DN)
	default:
		return gateway.Principal{}, false, nil
	}
	switch {
	case !still:
		return gateway.Principal{}, true, refused(auth.ErrUnknownUser)
	case m.disabled:
		return gateway.Principal{}, true, refused(auth.ErrDisabled)
	}
	now := u.principal(m, p.Method)
	if p.Proof != "" && p.Proof != now.Proof {
		return gateway.Principal{}, true, gateway.WrapError(gateway.Unauthenticated, auth.ErrChanged, "The password or token is another one now.")
	}
	now.DN, now.Proof, now.Expires = p.DN, p.Proof, p.Expires
	return now, true, nil
}

// stillHas reports whether a certificate with that subject may still be the member's. Alternative names are not
// remembered, so who has any is believed, unless the subject is somebody else's now.
func (d *Directory) stillHas(m *member, subject string) bool {
	if n, err := dn.Parse(subject); err == nil {
		if o := d.byDN[n.Key()]; o != nil {
			return o == m
		}
	}
	return len(m.sans) > 0
}

// principal is who a member is that has shown something. Its proof is a sum of what is kept of that, under the key of the process.
func (u *Users) principal(m *member, method string) gateway.Principal {
	p := gateway.Principal{Name: m.name, Groups: slices.Clone(m.groups), Method: method}
	kept := ""
	switch {
	case method == "password":
		kept = m.stored
	case method == "token" && m.token != nil:
		kept = string(m.token[:])
	default:
		return p
	}
	of := u.sum("proof", method, m.name, kept)
	p.Proof = hex.EncodeToString(of[:])
	return p
}

// refused is an error of which the client reads nothing: the chain has the words.
func refused(why error) error { return gateway.WrapError(gateway.Unauthenticated, why, "") }

// Stats are counted since the start.
type Stats struct {
	// Users there are now.
	Users int
	// Computed passwords; Recalled ones that were right a short time ago; Shared ones that somebody else was computing.
	Computed, Recalled, Shared uint64
	// Waiting logins now, and how many were TurnedAway because too many waited.
	Waiting    int
	TurnedAway uint64
}

// Stats returns the figures of this moment.
func (u *Users) Stats() Stats {
	s := Stats{
		Users: u.directory.Load().Len(), Computed: u.computed.Load(), Recalled: u.recalled.Load(), Shared: u.shared.Load(),
	}
	s.Waiting, s.TurnedAway = u.gate.figures()
	return s
}
