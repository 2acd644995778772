package app

import (
	"fmt"
	"slices"

	"github.com/sluice-mq/sluice/auth"
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
	known := users.New(users.Config{}, directory)
	chain := auth.ChainConfig{Passwords: []auth.Passwords{known}, Tokens: known, Certificates: known, Anonymous: a.Anonymous}
	close = func() {}
	return auth.NewChain(chain), close, slices.Concat(r.warnings, notes, directory.Warnings()), nil
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
			return nil, nil, fmt.Errorf("auth.users_file: %w", err)
		}
	}
	for i, u := range a.Users {
		one, err := u.known(r)
		if err != nil {
			return nil, nil, fmt.Errorf("auth.users[%d]: %w", i, err)
		}
		all.Users = append(all.Users, one)
	}
	d, err := users.NewDirectory(all.Users, all.Groups)
	if err != nil {
		return nil, nil, fmt.Errorf("auth.users: %w", err)
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

// asItIs keeps passwords of a file in plain text: hashing them all would hold up each start. There are warnings of them.
func asItIs(password string) (string, error) { return password, nil }
