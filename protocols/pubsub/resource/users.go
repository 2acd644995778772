package resource

import (
	"context"
	"slices"

	"github.com/sluice-mq/sluice/gateway"
)

// User finds a user by name; nil if there is none.
func (d *Directory) User(ctx context.Context, name string) *User {
	return seek(ctx, d, func() *User { return d.current(name) })
}

// current is the user of that name, unless the fact is one that a change of name left behind. The lock is held.
func (d *Directory) current(name string) *User {
	if u := d.users[name]; u != nil && d.people[u.ID] == u {
		return u
	}
	return nil
}

// UserByID finds a user by ID; nil if there is none.
func (d *Directory) UserByID(ctx context.Context, id string) *User {
	return seek(ctx, d, func() *User { return d.people[id] })
}

// UserByToken finds whose token it is; nil if it is nobody's.
func (d *Directory) UserByToken(ctx context.Context, token string) *User {
	if !isToken(token) { // whoever logs in elsewhere with a password has it looked at here
		return nil
	}
	sum := SumOf(token)
	return seek(ctx, d, func() *User { return d.tokens[sum] })
}

// Users are all users, the newest first.
func (d *Directory) Users() []*User {
	d.mu.RLock()
	defer d.mu.RUnlock()
	all := make([]*User, 0, len(d.people))
	for _, u := range d.people {
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b *User) int { return newer(&a.Origin, &b.Origin) })
	return all
}

// TokenOf is a user's token, empty if it cannot be told any more.
func (d *Directory) TokenOf(u *User) string { return d.cfg.Vault.open(u.Token, u.ID) }

// CreateUser makes a user of that template and returns it with its token. The Error is of kind Conflict if there is one of that name.
func (d *Directory) CreateUser(ctx context.Context, u User, by string) (*User, string, error) {
	token := NewToken()
	u.Origin = d.origin(by)
	u.Token = d.cfg.Vault.keep(token, u.ID)
	return &u, token, d.change(ctx, func() (string, any, uint64, error) {
		if d.current(u.Name) != nil {
			return "", nil, 0, errThere
		}
		return userKeys + u.Name, &u, d.left(u.Name), nil
	})
}

// left is the revision of a fact that a change of name left behind, 0 if there is none. The lock is held.
func (d *Directory) left(name string) uint64 {
	if u := d.users[name]; u != nil {
		return u.revision
	}
	return 0
}

// ChangeUser has a user changed. The error of to is returned as it is; to may be called more than once, and must not change what lists hold. The Error is of kind NotFound
// if there is no such user, Conflict if there is one of his new name.
func (d *Directory) ChangeUser(ctx context.Context, name string, to func(u *User) error) (*User, error) {
	var changed User
	err := d.change(ctx, func() (string, any, uint64, error) {
		u := d.current(name)
		if u == nil {
			return "", nil, 0, errGone
		}
		changed = *u
		if err := to(&changed); err != nil {
			return "", nil, 0, err
		}
		changed.Modified = d.cfg.Now().UnixMicro()
		if changed.Name == name {
			return userKeys + name, &changed, u.revision, nil
		}
		if d.current(changed.Name) != nil {
			return "", nil, 0, errThere
		}
		return userKeys + changed.Name, &changed, d.left(changed.Name), nil
	})
	if err != nil || changed.Name == name {
		return &changed, err
	}
	err = d.forgetName(ctx, name, changed.ID)
	return &changed, err
}

// forgetName deletes the fact that a change of name left behind.
func (d *Directory) forgetName(ctx context.Context, name, id string) error {
	err := d.change(ctx, func() (string, any, uint64, error) {
		if u := d.users[name]; u != nil && u.ID == id {
			return userKeys + name, nil, u.revision, nil
		}
		return "", nil, 0, errGone
	})
	if gateway.KindOf(err) == gateway.NotFound {
		return nil
	}
	return err
}

// formerName is one that a user had, of which a change of name left the fact behind.
type formerName struct{ name, id string }

// formerNames are those of the user of that name now.
func (d *Directory) formerNames(name string) (all []formerName) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	u := d.current(name)
	if u == nil {
		return nil
	}
	for other, left := range d.users {
		if other != name && left.ID == u.ID {
			all = append(all, formerName{other, u.ID})
		}
	}
	return all
}

// RefreshToken gives a user another token, and returns it. The Error is of kind NotFound if there is no such user.
func (d *Directory) RefreshToken(ctx context.Context, name string) (*User, string, error) {
	token := NewToken()
	u, err := d.ChangeUser(ctx, name, func(u *User) error {
		u.Token = d.cfg.Vault.keep(token, u.ID)
		return nil
	})
	return u, token, err
}

// DeleteUser ends a user. The Error is of kind NotFound if there is none.
func (d *Directory) DeleteUser(ctx context.Context, name string) error {
	for _, former := range d.formerNames(name) { // alone they would be the user again, after a start
		if err := d.forgetName(ctx, former.name, former.id); err != nil {
			return err
		}
	}
	return d.change(ctx, func() (string, any, uint64, error) {
		u := d.current(name)
		if u == nil {
			return "", nil, 0, errGone
		}
		return userKeys + name, nil, u.revision, nil
	})
}

// Entries are the topics and subscriptions whose ACLs have a user, by the user's ID, each list in the order of the names.
type Entries map[string]map[string]*Entry

// Entry is that of one project.
type Entry struct{ Topics, Subscriptions []string }

// Of are those of a user in a project, never nil.
func (e Entries) Of(u *User, p string) Entry {
	if entry := e[u.ID][p]; entry != nil {
		return *entry
	}
	return Entry{}
}

func (e Entries) of(user, project string) *Entry {
	if e[user] == nil {
		e[user] = make(map[string]*Entry)
	}
	if e[user][project] == nil {
		e[user][project] = &Entry{}
	}
	return e[user][project]
}

// Entries reads all ACLs.
func (d *Directory) Entries() Entries {
	d.mu.RLock()
	defer d.mu.RUnlock()
	all := make(Entries)
	for _, t := range d.topics {
		for _, id := range t.ACL {
			e := all.of(id, t.Project)
			e.Topics = append(e.Topics, t.Name.Name)
		}
	}
	for _, s := range d.subscriptions {
		for _, id := range s.ACL {
			e := all.of(id, s.Project)
			e.Subscriptions = append(e.Subscriptions, s.Name.Name)
		}
	}
	for _, projects := range all {
		for _, e := range projects {
			slices.Sort(e.Topics)
			slices.Sort(e.Subscriptions)
		}
	}
	return all
}

// NamesOf are the names of users; those who are no more are left out.
func (d *Directory) NamesOf(ids []string) []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	names := make([]string, 0, len(ids))
	for _, id := range ids {
		if u := d.people[id]; u != nil {
			names = append(names, u.Name)
		}
	}
	return names
}
