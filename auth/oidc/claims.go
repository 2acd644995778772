package oidc

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluice-mq/sluice/auth"
	"github.com/sluice-mq/sluice/gateway"
)

// claims are what a token says. Names are compared exactly, which a struct would not do.
type claims map[string]json.RawMessage

// text returns a claim that is a string; "" if it is absent or something else.
func (c claims) text(name string) (s string) {
	if json.Unmarshal(c[name], &s) != nil {
		return ""
	}
	return s
}

// list returns a claim that is a string or a list of strings; anything else in the list is left out.
func (c claims) list(name string) (values []string) {
	if s := c.text(name); s != "" {
		return []string{s}
	}
	var all []any
	if json.Unmarshal(c[name], &all) != nil {
		return nil
	}
	for _, v := range all {
		if s, ok := v.(string); ok {
			values = append(values, s)
		}
	}
	return values
}

// time returns a NumericDate.
func (c claims) time(name string) (t time.Time, found bool, err error) {
	raw, found := c[name]
	if !found {
		return t, false, nil
	}
	var seconds *float64
	if json.Unmarshal(raw, &seconds) != nil || seconds == nil || *seconds < 0 || *seconds > 253402300799 {
		return t, true, fmt.Errorf("its %s is no time", name)
	}
	whole, part := math.Modf(*seconds)
	return time.Unix(int64(whole), int64(part*1e9)), true, nil
}

// refusal is a refusal in words that follow "the token of issuer x".
func (i *issuer) refusal(why error, format string, args ...any) error {
	return gateway.WrapError(gateway.Unauthenticated, why, "the token of issuer "+i.Issuer.Issuer+" "+fmt.Sprintf(format, args...))
}

var errClaims = errors.New("what the token says does not do")

// when checks the times of a token, and returns until when it is good.
func (i *issuer) when(c claims, now time.Time) (until time.Time, err error) {
	exp, found, err := c.time("exp")
	switch {
	case err != nil:
		return until, i.refusal(errClaims, "cannot be used: %v", err)
	case !found:
		return until, i.refusal(errClaims, "never expires; only tokens that do are accepted")
	case !now.Before(exp.Add(skew)):
		return until, i.refusal(auth.ErrExpired, "has expired at %s", exp.UTC().Format(time.RFC3339))
	}
	for _, name := range []string{"nbf", "iat"} {
		t, found, err := c.time(name)
		switch {
		case err != nil:
			return until, i.refusal(errClaims, "cannot be used: %v", err)
		case found && t.After(now.Add(skew)):
			return until, i.refusal(errClaims, "is not good before %s (its %s); is a clock wrong?", t.UTC().Format(time.RFC3339), name)
		case found && t.After(exp):
			return until, i.refusal(errClaims, "cannot be used: it expires before its %s", name)
		}
	}
	if !now.Before(exp) { // it is good for as long as clocks may be apart
		exp = exp.Add(skew)
	}
	return exp, nil
}

// The audiences that stand for everybody, by profile.
const (
	anyWLCG     = "https://wlcg.cern.ch/jwt/v1/any"
	anySciToken = "ANY"
)

// whom checks the profile and audience of a token.
func (i *issuer) whom(c claims) error {
	_, wlcg := c["wlcg.ver"]
	if v := c.text("wlcg.ver"); wlcg && v != "1" && !strings.HasPrefix(v, "1.") {
		return i.refusal(errClaims, "has a version of the WLCG profile that is not known here; 1.x is")
	}
	v := c.text("ver")
	scitoken := strings.HasPrefix(strings.ToLower(v), "scitoken")
	if scitoken && v != "scitoken:2.0" && v != "scitokens:2.0" {
		return i.refusal(errClaims, "has a version of the SciToken profile that is not known here; scitoken:2.0 is")
	}
	audiences := c.list("aud")
	for _, a := range audiences {
		if slices.Contains(i.Audiences, a) || !i.RefuseAny && (wlcg && a == anyWLCG || scitoken && a == anySciToken) {
			return nil
		}
	}
	if len(audiences) == 0 {
		return i.refusal(errClaims, "is for no audience; %s would do", i.Audiences[0])
	}
	return i.refusal(errClaims, "is for another audience; %s would do", i.Audiences[0])
}

// principal makes somebody of what a token says.
func (i *issuer) principal(c claims, until time.Time) (gateway.Principal, error) {
	claim := i.NameClaim
	if claim == "" {
		claim = "sub"
	}
	name := c.text(claim)
	if name == "" {
		return gateway.Principal{}, i.refusal(errClaims, "names nobody: there is no %s", claim)
	}
	name = i.NamePrefix + name
	if err := checkName(name); err != nil {
		return gateway.Principal{}, i.refusal(errClaims, "names somebody whom nothing here could name: %v", err)
	}
	groups, err := i.groups(c)
	if err != nil {
		return gateway.Principal{}, err
	}
	return gateway.Principal{Name: name, Groups: groups, Method: "jwt", Proof: c.proof(), Expires: until}, nil
}

func (i *issuer) groups(c claims) (groups []string, err error) {
	from := i.GroupClaims
	if from == nil {
		from = []string{"groups", "wlcg.groups"}
	}
	for _, claim := range from {
		for _, g := range c.list(claim) {
			groups = append(groups, i.GroupPrefix+g)
		}
	}
	for _, m := range i.Mappings {
		if slices.Contains(i.values(c, m.Claim), m.Value) {
			groups = append(groups, m.Group)
		}
	}
	slices.Sort(groups)
	groups = slices.Compact(groups)
	if len(groups) > maxGroups {
		return nil, i.refusal(errClaims, "names %d groups, the limit is %d", len(groups), maxGroups)
	}
	for _, g := range groups {
		if err := checkName(g); err != nil {
			return nil, i.refusal(errClaims, "names a group that nothing here could name: %v", err)
		}
	}
	return groups, nil
}

// values are the words of a scope, or the values of another claim.
func (i *issuer) values(c claims, claim string) []string {
	if claim != "" && claim != "scope" {
		return c.list(claim)
	}
	var words []string
	for _, s := range c.list("scope") {
		words = append(words, strings.Fields(s)...)
	}
	return words
}

func checkName(s string) error {
	switch {
	case s == "":
		return errors.New("it is empty")
	case len(s) > maxName:
		return fmt.Errorf("it is %d bytes long, the limit is %d", len(s), maxName)
	case !utf8.ValidString(s):
		return errors.New("it is not valid UTF-8")
	case strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 }):
		return errors.New("it holds a control character")
	}
	return nil
}
