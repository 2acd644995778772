package app

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/sluice-mq/sluice/auth"
	"github.com/sluice-mq/sluice/auth/ldap"
	"github.com/sluice-mq/sluice/auth/oidc"
	"github.com/sluice-mq/sluice/auth/users"
	"github.com/sluice-mq/sluice/gateway"
)

// people makes who is known by a configuration: the chain of those who are asked. What it has open close ends. The
// warnings say what should not stay as it is.
func (g *guard) people(a *Auth) (who gateway.Authenticator, close func(), warnings []string, err error) {
	if a == nil || a.open() {
		return auth.Anonymous{}, func() {}, nil, nil
	}
	r := &secrets{environ: g.environ}
	list, groups, notes, err := a.listed(r)
	if err != nil {
		return nil, nil, nil, err
	}
	directory, err := users.NewDirectory(list, groups)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("auth.users: %w", err)
	}
	known := g.known(directory)
	chain := auth.ChainConfig{Passwords: []auth.Passwords{known}, Tokens: known, Certificates: known, Anonymous: a.Anonymous}
	var opened []func()
	close = func() {
		for _, end := range opened {
			end()
		}
	}
	if a.LDAP != nil {
		d, err := a.LDAP.directory(r, g)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("auth.ldap: %w", err)
		}
		opened = append(opened, d.Close)
		chain.Passwords = append(chain.Passwords, d)
	}
	if len(a.Issuers) > 0 {
		o, err := a.issuers(g)
		if err != nil {
			close()
			return nil, nil, nil, fmt.Errorf("auth.issuers: %w", err)
		}
		opened = append(opened, o.Close)
		chain.JWTs = o
	}
	return auth.NewChain(chain), close, slices.Concat(r.warnings, notes, directory.Warnings()), nil
}

// open reports whether nobody is known and everybody may come in.
func (a *Auth) open() bool {
	return a.Anonymous && len(a.Users) == 0 && a.UsersFile == "" && len(a.Issuers) == 0 && a.LDAP == nil
}
