package authn

import (
	"maps"
	"slices"

	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// AuthMethod is one as the API has it: one of api-key has an access key, one of headers has headers. What would open another service is taken and not kept: it is shown once, in the
// answer to who said it, and is empty from then on.
type AuthMethod struct {
	Service string `json:"service_uuid"`
	Port    int    `json:"port"`
	Host    string `json:"host"`
	Type    string `json:"type"`
	UUID    string `json:"uuid"`
	Created string `json:"created_on"`
	Updated string `json:"updated_on,omitempty"`

	AccessKey *string           `json:"access_key,omitempty"`
	Headers   map[string]string `json:"headers,omitempty"`
}

func methodAnswer(a *resource.AuthMethod) AuthMethod {
	answer := AuthMethod{Service: a.Service, Port: a.Port, Host: a.Host, Type: a.Type, UUID: a.ID, Created: created(&a.Origin), Updated: updated(&a.Origin)}
	if a.Type == apiKey {
		answer.AccessKey = new(string)
		return answer
	}
	answer.Headers = make(map[string]string, len(a.Headers))
	for _, name := range a.Headers {
		answer.Headers[name] = ""
	}
	return answer
}

// shown is the answer with what the client has just said.
func (a AuthMethod) shown(asked *AuthMethod) AuthMethod {
	if asked.AccessKey != nil && a.AccessKey != nil {
		a.AccessKey = asked.AccessKey
	}
	for name := range a.Headers {
		a.Headers[name] = asked.Headers[name]
	}
	return a
}

// valid returns what is wrong with a method; nil if nothing is. new: it has to bring what it opens.
func (a *AuthMethod) valid(m *resource.Mapping, new bool) error {
	const thing = "auth method"
	t := m.Type(a.Service)
	switch {
	case a.Service == "":
		return empty(thing, "service_uuid")
	case a.Port == 0:
		return empty(thing, "port")
	case a.Host == "":
		return empty(thing, "host")
	case t == nil:
		return notFound("Service-type")
	case !t.Has(a.Host):
		return notFound("Host")
	case a.Type == apiKey && (a.AccessKey == nil || new && *a.AccessKey == ""):
		return empty(thing, "access_key")
	case a.Type == headers && len(a.Headers) == 0:
		return empty(thing, "headers")
	}
	return nil
}

// put has a method become what the API asks for.
func (a *AuthMethod) put(to *resource.AuthMethod) {
	to.Service, to.Host, to.Port, to.Type, to.Headers = a.Service, a.Host, a.Port, a.Type, nil
	if a.Type == headers {
		to.Headers = slices.Sorted(maps.Keys(a.Headers))
	}
}

// taken returns a conflict if the host has a method of another ID.
func (a *AuthMethod) taken(m *resource.Mapping, id string) error {
	for _, other := range m.MethodsOf(a.Service, a.Host) {
		if other.ID != id && other.Type == a.Type {
			return conflict("Auth method", "host", a.Host)
		}
	}
	return nil
}

func (s *Server) createMethod(r *request) (any, error) {
	var asked AuthMethod
	made := &resource.AuthMethod{Origin: s.cfg.Directory.NewOrigin(r.id())}
	made.Modified = 0
	err := s.cfg.Directory.EditMapping(r.Context(), func(m *resource.Mapping) (resource.Edit, error) {
		t, err := theType(m, r.vars.Get("service-type"))
		if err != nil {
			return resource.Edit{}, err
		}
		asked = AuthMethod{}
		if err := decode(r.body, &asked); err != nil {
			return resource.Edit{}, err
		}
		asked.Service, asked.Type = t.ID, t.AuthMethod
		if err := asked.valid(m, true); err != nil {
			return resource.Edit{}, err
		}
		asked.put(made)
		return resource.Edit{Method: made}, asked.taken(m, made.ID)
	})
	if err != nil {
		return nil, err
	}
	return methodAnswer(made).shown(&asked), nil
}

func (s *Server) listMethods(*request) (any, error) {
	all := struct {
		Methods []AuthMethod `json:"auth_methods"`
	}{[]AuthMethod{}}
	for _, a := range s.cfg.Directory.Mapping().Methods {
		all.Methods = append(all.Methods, methodAnswer(a))
	}
	return all, nil
}

// theMethod is that of the host in the path, of the kind that its service has now.
func (r *request) theMethod(m *resource.Mapping) (*resource.AuthMethod, error) {
	t, host, err := r.theHost(m)
	if err != nil {
		return nil, err
	}
	all := slices.DeleteFunc(m.MethodsOf(t.ID, host), func(a *resource.AuthMethod) bool { return a.Type != t.AuthMethod })
	switch len(all) {
	case 0:
		return nil, notFound("Auth method")
	case 1:
		return all[0], nil
	}
	return nil, internal("More than 1 auth methods found for the given service type and host", nil)
}

func (s *Server) showMethod(r *request) (answer any, err error) {
	err = s.seen(r, func(m *resource.Mapping) error {
		a, err := r.theMethod(m)
		if err == nil {
			answer = methodAnswer(a)
		}
		return err
	})
	return answer, err
}

func (s *Server) changeMethod(r *request) (any, error) {
	var now resource.AuthMethod
	var asked AuthMethod
	err := s.cfg.Directory.EditMapping(r.Context(), func(m *resource.Mapping) (resource.Edit, error) {
		old, err := r.theMethod(m)
		if err != nil {
			return resource.Edit{}, err
		}
		now, asked = *old, methodAnswer(old)
		if err := decode(r.body, &asked); err != nil {
			return resource.Edit{}, err
		}
		asked.Type = now.Type
		if err := asked.valid(m, false); err != nil {
			return resource.Edit{}, err
		}
		asked.put(&now)
		s.cfg.Directory.Touch(&now.Origin)
		return resource.Edit{Method: &now}, asked.taken(m, now.ID)
	})
	if err != nil {
		return nil, err
	}
	return methodAnswer(&now).shown(&asked), nil
}

func (s *Server) deleteMethod(r *request) (any, error) {
	return nil, s.cfg.Directory.EditMapping(r.Context(), func(m *resource.Mapping) (resource.Edit, error) {
		a, err := r.theMethod(m)
		return resource.Edit{Method: a, Gone: true}, err
	})
}
