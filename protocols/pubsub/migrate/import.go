package migrate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// Config says where an export is taken to.
type Config struct {
	Directory *resource.Directory
	// Retention of the logs of the topics that are made.
	Retention time.Duration
	// ValidRole reports whether there is such a role.
	ValidRole func(string) bool
	// DryRun has nothing written.
	DryRun bool
}

// Result is what became of an export.
type Result struct {
	// Kinds are the kinds of things, in the order in which they were taken.
	Kinds []Count
	// Notes say of what was not taken as it was, why, a line each.
	Notes []string
}

// Count is how many things of a kind were taken, were there already and were left out.
type Count struct {
	Kind               string
	Taken, There, Left int
}

// importer takes an export. What is here, or will be, is known by the ID that it has in the export.
type importer struct {
	Config
	ctx    context.Context
	result *Result
	count  *Count
	err    error // of the store: nothing more is done

	projects map[string]string // names
	people   map[string]string // names
	tokens   map[string]struct{}
	schemas  map[string]struct{}
	topics   map[resource.Name]*resource.Topic
	fresh    map[resource.Name]struct{} // topics that were not here before
}

// Import takes an export. Its error is one of the store: what was taken until then stays, and who repeats it goes on.
func (e *Export) Import(ctx context.Context, cfg Config) (*Result, error) {
	if err := cfg.Directory.Look(ctx); err != nil {
		return nil, err
	}
	i := &importer{
		Config: cfg, ctx: ctx, result: &Result{Notes: slices.Clone(e.Notes)}, projects: make(map[string]string), people: make(map[string]string), tokens: make(map[string]struct{}),
		schemas: make(map[string]struct{}), topics: make(map[resource.Name]*resource.Topic), fresh: make(map[resource.Name]struct{}),
	}
	for _, kind := range []struct {
		name string
		take func(*Export)
	}{
		{"projects", i.takeProjects}, {"users", i.takeUsers}, {"schemas", i.takeSchemas}, {"topics", i.takeTopics}, {"subscriptions", i.takeSubscriptions},
		{"registrations", i.takeRegistrations}, {"service types", i.takeServiceTypes}, {"authentication methods", i.takeAuthMethods}, {"bindings", i.takeBindings},
	} {
		i.result.Kinds = append(i.result.Kinds, Count{Kind: kind.name})
		i.count = &i.result.Kinds[len(i.result.Kinds)-1]
		if i.err == nil {
			kind.take(e)
		}
	}
	return i.result, i.err
}

// note says something of a thing.
func (i *importer) note(thing, format string, args ...any) {
	i.result.Notes = append(i.result.Notes, fmt.Sprintf("%s: %s", thing, fmt.Sprintf(format, args...)))
}

// leave says why a thing is not taken.
func (i *importer) leave(thing, format string, args ...any) {
	i.count.Left++
	i.note(thing, "not taken, "+format, args...)
}

// put takes a thing, and reports whether it is here then, or would be.
func (i *importer) put(thing string, adopt func(context.Context) error) bool {
	if i.err != nil {
		return false
	}
	if !i.DryRun {
		switch err := adopt(i.ctx); {
		case gateway.KindOf(err) == gateway.Conflict && err != nil:
			i.leave(thing, "there is one like it, made a moment ago")
			return false
		case gateway.KindOf(err) == gateway.Limit && err != nil:
			i.leave(thing, "it is too long: %s", gateway.TextOf(err))
			return false
		case err != nil:
			i.err = fmt.Errorf("%s: %w", thing, err)
			return false
		}
	}
	i.count.Taken++
	return true
}

// quoted is a name for people.
func quoted(kind, name string) string { return fmt.Sprintf("%s %.100q", kind, name) }

// badName is why a thing cannot be taken that cannot be called so, or have that ID; empty if it can.
func badName(name, id string) string {
	switch {
	case !wire.ValidName(name):
		return "its name has other characters than letters, digits, - and _, or is too long"
	case !wire.ValidName(id):
		return "its uuid cannot be one"
	}
	return ""
}

func (i *importer) takeProjects(e *Export) {
	ids := make(map[string]string)
	for _, p := range i.Directory.Projects() {
		ids[p.Name], i.projects[p.ID] = p.ID, p.Name
	}
	for _, p := range e.projects {
		thing := quoted("project", p.Name)
		if why := badName(p.Name, p.UUID); why != "" {
			i.leave(thing, "%s; nothing of it is", why)
			continue
		}
		here, known := i.projects[p.UUID]
		switch {
		case known && here != p.Name:
			i.count.There++
			i.note(thing, "it is here as %q, and keeps that name", here)
			continue
		case known:
			i.count.There++
			continue
		case ids[p.Name] != "":
			i.leave(thing, "there is another one of that name; nothing of it is")
			continue
		}
		made := &resource.Project{Origin: i.origin(p.UUID, p.CreatedBy, p.Created, p.Modified, p.Made), Name: p.Name, Description: p.Description}
		if i.put(thing, func(ctx context.Context) error { return i.Directory.AdoptProject(ctx, made) }) {
			ids[p.Name], i.projects[p.UUID] = p.UUID, p.Name
		}
	}
}

// origin is that of a thing with times of its own, or that of its document.
func (i *importer) origin(id, by string, created, modified Time, made ObjectID) resource.Origin {
	at := created.micro()
	if at == 0 {
		at = Time{made.Made}.micro()
	}
	return i.Directory.OriginOf(id, by, at, modified.micro())
}

func (i *importer) takeUsers(e *Export) {
	ids := make(map[string]string)
	for _, u := range i.Directory.Users() {
		ids[u.Name], i.people[u.ID] = u.ID, u.Name
	}
	for _, u := range e.users {
		thing := quoted("user", u.Name)
		if why := badName(u.Name, u.UUID); why != "" {
			i.leave(thing, "%s", why)
			continue
		}
		if here, known := i.people[u.UUID]; known {
			i.count.There++
			if here != u.Name {
				i.note(thing, "it is here as %q", here)
			}
			continue
		}
		if ids[u.Name] != "" {
			i.leave(thing, "there is another one of that name")
			continue
		}
		made := &resource.User{
			Origin: i.origin(u.UUID, u.CreatedBy, u.Created, u.Modified, u.Made), Name: u.Name, FirstName: u.FirstName, LastName: u.LastName,
			Organization: u.Organization, Description: u.Description, Email: u.Email, Projects: i.memberships(thing, u.Projects), ServiceRoles: i.roles(thing, u.ServiceRoles),
		}
		token := i.token(thing, u.Token)
		if i.put(thing, func(ctx context.Context) error { return i.Directory.AdoptUser(ctx, made, token) }) {
			ids[u.Name], i.people[u.UUID] = u.UUID, u.Name
		}
	}
}

// memberships are those in projects that are here.
func (i *importer) memberships(thing string, all []membership) (some []resource.Membership) {
	seen := make(map[string]struct{})
	for _, m := range all {
		_, twice := seen[m.Project]
		if i.projects[m.Project] == "" || twice {
			i.note(thing, "its part in project %.40q is left out: the project is not here, or named twice", m.Project)
			continue
		}
		seen[m.Project] = struct{}{}
		some = append(some, resource.Membership{Project: m.Project, Roles: i.roles(thing, m.Roles)})
	}
	return some
}

// roles are those that there are.
func (i *importer) roles(thing string, all []string) []string {
	return slices.DeleteFunc(filled(all), func(role string) bool {
		if i.ValidRole(role) {
			return false
		}
		i.note(thing, "the role %.40q is left out: there is none", role)
		return true
	})
}

// token is a user's token if it can be his here, or empty.
func (i *importer) token(thing, token string) string {
	_, twice := i.tokens[token]
	switch {
	case !resource.IsToken(token):
		i.note(thing, "it has no token of 64 hexadecimal digits, and has to be given one: POST /v1/users/NAME:refreshToken")
		return ""
	case twice || i.Directory.Recognised(token):
		i.note(thing, "somebody else has its token, and it has to be given another one: POST /v1/users/NAME:refreshToken")
		return ""
	}
	i.tokens[token] = struct{}{}
	return token
}
