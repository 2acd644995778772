package auth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/sluice-mq/sluice/auth/dn"
	"github.com/sluice-mq/sluice/gateway"
)

// ChainConfig says who is asked. What is nil is not asked.
type ChainConfig struct {
	// Passwords are asked one after another; the first one that has a login decides.
	Passwords []Passwords
	// Tokens are asked for opaque tokens, one after another; the first one that has a token decides.
	Tokens []Tokens
	// JWTs are asked for what looks like a JWT.
	JWTs Tokens
	// Certificates are asked for certificates that the listener trusts.
	Certificates Certificates
	// Anonymous lets in clients that show nothing at all.
	Anonymous bool
	// Brake slows down who guesses passwords and tokens.
	Brake BrakeConfig
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Chain is the authenticator of a node. What a client shows first, in the order bearer token, passcode, certificate, decides
// alone: nothing falls through to something weaker. Safe for concurrent use.
type Chain struct {
	config atomic.Pointer[ChainConfig]
	brake  *brake
	tally  tally
	now    func() time.Time
}

var _ gateway.Authenticator = (*Chain)(nil)

// NewChain returns a Chain.
func NewChain(c ChainConfig) *Chain {
	if c.Now == nil {
		c.Now = time.Now
	}
	a := &Chain{brake: newBrake(c.Brake, c.Now), tally: tally{counts: map[Count]uint64{}}, now: c.Now}
	a.config.Store(&c)
	return a
}

// Replace changes who is asked. What is known of those who guess stays, and so do Brake and Now of the first configuration.
func (a *Chain) Replace(c ChainConfig) { a.config.Store(&c) }

// shown is what of a client's credentials decides.
type shown string

const (
	shownToken       shown = "token"
	shownPassword    shown = "password"
	shownCertificate shown = "certificate"
	shownNothing     shown = "anonymous"
)

// firstShown tells what decides. A login without a passcode proves nothing, so a certificate beside it decides, and the
// login is not looked at, as with ActiveMQ.
func firstShown(c gateway.Credentials) shown {
	switch {
	case c.Token != "":
		return shownToken
	case c.Passcode != "", c.Login != "" && c.Certificate == nil && c.CertificateErr == nil:
		return shownPassword
	case c.Certificate != nil, c.CertificateErr != nil:
		return shownCertificate
	}
	return shownNothing
}

// Authenticate implements gateway.Authenticator. The texts begin as those of ActiveMQ, since clients look for them.
func (a *Chain) Authenticate(ctx context.Context, l gateway.Login) (gateway.Principal, error) {
	what := firstShown(l.Credentials)
	p, err := a.authenticate(ctx, what, l)
	if err == nil && !p.Expires.IsZero() && !a.now().Before(p.Expires) {
		err = gateway.WrapError(gateway.Unauthenticated, ErrExpired, "")
	}
	if err == nil && p.Name == "" && what != shownNothing {
		err = errors.New("somebody without a name was let in")
	}
	a.tally.add(what, err)
	if err != nil {
		return gateway.Principal{}, inWords(l.Credentials, what, err)
	}
	if p.DN == "" && l.Credentials.Certificate != nil && l.Credentials.CertificateErr == nil {
		if n, err := dn.Of(l.Credentials.Certificate); err == nil {
			p.DN = n.String()
		}
	}
	return p, nil
}

func (a *Chain) authenticate(ctx context.Context, what shown, l gateway.Login) (gateway.Principal, error) {
	c, ask := l.Credentials, a.config.Load()
	if err := checkLogin(c.Login); err != nil {
		return gateway.Principal{}, err
	}
	switch what {
	case shownCertificate:
		return ask.certificate(c)
	case shownNothing:
		if !ask.Anonymous {
			return gateway.Principal{}, gateway.WrapError(gateway.Unauthenticated, errors.New("nothing was shown"), "")
		}
		return gateway.Principal{}, nil
	case shownPassword:
		if c.Passcode == "" {
			return gateway.Principal{}, gateway.WrapError(gateway.Unauthenticated, errors.New("there is a login and no passcode"), "")
		}
	}
	host := HostOf(l.Remote)
	leave, err := a.brake.enter(ctx, host, ask.braked(c))
	if err != nil {
		return gateway.Principal{}, err
	}
	how := nothing
	defer func() { leave(how) }()
	ctx = WithAddress(ctx, host)
	var p gateway.Principal
	for judge := (*ChainConfig)(nil); judge != a.config.Load(); { // it takes a while, and whom to ask may have changed
		judge = a.config.Load()
		if what == shownToken {
			p, err = judge.token(ctx, c.Token)
		} else {
			p, err = judge.password(ctx, c.Login, c.Passcode)
		}
	}
	switch {
	case err == nil:
		how = succeeded
	case gateway.KindOf(err) == gateway.Unauthenticated:
		how = failed
	}
	return p, err
}

// braked is what is counted: a login; or a token that comes without one, or that says itself whose it is.
func (c *ChainConfig) braked(shown gateway.Credentials) string {
	switch {
	case shown.Token != "":
		return "token " + shown.Token
	case shown.Login == "", c.JWTs != nil && looksLikeJWT(shown.Passcode):
		return "token " + shown.Passcode
	}
	return "login " + strings.ToLower(shown.Login) // some directories take any spelling
}

func (c *ChainConfig) token(ctx context.Context, token string) (gateway.Principal, error) {
	if c.JWTs != nil && looksLikeJWT(token) {
		if p, found, err := c.JWTs.VerifyToken(ctx, token); err != nil || found {
			return p, err
		}
	} else if p, found, err := c.opaque(ctx, token); err != nil || found {
		return p, err
	}
	return gateway.Principal{}, gateway.WrapError(gateway.Unauthenticated, ErrUnknownToken, "")
}

// opaque asks whose token it is.
func (c *ChainConfig) opaque(ctx context.Context, token string) (p gateway.Principal, found bool, err error) {
	for _, ask := range c.Tokens {
		if p, found, err = ask.VerifyToken(ctx, token); err != nil || found {
			break
		}
	}
	return p, found, err
}

// password judges a passcode, which may be a token: clients of STOMP have no other place for one.
func (c *ChainConfig) password(ctx context.Context, login, passcode string) (gateway.Principal, error) {
	if c.JWTs != nil && looksLikeJWT(passcode) {
		return c.token(ctx, passcode)
	}
	p, found, err := c.opaque(ctx, passcode)
	switch {
	case found && err == nil && (login == "" || login == p.Name):
		return p, nil
	case err != nil:
		return gateway.Principal{}, err
	}
	if login == "" {
		return gateway.Principal{}, gateway.WrapError(gateway.Unauthenticated, ErrUnknownToken, "")
	}
	for i, ask := range c.Passwords {
		p, found, err := ask.Verify(ctx, login, passcode)
		if err == nil && found && p.Name != login && taken(c.Passwords[:i], p.Name) {
			err = gateway.WrapError(gateway.Unauthenticated, fmt.Errorf("%w: the login is that of %q elsewhere, and here somebody else has that name", ErrUnknownUser, p.Name), "")
		}
		if gateway.KindOf(err) == gateway.Unauthenticated && err != nil {
			c.cost(ctx, i, login, passcode)
		}
		if err != nil || found {
			return p, silent(err)
		}
	}
	for _, ask := range c.Passwords {
		if d, ok := ask.(Decoy); ok {
			if err := d.Decoy(ctx, login, passcode); err != nil {
				return gateway.Principal{}, err
			}
		}
	}
	return gateway.Principal{}, gateway.WrapError(gateway.Unauthenticated, ErrUnknownUser, "")
}

// cost has a refusal cost what it costs those whom the others know, so that nobody can find out by whom somebody is known: those before have not known the
// login, and those behind were not asked. Whatever they say changes nothing.
func (c *ChainConfig) cost(ctx context.Context, refusing int, login, passcode string) {
	for i, ask := range c.Passwords {
		d, ok := ask.(Decoy)
		switch {
		case i < refusing && ok:
			_ = d.Decoy(ctx, login, passcode)
		case i > refusing:
			_, _, _ = ask.Verify(ctx, "nobody-"+rand.Text(), rand.Text())
		}
	}
}

// taken reports whether one of those asked before has a name. They were asked for the login, which another one
// may take in other spellings: as "ALICE" nobody gets past an "alice" who is disabled.
func taken(before []Passwords, name string) bool {
	return slices.ContainsFunc(before, func(p Passwords) bool {
		n, ok := p.(Names)
		return ok && n.Has(name)
	})
}

// silent takes the text from an error that says why a password was refused: the client must not read it.
func silent(err error) error {
	if err != nil && gateway.KindOf(err) == gateway.Unauthenticated {
		return gateway.WrapError(gateway.Unauthenticated, err, "")
	}
	return err
}

func (c *ChainConfig) certificate(shown gateway.Credentials) (gateway.Principal, error) {
	if shown.CertificateErr != nil {
		words := shown.CertificateErr.Error()
		if e := (*gateway.Error)(nil); errors.As(shown.CertificateErr, &e) {
			words = e.Text
		}
		return gateway.Principal{}, gateway.WrapError(gateway.Unauthenticated, ErrUntrusted, words)
	}
	if c.Certificates != nil {
		p, found, err := c.Certificates.Identify(shown.Certificate)
		switch {
		case err != nil:
			return p, err
		case found:
			return p, nil
		}
	}
	subject := "its subject cannot be read"
	if n, err := dn.Of(shown.Certificate); err == nil {
		subject = n.String()
	}
	return gateway.Principal{}, gateway.WrapError(gateway.Unauthenticated, ErrUnknownUser, "No user for client certificate: "+subject)
}

// Renew implements gateway.Authenticator: it asks who knew the principal.
func (a *Chain) Renew(p gateway.Principal) (gateway.Principal, error) {
	ask := a.config.Load()
	if p.Method == "" && p.Name == "" {
		if ask.Anonymous {
			return p, nil
		}
		return gateway.Principal{}, gateway.Errorf(gateway.Unauthenticated, "%s", refusedText(""))
	}
	if !p.Expires.IsZero() && !a.now().Before(p.Expires) {
		return gateway.Principal{}, gateway.WrapError(gateway.Unauthenticated, ErrExpired, refusedText(p.Name))
	}
	known := []any{ask.JWTs, ask.Certificates}
	for _, k := range ask.Tokens {
		known = append(known, k)
	}
	others := len(known)
	for _, k := range ask.Passwords {
		known = append(known, k)
	}
	for i, k := range known {
		r, ok := k.(Renewer)
		if !ok {
			continue
		}
		now, found, err := r.Renew(p)
		if err == nil && found && i >= others && taken(ask.Passwords[:i-others], p.Name) {
			err = fmt.Errorf("%w: %q is the name of somebody else now", ErrUnknownUser, p.Name)
		}
		switch {
		case err != nil:
			text := refusedText(p.Name)
			if words := gateway.TextOf(err); gateway.KindOf(err) == gateway.Unauthenticated && words != "" {
				text += " " + printable(words, maxWords)
			}
			return gateway.Principal{}, gateway.WrapError(gateway.Unauthenticated, err, text)
		case found:
			return now, nil
		}
	}
	return gateway.Principal{}, gateway.WrapError(gateway.Unauthenticated, ErrUnknownUser, refusedText(p.Name))
}

// MaxToken is the longest token that is looked at, in bytes.
const MaxToken = 16 << 10

// looksLikeJWT reports whether a token has the header of a JWT, signed or encrypted, and parts after it.
func looksLikeJWT(s string) bool {
	head, rest, _ := strings.Cut(s, ".")
	if !strings.Contains(rest, ".") || len(head) > MaxToken {
		return false
	}
	b, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return false
	}
	var header map[string]json.RawMessage
	return json.Unmarshal(b, &header) == nil && header["alg"] != nil
}

func checkLogin(s string) error {
	why := ""
	switch {
	case len(s) > MaxLoginLength:
		why = "the login is too long"
	case !utf8.ValidString(s):
		why = "the login is not valid UTF-8"
	case strings.ContainsFunc(s, isControl):
		why = "the login holds a control character"
	default:
		return nil
	}
	return gateway.WrapError(gateway.Unauthenticated, errors.New(why), "")
}

func isControl(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 }
