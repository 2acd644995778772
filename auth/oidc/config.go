package oidc

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Config says whose tokens are believed; the zero values are what the comments say.
type Config struct {
	Issuers []Issuer
	// Refresh is how often keys are fetched; 0: 15 minutes.
	Refresh time.Duration
	// Stale is for how long keys are used of an issuer that cannot be reached; 0: 24 hours.
	Stale time.Duration
	// Transport fetches the keys; nil: TLS with the system's authorities, by the proxy that the environment names.
	Transport http.RoundTripper
	// Now is the clock that tokens are compared with; nil: time.Now.
	Now func() time.Time
	// Log hears of keys that cannot be fetched; nil: nobody does.
	Log *slog.Logger
}

// Issuer is somebody whose tokens are believed.
type Issuer struct {
	// Issuer is exactly what tokens have as "iss".
	Issuer string
	// Audiences are what tokens have as "aud": one of them at least. There must be some, or any service that gets a token could come here with it.
	Audiences []string
	// RefuseAny refuses tokens that are for any audience, as the profiles of WLCG and SciTokens have it.
	RefuseAny bool
	// Keys is where its public keys are (a JWKS): a file; or a URL, https or on loopback. Empty: where the issuer's
	// /.well-known/openid-configuration says.
	Keys string
	// NameClaim is where the name of the user is; empty: "sub".
	NameClaim string
	// NamePrefix and GroupPrefix stand before what the token says, so that an issuer cannot name somebody whom it does not know.
	NamePrefix, GroupPrefix string
	// GroupClaims are where groups are; nil: "groups" and "wlcg.groups".
	GroupClaims []string
	// Mappings make groups of other things that a token says.
	Mappings []Mapping
}

// Mapping puts who has a value in a claim into a group.
type Mapping struct {
	// Claim is where the value is, in a list or alone; empty: "scope", which holds words with blanks between.
	Claim string
	// Value is the word: "storage.read:/x", "urn:mace:egi.eu:group:vo.example.org:role=member#aai.egi.eu". It is compared exactly.
	Value string
	// Group is taken as it is, without GroupPrefix.
	Group string
}

const (
	// skew is how far clocks may be apart.
	skew = time.Minute
	// maxName is the longest name of a user or group, maxGroups how many groups a token may name.
	maxName   = 256
	maxGroups = 256
)

func (c *Config) complete() error {
	if c.Refresh <= 0 {
		c.Refresh = 15 * time.Minute
	}
	if c.Stale <= 0 {
		c.Stale = 24 * time.Hour
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second, DisableKeepAlives: true}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	var wrong []error
	seen := map[string]bool{}
	for _, i := range c.Issuers {
		err := i.check()
		if err == nil && seen[i.Issuer] {
			err = errors.New("it is there twice")
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("issuer %q: %w", i.Issuer, err))
		}
		seen[i.Issuer] = true
	}
	return errors.Join(wrong...)
}

func (i Issuer) check() error {
	switch {
	case i.Issuer == "":
		return errors.New("the name is empty")
	case len(i.Audiences) == 0:
		return errors.New("there is no audience: the tokens of every other service would be good here")
	}
	for _, a := range i.Audiences {
		if a == "" {
			return errors.New("an audience is empty")
		}
	}
	for _, m := range i.Mappings {
		if m.Value == "" || checkName(m.Group) != nil {
			return fmt.Errorf("the mapping of %q to the group %q lacks one of them", m.Value, m.Group)
		}
	}
	if i.Keys == "" {
		return checkURL(i.Issuer)
	}
	if isURL(i.Keys) {
		return checkURL(i.Keys)
	}
	return nil
}

func isURL(s string) bool { return strings.Contains(s, "://") }

// checkURL refuses addresses from which anybody on the way could send keys.
func checkURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "":
		return errors.New("keys come from a file or a URL; this is none")
	case u.User != nil:
		return errors.New("the URL of keys has no user or password")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return errors.New("keys come by https; http is for loopback alone")
}

// checkNext refuses an address to which another one has sent us: what began by https goes on by https.
func checkNext(from, to string) error {
	if err := checkURL(to); err != nil {
		return err
	}
	if strings.HasPrefix(from, "https:") && !strings.HasPrefix(to, "https:") {
		return errors.New("what began by https goes on by https")
	}
	return nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}
