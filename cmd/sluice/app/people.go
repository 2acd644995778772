package app

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

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
	r := &secrets{environ: g.environ, beside: g.beside}
	directory, notes, err := a.directory(r)
	if err != nil {
		return nil, nil, nil, err
	}
	known := g.known
	if known == nil {
		known = users.New(users.Config{}, directory)
	}
	chain := auth.ChainConfig{Passwords: []auth.Passwords{known}, Tokens: []auth.Tokens{known, &g.callers}, Certificates: known, Anonymous: a.Anonymous}
	close = func() {}
	if a.LDAP != nil {
		d, err := a.LDAP.directory(r, g.log)
		if err != nil {
			return nil, nil, nil, &fault{"auth.ldap", err}
		}
		close = d.Close
		chain.Passwords = append(chain.Passwords, d)
	}
	if len(a.Issuers) > 0 {
		issuers, err := a.issuers(g)
		if err != nil {
			close()
			return nil, nil, nil, &fault{"auth.issuers", err}
		}
		before := close
		close = func() { before(); issuers.Close() }
		chain.JWTs = issuers
	}
	if g.chain == nil {
		g.known, g.chain = known, auth.NewChain(chain)
	} else { // they remember who guesses, and by what somebody came
		g.known.Replace(directory)
		g.chain.Replace(chain)
	}
	return g.chain, close, slices.Concat(r.warnings, notes, directory.Warnings()), nil
}

// open reports whether nobody is known and everybody may come in.
func (a *Auth) open() bool {
	return a.Anonymous && len(a.Users) == 0 && a.UsersFile == "" && len(a.Issuers) == 0 && a.LDAP == nil
}

// directory is what the configuration and its files say of users.
func (a *Auth) directory(r *secrets) (*users.Directory, []string, error) {
	var all users.Imported
	if a.UsersFile != "" {
		var err error
		if all, err = importUsers(string(a.UsersFile), string(a.GroupsFile), "", asItIs); err != nil {
			return nil, nil, &fault{"auth.users_file", err}
		}
	}
	for i, u := range a.Users {
		one, err := u.known(r)
		if err != nil {
			return nil, nil, &fault{fmt.Sprintf("auth.users[%d]", i), err}
		}
		all.Users = append(all.Users, one)
	}
	d, err := users.NewDirectory(all.Users, all.Groups)
	if err != nil {
		return nil, nil, &fault{"auth.users", err}
	}
	return d, all.Notes, nil
}

// known is a user with the secrets fetched.
func (u User) known(r *secrets) (users.User, error) {
	one := users.User{Name: u.Name, DNs: u.DNs, SANs: u.SANs, Groups: u.Groups, Disabled: u.Disabled}
	if u.DN != "" {
		one.DNs = append([]string{u.DN}, u.DNs...)
	}
	var err error
	if one.Password, err = r.either(u.Password, u.PasswordFile); err != nil {
		return one, fmt.Errorf("password: %w", err)
	}
	if one.Token, err = r.either(u.Token, u.TokenFile); err != nil {
		return one, fmt.Errorf("token: %w", err)
	}
	return one, nil
}

// either reads a secret, or the file that has it.
func (r *secrets) either(s Secret, f File) (string, error) {
	if f != "" {
		return r.file(string(f))
	}
	return r.read(s)
}

// directory is an LDAP directory with the secrets fetched.
func (l *LDAP) directory(r *secrets, log *slog.Logger) (*ldap.Directory, error) {
	password, err := r.either(l.BindPassword, l.BindPasswordFile)
	if err != nil {
		return nil, fmt.Errorf("bind_password: %w", err)
	}
	return ldap.New(ldap.Config{
		URLs: l.URLs, StartTLS: l.StartTLS, CA: string(l.CA), Insecure: l.Insecure, BindDN: l.BindDN, BindPassword: password,
		UserBase: l.UserBase, UserFilter: l.UserFilter, UserDN: l.UserDN, NameAttribute: l.NameAttribute,
		GroupBase: l.GroupBase, GroupFilter: l.GroupFilter, GroupAttribute: l.GroupAttribute, Timeout: time.Duration(l.Timeout), Log: log,
	})
}

// issuers are those whose tokens are believed. A file of keys is looked for beside the configuration.
func (a *Auth) issuers(g *guard) (*oidc.Issuers, error) {
	cfg := oidc.Config{Log: g.log}
	for _, i := range a.Issuers {
		one := oidc.Issuer{
			Issuer: i.Issuer, Audiences: i.Audiences, Keys: i.Keys, NameClaim: i.NameClaim, NamePrefix: i.NamePrefix, GroupPrefix: i.GroupPrefix, GroupClaims: i.GroupClaims,
		}
		if i.Keys != "" && !strings.Contains(i.Keys, "://") {
			one.Keys = string(beside(g.beside, File(i.Keys)))
		}
		for _, m := range i.Mappings {
			one.Mappings = append(one.Mappings, oidc.Mapping{Claim: m.Claim, Value: m.Value, Group: m.Group})
		}
		cfg.Issuers = append(cfg.Issuers, one)
	}
	return oidc.New(cfg)
}

// asItIs keeps passwords of a file in plain text: hashing them all would hold up each start. There are warnings of them.
func asItIs(password string) (string, error) { return password, nil }
