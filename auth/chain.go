package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluice-mq/sluice/auth/dn"
	"github.com/sluice-mq/sluice/gateway"
)

// ChainConfig says who is asked. What is nil is not asked.
type ChainConfig struct {
	// Passwords are asked one after another; the first one that has a login decides.
	Passwords []Passwords
	// Tokens are asked for opaque tokens, JWTs for what looks like a JWT.
	Tokens, JWTs Tokens
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
// alone: nothing falls through to something weaker. Safe for concurrent use. To change it, replace what it asks, as users.Users can be, or it.
type Chain struct {
	c     ChainConfig
	brake *brake
	tally tally
}

var _ gateway.Authenticator = (*Chain)(nil)

// NewChain returns a Chain.
func NewChain(c ChainConfig) *Chain {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Chain{c: c, brake: newBrake(c.Brake, c.Now), tally: tally{counts: map[Count]uint64{}}}
}

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
	case c.Passcode != "", c.Login != "" && c.Certificate == nil:
		return shownPassword
	case c.Certificate != nil:
		return shownCertificate
	}
	return shownNothing
}

// Authenticate implements gateway.Authenticator. The texts begin as those of ActiveMQ, since clients look for them.
func (a *Chain) Authenticate(ctx context.Context, l gateway.Login) (gateway.Principal, error) {
	what := firstShown(l.Credentials)
	p, err := a.authenticate(ctx, what, l)
	if err == nil && !p.Expires.IsZero() && !a.c.Now().Before(p.Expires) {
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
	c := l.Credentials
	if err := checkLogin(c.Login); err != nil {
		return gateway.Principal{}, err
	}
	switch what {
	case shownCertificate:
		return a.certificate(c)
	case shownNothing:
		if !a.c.Anonymous {
			return gateway.Principal{}, gateway.WrapError(gateway.Unauthenticated, errors.New("nothing was shown"), "")
		}
		return gateway.Principal{}, nil
	case shownPassword:
		if c.Passcode == "" {
			return gateway.Principal{}, gateway.WrapError(gateway.Unauthenticated, errors.New("there is a login and no passcode"), "")
		}
	}
	host := HostOf(l.Remote)
	leave, err := a.brake.enter(ctx, host, braked(c))
	if err != nil {
		return gateway.Principal{}, err
	}
	how := nothing
	defer func() { leave(how) }()
	ctx = WithAddress(ctx, host)
	var p gateway.Principal
	if what == shownToken {
		p, err = a.token(ctx, c.Token)
	} else {
		p, err = a.password(ctx, c.Login, c.Passcode)
	}
	switch {
	case err == nil:
		how = succeeded
	case gateway.KindOf(err) == gateway.Unauthenticated:
		how = failed
	}
	return p, err
}

// braked is what is counted: a login; a token that comes without one.
func braked(c gateway.Credentials) string {
	switch {
	case c.Token != "":
		return "token " + c.Token
	case c.Login == "" || looksLikeJWT(c.Passcode):
		return "token " + c.Passcode
	}
	return "login " + c.Login
}

func (a *Chain) token(ctx context.Context, token string) (gateway.Principal, error) {
	ask := a.c.Tokens
	if a.c.JWTs != nil && looksLikeJWT(token) {
		ask = a.c.JWTs
	}
	if ask != nil {
		if p, found, err := ask.VerifyToken(ctx, token); err != nil || found {
			return p, err
		}
	}
	return gateway.Principal{}, gateway.WrapError(gateway.Unauthenticated, ErrUnknownToken, "")
}

// password judges a passcode, which may be a token: clients of STOMP have no other place for one.
func (a *Chain) password(ctx context.Context, login, passcode string) (gateway.Principal, error) {
	if a.c.JWTs != nil && looksLikeJWT(passcode) {
		return a.token(ctx, passcode)
	}
	if a.c.Tokens != nil {
		p, found, err := a.c.Tokens.VerifyToken(ctx, passcode)
		switch {
		case found && err == nil && (login == "" || login == p.Name):
			return p, nil
		case err != nil:
			return gateway.Principal{}, err
		}
	}
	if login == "" {
		return gateway.Principal{}, gateway.WrapError(gateway.Unauthenticated, ErrUnknownToken, "")
	}
	for _, ask := range a.c.Passwords {
		p, found, err := ask.Verify(ctx, login, passcode)
		if err != nil || found {
			return p, silent(err)
		}
	}
	for _, ask := range a.c.Passwords {
		if d, ok := ask.(Decoy); ok {
			if err := d.Decoy(ctx, login, passcode); err != nil {
				return gateway.Principal{}, err
			}
		}
	}
	return gateway.Principal{}, gateway.WrapError(gateway.Unauthenticated, ErrUnknownUser, "")
}

// silent takes the text from an error that says why a password was refused: the client must not read it.
func silent(err error) error {
	if err != nil && gateway.KindOf(err) == gateway.Unauthenticated {
		return gateway.WrapError(gateway.Unauthenticated, err, "")
	}
	return err
}

func (a *Chain) certificate(c gateway.Credentials) (gateway.Principal, error) {
	if c.CertificateErr != nil {
		words := c.CertificateErr.Error()
		if e := (*gateway.Error)(nil); errors.As(c.CertificateErr, &e) {
			words = e.Text
		}
		return gateway.Principal{}, gateway.WrapError(gateway.Unauthenticated, ErrUntrusted, words)
	}
	if a.c.Certificates != nil {
		p, found, err := a.c.Certificates.Identify(c.Certificate)
		switch {
		case err != nil:
			return p, err
		case found:
			return p, nil
		}
	}
	subject := "its subject cannot be read"
	if n, err := dn.Of(c.Certificate); err == nil {
		subject = n.String()
	}
	return gateway.Principal{}, gateway.WrapError(gateway.Unauthenticated, ErrUnknownUser, "No user for client certificate: "+subject)
}

// Renew implements gateway.Authenticator: it asks who knew the principal.
func (a *Chain) Renew(p gateway.Principal) (gateway.Principal, error) {
	if p.Method == "" && p.Name == "" {
		if a.c.Anonymous {
			return p, nil
		}
		return gateway.Principal{}, gateway.Errorf(gateway.Unauthenticated, "%s", refusedText(""))
	}
	if !p.Expires.IsZero() && !a.c.Now().Before(p.Expires) {
		return gateway.Principal{}, gateway.WrapError(gateway.Unauthenticated, ErrExpired, refusedText(p.Name))
	}
	known := []any{a.c.Tokens, a.c.JWTs, a.c.Certificates}
	for _, k := range a.c.Passwords {
		known = append(known, k)
	}
	for _, k := range known {
		r, ok := k.(Renewer)
		if !ok {
			continue
		}
		if now, found, err := r.Renew(p); err != nil || found {
			if err != nil {
				return gateway.Principal{}, gateway.WrapError(gateway.Unauthenticated, err, refusedText(p.Name))
			}
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
