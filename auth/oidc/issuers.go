package oidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sluice-mq/sluice/auth"
	"github.com/sluice-mq/sluice/gateway"
)

// Issuers believes tokens of some issuers. Safe for concurrent use.
type Issuers struct {
	c      Config
	byName map[string]*issuer
	cancel context.CancelFunc
	all    sync.WaitGroup
}

type issuer struct {
	Issuer
	keys *keys
}

var (
	_ auth.Tokens  = (*Issuers)(nil)
	_ auth.Renewer = (*Issuers)(nil)
)

// New returns Issuers, who fetch keys until Close. A file of keys must be there and good at once; who is asked for keys need not.
func New(c Config) (*Issuers, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Issuers{c: c, byName: map[string]*issuer{}, cancel: cancel}
	for _, i := range c.Issuers {
		k := newKeys(&s.c, i)
		if k.file {
			if err := k.attempt(ctx); err != nil {
				s.Close()
				return nil, err
			}
		}
		s.byName[i.Issuer] = &issuer{Issuer: i, keys: k}
		s.all.Go(func() { k.run(ctx) })
	}
	return s, nil
}

// Close stops fetching keys and waits for that to end. Tokens are verified with those that are known.
func (s *Issuers) Close() {
	s.cancel()
	s.all.Wait()
}

// algorithms are the signatures that are believed: those that need a private key. "none" and HS256, whose key the public knows, are not among them.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
		jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
	}
}

var errMalformed = errors.New("the token is malformed")

func malformed(text string) error {
	return gateway.WrapError(gateway.Unauthenticated, errMalformed, text)
}

// VerifyToken implements auth.Tokens. Everything that has the form of a JWT is for it to judge. It waits for keys, if there are none yet,
// or none by the name that the token says, and that not more often than every half minute.
func (s *Issuers) VerifyToken(ctx context.Context, token string) (gateway.Principal, bool, error) {
	p, err := s.verify(ctx, token)
	return p, true, err
}

func (s *Issuers) verify(ctx context.Context, token string) (none gateway.Principal, err error) {
	signed, said, err := parse(token)
	if err != nil {
		return none, err
	}
	i := s.byName[said.text("iss")]
	if i == nil {
		return none, untrusted(said)
	}
	if err := i.signature(ctx, signed); err != nil {
		return none, err
	}
	until, err := i.when(said, s.c.Now())
	if err != nil {
		return none, err
	}
	if err := i.whom(said); err != nil {
		return none, err
	}
	return i.principal(said, until)
}

// parse reads a token; nothing of it is to be believed yet.
func parse(token string) (*jose.JSONWebSignature, claims, error) {
	switch dots := strings.Count(token, "."); {
	case len(token) > auth.MaxToken:
		return nil, nil, gateway.WrapError(gateway.Unauthenticated, errMalformed, "the token is longer than 16 KiB")
	case dots == 4:
		return nil, nil, malformed("the token is encrypted; only signed ones are accepted")
	case dots != 2:
		return nil, nil, malformed("the token is malformed")
	}
	head, _, _ := strings.Cut(token, ".")
	var header claims
	if b, err := base64.RawURLEncoding.DecodeString(head); err != nil || json.Unmarshal(b, &header) != nil {
		return nil, nil, malformed("the token is malformed")
	}
	if _, found := header["crit"]; found { // nothing critical is known here, "b64" neither
		return nil, nil, malformed("the token demands an extension that is not known here")
	}
	signed, err := jose.ParseSignedCompact(token, algorithms())
	if err != nil {
		if e := (*jose.ErrUnexpectedSignatureAlgorithm)(nil); errors.As(err, &e) {
			return nil, nil, malformed("the token is signed by an algorithm that is not accepted; RS256, ES256, PS256, EdDSA and their like are")
		}
		return nil, nil, malformed("the token is malformed")
	}
	var said claims
	if json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &said) != nil {
		return nil, nil, malformed("the token is malformed")
	}
	return signed, said, nil
}

// signature checks that the issuer has signed. If none of its keys did, they are fetched again: it may have new ones.
func (i *issuer) signature(ctx context.Context, signed *jose.JSONWebSignature) error {
	header := signed.Signatures[0].Protected
	known, generation, err := i.keys.known(ctx)
	if err != nil {
		return err
	}
	named := false
	for {
		for _, k := range known {
			if header.KeyID != "" && k.KeyID != "" && k.KeyID != header.KeyID {
				continue
			}
			named = named || header.KeyID != "" && k.KeyID == header.KeyID
			if k.Algorithm != "" && k.Algorithm != header.Algorithm {
				continue
			}
			if _, err := signed.Verify(k.Key); err == nil {
				return nil
			}
		}
		if named || !i.keys.newer(ctx, generation) {
			return i.refusal(auth.ErrUntrusted, "is not signed by it")
		}
		if known, generation, err = i.keys.known(ctx); err != nil {
			return err
		}
		named = true // once is enough
	}
}

// Renew implements auth.Renewer: who came by a token stays who it said until it expires, unless tokens of its issuer or
// for its audiences are believed no more. auth.Chain looks at the time.
func (s *Issuers) Renew(p gateway.Principal) (gateway.Principal, bool, error) {
	if p.Method != "jwt" || p.Proof == "" {
		return p, p.Method == "jwt", nil
	}
	var said claims
	if err := json.Unmarshal([]byte(p.Proof), &said); err != nil {
		return gateway.Principal{}, true, malformed("the token is malformed")
	}
	i := s.byName[said.text("iss")]
	if i == nil {
		return gateway.Principal{}, true, untrusted(said)
	}
	if err := i.whom(said); err != nil {
		return gateway.Principal{}, true, err
	}
	return p, true, nil
}

// untrusted is the word for an issuer that is not listed.
func untrusted(said claims) error {
	return gateway.WrapError(gateway.Unauthenticated, auth.ErrUntrusted,
		fmt.Sprintf("the token is of issuer %.200s, which is not trusted here", said.text("iss")))
}

// proof is what Renew looks at of a token.
func (c claims) proof() string {
	kept := make(claims)
	for _, name := range []string{"iss", "aud", "ver", "wlcg.ver"} {
		if v, ok := c[name]; ok {
			kept[name] = v
		}
	}
	b, err := json.Marshal(kept)
	if err != nil { // it was read as JSON
		return ""
	}
	return string(b)
}

// Status is how an issuer does.
type Status struct {
	Issuer string
	// Keys that are known, and when they were Fetched; the zero time: never.
	Keys    int
	Fetched time.Time
	// Failing: the last attempt to fetch them failed.
	Failing bool
}

// Status returns how the issuers do, in the order of the configuration.
func (s *Issuers) Status() (all []Status) {
	for _, i := range s.c.Issuers {
		k := s.byName[i.Issuer].keys
		k.mu.Lock()
		all = append(all, Status{i.Issuer, len(k.all), k.fetched, k.failed})
		k.mu.Unlock()
	}
	return all
}
