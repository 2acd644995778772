package pubsub

import (
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// registration is what the API calls one.
const registration = "User registration"

func (s *Server) registrationAnswer(r *resource.Registration) wire.Registration {
	a := wire.Registration{
		UUID: r.ID, Name: r.Name, FirstName: r.FirstName, LastName: r.LastName, Organization: r.Organization, Description: r.Description, Email: r.Email,
		Status: r.Status, Comment: r.Comment, Activation: r.Activation, Registered: wire.Second(r.CreatedAt()), ModifiedBy: s.nameOf(r.ModifiedBy),
	}
	if r.Modified != 0 {
		a.Modified = wire.Second(r.ModifiedAt())
	}
	return a
}

func (s *Server) register(r *request) (any, error) {
	asked, err := wire.Decode[wire.UserRequest](r.body)
	if err != nil {
		return nil, wire.InvalidArguments("User")
	}
	if !wire.ValidName(asked.Name) {
		return nil, wire.InvalidName("user")
	}
	if s.cfg.Directory.User(r.Context(), asked.Name) != nil {
		return nil, wire.Exists("User")
	}
	made, err := s.cfg.Directory.Register(r.Context(), resource.Registration{
		Name: asked.Name, FirstName: asked.FirstName, LastName: asked.LastName, Organization: asked.Organization, Description: asked.Description, Email: asked.Email,
	})
	if err != nil {
		return nil, in(err, registration)
	}
	return s.registrationAnswer(made), nil
}

func (s *Server) listRegistrations(r *request) (any, error) {
	q := r.URL.Query()
	all := wire.Registrations{Registrations: []wire.Registration{}}
	for _, one := range s.cfg.Directory.Registrations() {
		fits := true
		for name, value := range map[string]string{
			"name": one.Name, "status": one.Status, "email": one.Email, "organization": one.Organization, "activation_token": one.Activation,
		} {
			fits = fits && (q.Get(name) == "" || q.Get(name) == value)
		}
		if fits {
			all.Registrations = append(all.Registrations, s.registrationAnswer(one))
		}
	}
	return all, nil
}

func (s *Server) showRegistration(r *request) (any, error) {
	one := s.cfg.Directory.Registration(r.Context(), r.vars.Get("uuid"))
	if one == nil {
		return nil, wire.NotFound(registration)
	}
	return s.registrationAnswer(one), nil
}

// acceptRegistration makes the user first: who is told of a registration that it is accepted is a user.
func (s *Server) acceptRegistration(r *request) (any, error) {
	one := s.cfg.Directory.Registration(r.Context(), r.vars.Get("uuid"))
	if one == nil || one.Status != resource.Pending {
		return nil, wire.NotFound(registration)
	}
	answer, err := s.newUser(r, resource.User{
		Name: one.Name, FirstName: one.FirstName, LastName: one.LastName, Organization: one.Organization, Description: one.Description, Email: one.Email,
	}, nil)
	if err != nil {
		return nil, err
	}
	if _, err := s.cfg.Directory.Decide(r.Context(), one.ID, resource.Accepted, "", r.caller.id()); err != nil {
		return nil, in(err, registration)
	}
	return answer, nil
}

func (s *Server) declineRegistration(r *request) (any, error) {
	asked, err := wire.Decode[wire.DeclineRequest](r.body)
	if err != nil {
		return nil, wire.InvalidBody()
	}
	if _, err := s.cfg.Directory.Decide(r.Context(), r.vars.Get("uuid"), resource.Declined, asked.Comment, r.caller.id()); err != nil {
		return nil, in(err, registration)
	}
	return wire.Nothing{}, nil
}

func (s *Server) deleteRegistration(r *request) (any, error) {
	return nil, in(s.cfg.Directory.DeleteRegistration(r.Context(), r.vars.Get("uuid")), registration)
}
