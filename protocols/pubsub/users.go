package pubsub

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// view is how much of users somebody sees.
type view struct {
	// names are those of projects, by ID, and entries who is in which ACL; without entries no projects are shown.
	names   map[string]string
	entries resource.Entries
	// only is the project that is shown alone; nil is all.
	only *resource.Project
	// secrets: the token, the service roles and who made it.
	secrets bool
}

// view returns one that shows projects, if detailed.
func (s *Server) view(secrets, detailed bool, only *resource.Project) view {
	v := view{only: only, secrets: secrets}
	if detailed {
		v.names, v.entries = s.cfg.Directory.ProjectNames(), s.cfg.Directory.Entries()
	}
	return v
}

func (s *Server) userAnswer(u *resource.User, v view) wire.User {
	a := wire.User{
		UUID: u.ID, Name: u.Name, FirstName: u.FirstName, LastName: u.LastName, Organization: u.Organization, Description: u.Description, Email: u.Email,
		Created: wire.Second(u.CreatedAt()), Modified: wire.Second(u.ModifiedAt()),
	}
	if v.secrets {
		a.Token, a.CreatedBy, a.ServiceRoles = s.cfg.Directory.TokenOf(u), s.nameOf(u.CreatedBy), u.ServiceRoles
	}
	if v.entries == nil {
		return a
	}
	for _, m := range u.Projects {
		name := v.names[m.Project]
		if name == "" || v.only != nil && v.only.ID != m.Project { // gone, or none of his business
			continue
		}
		e := v.entries.Of(u, name)
		a.Projects = append(a.Projects, wire.Membership{Project: name, Roles: filled(m.Roles), Topics: filled(e.Topics), Subscriptions: filled(e.Subscriptions)})
	}
	return a
}

// filled is a list that is not nil.
func filled(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func (s *Server) listUsers(r *request) (any, error) {
	var of *resource.Project
	if name := r.URL.Query().Get("project"); name != "" {
		if of = s.cfg.Directory.Project(r.Context(), name); of == nil {
			return nil, wire.NotFound("ProjectUUID")
		}
	}
	return s.usersPage(r, of, nil)
}

func (s *Server) listMembers(r *request) (any, error) {
	return s.usersPage(r, r.project, r.business())
}

// usersPage is a page of the users, of those of a project if that is not nil.
func (s *Server) usersPage(r *request, of, only *resource.Project) (any, error) {
	all := s.cfg.Directory.Users()
	if of != nil {
		all = slices.DeleteFunc(all, func(u *resource.User) bool { return !u.Member(of) })
	}
	page, where, err := paged(r, all, func(u *resource.User) *resource.Origin { return &u.Origin })
	if err != nil {
		return nil, err
	}
	v := s.view(r.caller.privileged, r.yes("details"), only)
	users := make([]wire.User, len(page))
	for i, u := range page {
		users[i] = s.userAnswer(u, v)
	}
	return wire.Users{Users: users, Page: where}, nil
}

// paged is the page of a list that a request asks for.
func paged[T any](r *request, all []T, origin func(T) *resource.Origin) ([]T, wire.Page, error) {
	size := 0
	if q := r.URL.Query().Get("pageSize"); q != "" {
		n, err := strconv.Atoi(q)
		if err != nil || n < 0 {
			return nil, wire.Page{}, wire.Invalid("Invalid page size")
		}
		size = n
	}
	// A query that cannot be read is a token that is none. The service's own library has another name for it.
	token := cmp.Or(r.URL.Query().Get("pageToken"), r.URL.Query().Get("nextPageToken"))
	if token == "" && unreadable(r.URL.RawQuery) {
		return nil, wire.Page{}, wire.Invalid("Invalid page token")
	}
	page, next, ok := resource.Page(all, origin, size, token)
	if !ok {
		return nil, wire.Page{}, wire.Invalid("Invalid page token")
	}
	return page, wire.Page{Next: next, Total: len(all)}, nil
}

func (s *Server) profile(r *request) (any, error) {
	if r.caller.user == nil {
		return nil, wire.Unauthorized()
	}
	a := s.userAnswer(r.caller.user, s.view(true, true, nil))
	a.Token = r.caller.shown.Token
	return a, nil
}

func (s *Server) showUser(r *request) (any, error) {
	return s.oneUser(r, s.cfg.Directory.User(r.Context(), r.vars.Get("user")))
}

func (s *Server) showUserByID(r *request) (any, error) {
	return s.oneUser(r, s.cfg.Directory.UserByID(r.Context(), r.vars.Get("uuid")))
}

func (s *Server) showUserByToken(r *request) (any, error) {
	u := s.cfg.Directory.UserByToken(r.Context(), r.vars.Get("token"))
	answer, err := s.oneUser(r, u)
	if a, ok := answer.(wire.User); ok {
		a.Token = r.vars.Get("token")
		return a, nil
	}
	return answer, err
}

func (s *Server) oneUser(_ *request, u *resource.User) (any, error) {
	if u == nil {
		return nil, wire.NotFound("User")
	}
	return s.userAnswer(u, s.view(true, true, nil)), nil
}

func (s *Server) createUser(r *request) (any, error) {
	asked, err := wire.Decode[wire.UserRequest](r.body)
	if err != nil {
		return nil, wire.InvalidArguments("User")
	}
	name := r.vars.Get("user")
	if s.cfg.Directory.User(r.Context(), name) != nil {
		return nil, wire.Exists("User")
	}
	u := template(name, &asked)
	if u.Projects, err = s.memberships(r, asked.Projects); err != nil {
		return nil, err
	}
	if err := validRoles(asked.ServiceRoles); err != nil {
		return nil, err
	}
	u.ServiceRoles = asked.ServiceRoles
	return s.newUser(r, u, nil)
}

// template is a user as a request wants it, without roles.
func template(name string, asked *wire.UserRequest) resource.User {
	return resource.User{
		Name: name, FirstName: asked.FirstName, LastName: asked.LastName, Organization: asked.Organization, Description: asked.Description, Email: asked.Email,
	}
}

// newUser makes a user, and shows it with its token.
func (s *Server) newUser(r *request, u resource.User, only *resource.Project) (any, error) {
	made, token, err := s.cfg.Directory.CreateUser(r.Context(), u, r.caller.id())
	if err != nil {
		return nil, in(err, "User")
	}
	a := s.userAnswer(made, s.view(true, true, only))
	a.Token = token
	return a, nil
}

// memberships are those that a request names.
func (s *Server) memberships(r *request, asked []wire.MembershipRequest) ([]resource.Membership, error) {
	var all []resource.Membership
	seen := make(map[string]struct{}, len(asked))
	for _, m := range asked {
		p := s.cfg.Directory.Project(r.Context(), m.Project)
		if p == nil {
			return nil, wire.Invalid("invalid project: " + m.Project)
		}
		if _, twice := seen[p.ID]; twice {
			return nil, wire.Invalid("duplicate reference of project " + m.Project)
		}
		seen[p.ID] = struct{}{}
		if err := validRoles(m.Roles); err != nil {
			return nil, err
		}
		all = append(all, resource.Membership{Project: p.ID, Roles: filled(m.Roles)})
	}
	return all, nil
}

func validRoles(roles []string) error {
	for _, role := range roles {
		if !ValidRole(role) {
			return wire.Invalid("invalid role: " + role)
		}
	}
	return nil
}

func (s *Server) changeUser(r *request) (any, error) {
	asked, err := wire.Decode[wire.UserRequest](r.body)
	if err != nil {
		return nil, wire.InvalidArguments("User")
	}
	if asked.Name != "" && !wire.ValidName(asked.Name) {
		return nil, wire.InvalidName("user")
	}
	memberships, err := s.memberships(r, asked.Projects)
	if err != nil {
		return nil, err
	}
	if err := validRoles(asked.ServiceRoles); err != nil {
		return nil, err
	}
	u, err := s.cfg.Directory.ChangeUser(r.Context(), r.vars.Get("user"), func(u *resource.User) error {
		for _, field := range []struct {
			to    *string
			asked string
		}{
			{&u.Name, asked.Name}, {&u.FirstName, asked.FirstName}, {&u.LastName, asked.LastName}, {&u.Organization, asked.Organization},
			{&u.Description, asked.Description}, {&u.Email, asked.Email},
		} {
			if field.asked != "" {
				*field.to = field.asked
			}
		}
		if asked.Projects != nil {
			u.Projects = memberships
		}
		if asked.ServiceRoles != nil {
			u.ServiceRoles = asked.ServiceRoles
		}
		return nil
	})
	if err != nil {
		return nil, in(err, "User")
	}
	return s.userAnswer(u, s.view(true, true, nil)), nil
}

func (s *Server) refreshToken(r *request) (any, error) {
	u, token, err := s.cfg.Directory.RefreshToken(r.Context(), r.vars.Get("user"))
	if err != nil {
		return nil, in(err, "User")
	}
	a := s.userAnswer(u, s.view(true, true, nil))
	a.Token = token
	return a, nil
}

func (s *Server) deleteUser(r *request) (any, error) {
	return nil, in(s.cfg.Directory.DeleteUser(r.Context(), r.vars.Get("user")), "User")
}
