package authn

import (
	"slices"

	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// Binding is one as the API has it. The order of the fields is that of the service.
type Binding struct {
	Name       string `json:"name"`
	Service    string `json:"service_uuid"`
	Host       string `json:"host"`
	UUID       string `json:"uuid"`
	Identifier string `json:"auth_identifier"`
	UniqueKey  string `json:"unique_key"`
	AuthType   string `json:"auth_type"`
	Created    string `json:"created_on,omitempty"`
	Updated    string `json:"updated_on,omitempty"`
	LastAuth   string `json:"last_auth,omitempty"`
}

// Bindings are some of them.
type Bindings struct {
	Bindings []Binding `json:"bindings"`
}

func bindingAnswer(b *resource.Binding) Binding {
	return Binding{
		Name: b.Name, Service: b.Service, Host: b.Host, UUID: b.ID, Identifier: b.Identifier, UniqueKey: b.User, AuthType: b.AuthType,
		Created: created(&b.Origin), Updated: updated(&b.Origin), LastAuth: b.LastAuth,
	}
}

func bindingsAnswer(some []*resource.Binding) Bindings {
	all := Bindings{[]Binding{}}
	for _, b := range some {
		all.Bindings = append(all.Bindings, bindingAnswer(b))
	}
	return all
}

// valid returns what is wrong with a binding; nil if nothing is.
func (b *Binding) valid(m *resource.Mapping) error {
	for _, field := range []struct{ name, value string }{
		{"name", b.Name}, {"service_uuid", b.Service}, {"host", b.Host}, {"auth_identifier", b.Identifier}, {"unique_key", b.UniqueKey}, {"auth_type", b.AuthType},
	} {
		if field.value == "" {
			return empty("binding", field.name)
		}
	}
	t := m.Type(b.Service)
	switch {
	case t == nil:
		return notFound("Service-type")
	case !t.Has(b.Host):
		return notFound("Host")
	case !slices.Contains(t.AuthTypes, b.AuthType):
		return unsupported("Auth type", b.AuthType, t.AuthTypes)
	}
	return nil
}

// put has a binding become what the API asks for.
func (b *Binding) put(to *resource.Binding) {
	to.Name, to.Service, to.Host, to.Identifier, to.User, to.AuthType = b.Name, b.Service, b.Host, b.Identifier, b.UniqueKey, b.AuthType
}

// taken returns a conflict if another binding than that of an ID has the identifier, or the name.
func (b *Binding) taken(m *resource.Mapping, id string) error {
	for _, other := range m.Identified(b.Service, b.Host, b.AuthType, b.Identifier) {
		if other.ID != id {
			return conflict("binding", "auth_identifier", b.Identifier)
		}
	}
	for _, other := range m.BindingsNamed(b.Name) {
		if other.ID != id {
			return conflict("binding", "name", b.Name)
		}
	}
	return nil
}

func (s *Server) createBinding(r *request) (any, error) {
	var asked Binding
	if err := decode(r.body, &asked); err != nil {
		return nil, err
	}
	asked.Name = r.vars.Get("name")
	made := &resource.Binding{Origin: s.cfg.Directory.NewOrigin(r.id())}
	made.Modified = 0
	asked.put(made)
	err := s.cfg.Directory.EditMapping(r.Context(), func(m *resource.Mapping) (resource.Edit, error) {
		err := asked.valid(m)
		if err == nil {
			err = asked.taken(m, made.ID)
		}
		return resource.Edit{Binding: made}, err
	})
	if err != nil {
		return nil, err
	}
	return bindingAnswer(made), nil
}

func (s *Server) listBindings(*request) (any, error) {
	return bindingsAnswer(s.cfg.Directory.Mapping().Bindings), nil
}

// listHostBindings lists those of a host, or the one for a subject.
func (s *Server) listHostBindings(r *request) (answer any, err error) {
	err = s.seen(r, func(m *resource.Mapping) error {
		t, host, err := r.theHost(m)
		if err != nil {
			return err
		}
		identifier := r.URL.Query().Get("authID")
		if identifier == "" {
			answer = bindingsAnswer(m.BindingsOf(t.ID, host))
			return nil
		}
		b, err := oneOf(m.Identified(t.ID, host, x509Type, identifier), t, host, identifier)
		if err == nil {
			answer = bindingsAnswer([]*resource.Binding{b})
		}
		return err
	})
	return answer, err
}

// oneOf is the one binding for a subject.
func oneOf(found []*resource.Binding, t *resource.ServiceType, host, identifier string) (*resource.Binding, error) {
	switch len(found) {
	case 0:
		return nil, notFound("Binding")
	case 1:
		return found[0], nil
	}
	return nil, several("More than 1 bindings found under the service type: " + t.ID + " and host: " + host + " using the same AuthIdentifier: " + identifier)
}

// theBinding is the one of the name in the path.
func (r *request) theBinding(m *resource.Mapping) (*resource.Binding, error) {
	all := m.BindingsNamed(r.vars.Get("name"))
	if len(all) == 0 {
		return nil, notFound("Binding")
	}
	return all[0], nil
}

func (s *Server) showBinding(r *request) (answer any, err error) {
	err = s.seen(r, func(m *resource.Mapping) error {
		b, err := r.theBinding(m)
		if err == nil {
			answer = bindingAnswer(b)
		}
		return err
	})
	return answer, err
}

func (s *Server) changeBinding(r *request) (any, error) {
	var now resource.Binding
	err := s.cfg.Directory.EditMapping(r.Context(), func(m *resource.Mapping) (resource.Edit, error) {
		old, err := r.theBinding(m)
		if err != nil {
			return resource.Edit{}, err
		}
		now = *old
		asked := bindingAnswer(old)
		if err := decode(r.body, &asked); err != nil {
			return resource.Edit{}, err
		}
		if err := asked.valid(m); err != nil {
			return resource.Edit{}, err
		}
		if err := asked.taken(m, now.ID); err != nil {
			return resource.Edit{}, err
		}
		asked.put(&now)
		s.cfg.Directory.Touch(&now.Origin)
		return resource.Edit{Binding: &now}, nil
	})
	if err != nil {
		return nil, err
	}
	return bindingAnswer(&now), nil
}

func (s *Server) deleteBinding(r *request) (any, error) {
	return nil, s.cfg.Directory.EditMapping(r.Context(), func(m *resource.Mapping) (resource.Edit, error) {
		b, err := r.theBinding(m)
		return resource.Edit{Binding: b, Gone: true}, err
	})
}
