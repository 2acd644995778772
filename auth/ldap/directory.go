package ldap

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"github.com/sluice-mq/sluice/auth"
	"github.com/sluice-mq/sluice/gateway"
)

const (
	// maxPasscode is the longest passcode that is shown to a directory, in bytes.
	maxPasscode = 4096
	// maxGroups is how many groups of a user are looked at.
	maxGroups = 2000
	// maxName is the longest name that a directory may give a user or a group, in bytes.
	maxName = auth.MaxLoginLength
)

// method is gateway.Principal.Method of those whom a directory knows.
const method = "ldap"

// Directory knows people by an LDAP directory: it implements auth.Passwords and auth.Renewer. Safe for concurrent use.
type Directory struct {
	*settings
	pool   *pool
	memory *memory
	pace   pace
}

var (
	_ auth.Passwords = (*Directory)(nil)
	_ auth.Renewer   = (*Directory)(nil)
)

// New makes a Directory. It asks nobody yet: a directory that is away for a while is no reason not to start.
func New(c Config) (*Directory, error) {
	s, err := c.settings()
	if err != nil {
		return nil, err
	}
	return &Directory{settings: s, pool: newPool(s), memory: newMemory(s)}, nil
}

// Close ends the connections. Verify fails afterwards.
func (d *Directory) Close() { d.pool.close() }

// person is an entry of the directory.
type person struct {
	entry  string // its DN
	name   string
	groups []string
	found  time.Time
	gone   bool // there was such a person
}

// errNobody is that there is no such login.
var errNobody = errors.New("there is no entry")

// Verify implements auth.Passwords: it binds with the passcode, and looks for the groups.
func (d *Directory) Verify(ctx context.Context, login, passcode string) (gateway.Principal, bool, error) {
	if !nameable(login) || len(passcode) > maxPasscode {
		return gateway.Principal{}, false, nil
	}
	if passcode == "" { // a bind without a passcode is anonymous, and succeeds
		return gateway.Principal{}, true, refused(login, auth.ErrWrongPassword)
	}
	var who person
	err := d.pool.with(ctx, func(c *connection) (err error) {
		who, err = d.ask(ctx, c, login, passcode)
		return err
	})
	switch {
	case err == nil:
		d.memory.keep(login, who)
		return gateway.Principal{Name: who.name, Groups: slices.Clone(who.groups), Method: method}, true, nil
	case errors.Is(err, errNobody):
		d.memory.forget(login)
		return gateway.Principal{}, false, nil
	case isRefusal(err):
		return gateway.Principal{}, true, refused(login, fmt.Errorf("%w: %w", auth.ErrWrongPassword, err))
	}
	return gateway.Principal{}, true, gateway.WrapError(gateway.Unavailable, err, "the directory cannot be asked now")
}

// Renew implements auth.Renewer: it returns the groups as the last Verify of that user has found them.
func (d *Directory) Renew(p gateway.Principal) (gateway.Principal, bool, error) {
	if p.Method != method {
		return p, false, nil
	}
	who, ok := d.memory.person(p.Name)
	if ok && who.gone {
		return gateway.Principal{}, true, gateway.WrapError(gateway.Unauthenticated, auth.ErrUnknownUser, "the directory does not know the user "+p.Name+" any more")
	}
	if ok {
		p.Groups = slices.Clone(who.groups)
	}
	return p, true, nil
}

func refused(login string, cause error) error {
	return gateway.WrapError(gateway.Unauthenticated, cause, fmt.Sprintf("User name [%s] or password is invalid.", login))
}

// refusal is that a directory does not believe the passcode of a login.
type refusal struct{ cause error }

func (r *refusal) Error() string { return r.cause.Error() }
func (r *refusal) Unwrap() error { return r.cause }

func isRefusal(err error) bool {
	var r *refusal
	return errors.As(err, &r)
}

// ask finds a login's entry unless it is known, proves the passcode, and finds out the rest.
func (d *Directory) ask(ctx context.Context, c *connection, login, passcode string) (person, error) {
	who, known := d.memory.fresh(login)
	var refusal error
	if known {
		if refusal = d.prove(ctx, c, who.entry, passcode); !isRefusal(refusal) {
			return who, refusal
		}
	}
	found, err := d.find(c, login)
	switch {
	case errors.Is(err, errNobody) && !known: // what somebody's passcode would have cost
		if decoy := d.prove(ctx, c, "cn="+rand.Text()+","+d.UserBase, rand.Text()); !isRefusal(decoy) && decoy != nil {
			return person{}, decoy
		}
		return person{}, err
	case err != nil:
		return person{}, err
	case known && found.entry == who.entry: // it has not moved, so the passcode is not shown again: somebody may count
		return person{}, refusal
	}
	if err := d.prove(ctx, c, found.entry, passcode); err != nil {
		return person{}, err
	}
	err = d.complete(c, &found)
	return found, err
}

// prove binds as an entry. A refusal takes as long as a passcode that is right.
func (d *Directory) prove(ctx context.Context, c *connection, entry, passcode string) error {
	c.as = somebody
	begun := time.Now()
	err := heard(c.Bind(entry, passcode))
	if err == nil {
		d.pace.note(time.Since(begun))
	}
	if ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultConstraintViolation,
		ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax) {
		d.pace.keep(ctx, begun)
		return &refusal{err}
	}
	return err
}

// find finds the entry of a login.
func (d *Directory) find(c *connection, login string) (who person, err error) {
	if d.UserDN != "" {
		return person{entry: d.userDN(login)}, nil
	}
	if err := d.bindFinder(c, true); err != nil {
		return who, err
	}
	entries, err := d.search(c, d.UserBase, ldap.ScopeWholeSubtree, 2, d.userFilter(login), d.NameAttribute)
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return who, errNobody
	case len(entries) > 1, ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
		return who, &refusal{errors.New("the login means more than one entry")}
	case err != nil:
		return who, fmt.Errorf("look for the user: %w", err)
	case len(entries) == 0:
		return who, errNobody
	case entries[0].DN == "": // a bind without a name is anonymous
		return who, &refusal{errors.New("the entry has no name")}
	}
	who.entry = entries[0].DN
	err = d.takeName(entries[0], &who)
	return who, err
}

// takeName takes what a user is called from the entry: the login may be another spelling of it.
func (d *Directory) takeName(e *ldap.Entry, who *person) error {
	who.name = e.GetEqualFoldAttributeValue(d.NameAttribute)
	if !nameable(who.name) {
		return fmt.Errorf("the entry %s says by no usable %s what the user is called", e.DN, d.NameAttribute)
	}
	return nil
}

// complete finds out a user's name and groups after the passcode was proven.
func (d *Directory) complete(c *connection, who *person) error {
	if err := d.bindFinder(c, false); err != nil {
		return err
	}
	if who.name == "" {
		entries, err := d.search(c, who.entry, ldap.ScopeBaseObject, 1, "(objectClass=*)", d.NameAttribute)
		if err == nil && len(entries) != 1 {
			err = errors.New("nobody may read it")
		}
		if err != nil {
			return fmt.Errorf("read the entry %s: %w", who.entry, err)
		}
		if err := d.takeName(entries[0], who); err != nil {
			return err
		}
	}
	who.groups, who.found = nil, d.Now()
	if d.GroupBase == "" {
		return nil
	}
	entries, err := d.search(c, d.GroupBase, ldap.ScopeWholeSubtree, maxGroups, d.groupFilter(who.entry, who.name), d.GroupAttribute)
	if err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		return fmt.Errorf("look for groups: %w", err)
	}
	for _, e := range entries {
		for _, name := range e.GetEqualFoldAttributeValues(d.GroupAttribute) {
			if nameable(name) {
				who.groups = append(who.groups, name)
			}
		}
	}
	slices.Sort(who.groups)
	who.groups = slices.Compact(who.groups)
	return nil
}

// bindFinder makes a connection that of who looks for people. If nobody is there for that, it becomes nobody's if it has to be, else it stays whose it is.
func (d *Directory) bindFinder(c *connection, neutral bool) error {
	switch {
	case d.BindDN != "" && c.as != finder:
		c.as = somebody
		if err := heard(c.Bind(d.BindDN, d.BindPassword)); err != nil {
			return fmt.Errorf("bind as %s: %w", d.BindDN, err)
		}
		c.as = finder
	case d.BindDN == "" && neutral && c.as != nobody:
		if err := heard(c.UnauthenticatedBind("")); err != nil {
			return fmt.Errorf("bind as nobody: %w", err)
		}
		c.as = nobody
	}
	return nil
}

func (d *Directory) search(c *connection, base string, scope, limit int, filter, attribute string) ([]*ldap.Entry, error) {
	r, err := c.Search(&ldap.SearchRequest{
		BaseDN: base, Scope: scope, DerefAliases: ldap.NeverDerefAliases, SizeLimit: limit,
		TimeLimit: int(max(d.Timeout/time.Second, 1)), Filter: filter, Attributes: []string{attribute},
	})
	if err = heard(err); err != nil {
		return nil, err
	}
	return r.Entries, nil
}

// nameable reports whether a name is one for people: up to maxName bytes of text without control characters.
func nameable(s string) bool {
	return s != "" && len(s) <= maxName && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 })
}
