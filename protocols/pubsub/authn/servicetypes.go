package authn

import (
	"slices"

	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// ServiceType is one as the API has it. The order of the fields is that of the service.
type ServiceType struct {
	Name       string   `json:"name"`
	Hosts      []string `json:"hosts"`
	AuthTypes  []string `json:"auth_types"`
	AuthMethod string   `json:"auth_method"`
	UUID       string   `json:"uuid"`
	Created    string   `json:"created_on"`
	Updated    string   `json:"updated_on,omitempty"`
	Type       string   `json:"type"`
}

// What there is to choose from: the service has it in its configuration.
func authTypes() []string    { return []string{x509Type} }
func authMethods() []string  { return []string{apiKey, headers} }
func serviceTypes() []string { return []string{"ams"} }

const (
	x509Type = "x509"
	apiKey   = "api-key"
	headers  = "headers"
)

// created and updated are when something was made, and changed, as the API has it.
func created(o *resource.Origin) string { return wire.Second(o.CreatedAt()) }
func updated(o *resource.Origin) string {
	if o.Modified == 0 {
		return ""
	}
	return wire.Second(o.ModifiedAt())
}

func typeAnswer(s *resource.ServiceType) ServiceType {
	return ServiceType{
		Name: s.Name, Hosts: s.Hosts, AuthTypes: s.AuthTypes, AuthMethod: s.AuthMethod, UUID: s.ID, Created: created(&s.Origin), Updated: updated(&s.Origin), Type: s.Type,
	}
}

// valid returns what is wrong with a service type; nil if nothing is.
func (t *ServiceType) valid() error {
	const thing = "service-type"
	switch {
	case t.Name == "":
		return empty(thing, "name")
	case len(t.Hosts) == 0:
		return empty(thing, "hosts")
	case t.AuthTypes == nil:
		return empty(thing, "auth_types")
	case t.AuthMethod == "":
		return empty(thing, "auth_method")
	case t.Type == "":
		return empty(thing, "type")
	case !slices.Contains(authMethods(), t.AuthMethod):
		return unsupported("auth_method", t.AuthMethod, authMethods())
	case len(t.AuthTypes) == 0:
		return unsupported("auth_types", "empty", authTypes())
	}
	for _, a := range t.AuthTypes {
		if !slices.Contains(authTypes(), a) {
			return unsupported("auth_types", a, authTypes())
		}
	}
	if !slices.Contains(serviceTypes(), t.Type) {
		return unsupported("type", t.Type, serviceTypes())
	}
	return nil
}

// theType is the one service of a name.
func theType(m *resource.Mapping, name string) (*resource.ServiceType, error) {
	switch all := m.TypesNamed(name); len(all) {
	case 0:
		return nil, notFound("Service-type")
	case 1:
		return all[0], nil
	}
	return nil, several("Multiple service-types with the same name: " + name)
}

// theHost is the service and the host that a path names.
func (r *request) theHost(m *resource.Mapping) (t *resource.ServiceType, host string, err error) {
	if t, err = theType(m, r.vars.Get("service-type")); err != nil {
		return nil, "", err
	}
	if host = r.vars.Get("host"); !t.Has(host) {
		return nil, "", notFound("Host")
	}
	return t, host, nil
}

// seen looks at what there is, and at what other nodes have made a moment ago if something is missing.
func (s *Server) seen(r *request, look func(m *resource.Mapping) error) error {
	err := look(s.cfg.Directory.Mapping())
	if p, ok := err.(*problem); ok && p.Code == 404 && s.cfg.Directory.Refresh(r.Context()) == nil {
		return look(s.cfg.Directory.Mapping())
	}
	return err
}

func (s *Server) createType(r *request) (any, error) {
	var asked ServiceType
	if err := decode(r.body, &asked); err != nil {
		return nil, err
	}
	if err := asked.valid(); err != nil {
		return nil, err
	}
	made := &resource.ServiceType{
		Origin: s.cfg.Directory.NewOrigin(r.id()), Name: asked.Name, Hosts: asked.Hosts, AuthTypes: asked.AuthTypes, AuthMethod: asked.AuthMethod, Type: asked.Type,
	}
	made.Modified = 0
	err := s.cfg.Directory.EditMapping(r.Context(), func(m *resource.Mapping) (resource.Edit, error) {
		if len(m.TypesNamed(made.Name)) > 0 {
			return resource.Edit{}, conflict("service-type", "name", made.Name)
		}
		return resource.Edit{Type: made}, nil
	})
	if err != nil {
		return nil, err
	}
	return typeAnswer(made), nil
}

func (s *Server) listTypes(*request) (any, error) {
	all := struct {
		Types []ServiceType `json:"service_types"`
	}{[]ServiceType{}}
	for _, t := range s.cfg.Directory.Mapping().Types {
		all.Types = append(all.Types, typeAnswer(t))
	}
	return all, nil
}

func (s *Server) showType(r *request) (answer any, err error) {
	err = s.seen(r, func(m *resource.Mapping) error {
		t, err := theType(m, r.vars.Get("service-type"))
		if err == nil {
			answer = typeAnswer(t)
		}
		return err
	})
	return answer, err
}

func (s *Server) changeType(r *request) (any, error) {
	var now resource.ServiceType
	err := s.cfg.Directory.EditMapping(r.Context(), func(m *resource.Mapping) (resource.Edit, error) {
		old, err := theType(m, r.vars.Get("service-type"))
		if err != nil {
			return resource.Edit{}, err
		}
		now = *old
		asked := ServiceType{Name: now.Name, Hosts: slices.Clone(now.Hosts), AuthTypes: slices.Clone(now.AuthTypes), AuthMethod: now.AuthMethod}
		if err := decode(r.body, &asked); err != nil {
			return resource.Edit{}, err
		}
		asked.Type = now.Type
		if err := asked.valid(); err != nil {
			return resource.Edit{}, err
		}
		if asked.Name != now.Name && len(m.TypesNamed(asked.Name)) > 0 {
			return resource.Edit{}, conflict("service-type", "name", asked.Name)
		}
		now.Name, now.Hosts, now.AuthTypes, now.AuthMethod = asked.Name, asked.Hosts, asked.AuthTypes, asked.AuthMethod
		s.cfg.Directory.Touch(&now.Origin)
		return resource.Edit{Type: &now}, nil
	})
	if err != nil {
		return nil, err
	}
	return typeAnswer(&now), nil
}

// deleteType ends a service with its bindings and methods, itself last: what was begun and not finished is finished by who does it again.
func (s *Server) deleteType(r *request) (any, error) {
	for {
		last := false
		err := s.cfg.Directory.EditMapping(r.Context(), func(m *resource.Mapping) (resource.Edit, error) {
			t, err := theType(m, r.vars.Get("service-type"))
			if err != nil {
				return resource.Edit{}, err
			}
			for _, b := range m.Bindings {
				if b.Service == t.ID {
					return resource.Edit{Binding: b, Gone: true}, nil
				}
			}
			for _, a := range m.Methods {
				if a.Service == t.ID {
					return resource.Edit{Method: a, Gone: true}, nil
				}
			}
			last = true
			return resource.Edit{Type: t, Gone: true}, nil
		})
		if err != nil || last {
			return nil, err
		}
	}
}
