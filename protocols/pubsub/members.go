package pubsub

import (
	"slices"

	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// notMember is what somebody hears who speaks of a user who is in other projects.
func notMember() *wire.Problem { return wire.Forbidden("User is not a member of the project") }

// business is the only project in which the caller sees the parts of its members; nil: in all.
func (r *request) business() *resource.Project {
	if r.caller.privileged {
		return nil
	}
	return r.project
}

func (s *Server) showMember(r *request) (any, error) {
	u := s.cfg.Directory.User(r.Context(), r.vars.Get("user"))
	if u == nil || !u.Member(r.project) {
		return nil, wire.NotFound("User")
	}
	return s.userAnswer(u, s.view(r.caller.privileged, true, r.business())), nil
}

func (s *Server) createMember(r *request) (any, error) {
	asked, err := wire.Decode[wire.UserRequest](r.body)
	if err != nil {
		return nil, wire.InvalidArguments("User")
	}
	if s.cfg.Directory.User(r.Context(), r.vars.Get("user")) != nil {
		return nil, wire.Exists("User")
	}
	here, err := s.membershipHere(r, asked.Projects)
	if err != nil {
		return nil, err
	}
	u := template(r.vars.Get("user"), &asked)
	u.Projects = []resource.Membership{here}
	return s.newUser(r, u, r.project)
}

// membershipHere is the one in the request's project, without roles if it names none. Those in others are none of its business.
func (s *Server) membershipHere(r *request, asked []wire.MembershipRequest) (resource.Membership, error) {
	all, err := s.memberships(r, asked)
	if err != nil {
		return resource.Membership{}, err
	}
	for _, m := range all {
		if m.Project == r.project.ID {
			return m, nil
		}
	}
	return resource.Membership{Project: r.project.ID, Roles: []string{}}, nil
}

func (s *Server) changeMember(r *request) (any, error) {
	asked, err := wire.Decode[wire.UserRequest](r.body)
	if err != nil {
		return nil, wire.InvalidArguments("User")
	}
	here, err := s.membershipHere(r, asked.Projects)
	if err != nil {
		return nil, err
	}
	return s.changeRoles(r, func(u *resource.User, others []resource.Membership) error {
		if !u.Member(r.project) {
			return notMember()
		}
		if asked.Projects != nil {
			u.Projects = append(others, here)
		}
		return nil
	})
}

// changeRoles changes a user's part in the project. change is given those in others, to which it may append.
func (s *Server) changeRoles(r *request, change func(u *resource.User, others []resource.Membership) error) (any, error) {
	u, err := s.cfg.Directory.ChangeUser(r.Context(), r.vars.Get("user"), func(u *resource.User) error {
		return change(u, slices.DeleteFunc(slices.Clone(u.Projects), func(m resource.Membership) bool { return m.Project == r.project.ID }))
	})
	if err != nil {
		return nil, in(err, "User")
	}
	return s.userAnswer(u, s.view(r.caller.privileged, true, r.business())), nil
}

func (s *Server) addMember(r *request) (any, error) {
	asked, err := wire.Decode[wire.RolesRequest](r.body)
	if err != nil {
		return nil, wire.InvalidArguments("User")
	}
	if err := validRoles(asked.Roles); err != nil {
		return nil, err
	}
	return s.changeRoles(r, func(u *resource.User, others []resource.Membership) error {
		if u.Member(r.project) {
			return wire.Conflict("User is already a member of the project")
		}
		u.Projects = append(others, resource.Membership{Project: r.project.ID, Roles: filled(asked.Roles)})
		return nil
	})
}

func (s *Server) removeMember(r *request) (any, error) {
	_, err := s.changeRoles(r, func(u *resource.User, others []resource.Membership) error {
		if !u.Member(r.project) {
			return notMember()
		}
		u.Projects = others
		return nil
	})
	return wire.Nothing{}, err
}
