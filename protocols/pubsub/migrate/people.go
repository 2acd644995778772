package migrate

import (
	"context"
	"maps"
	"slices"

	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

func (i *importer) takeRegistrations(e *Export) {
	there := make(map[string]struct{})
	for _, r := range i.Directory.Registrations() {
		there[r.ID] = struct{}{}
	}
	for _, r := range e.registrations {
		thing := quoted("registration", r.UUID)
		_, known := there[r.UUID]
		switch {
		case known:
			i.count.There++
			continue
		case !wire.ValidName(r.UUID) || !wire.ValidName(r.Name):
			i.leave(thing, "its name or its uuid cannot be one")
			continue
		case r.Status != resource.Pending && r.Status != resource.Accepted && r.Status != resource.Declined:
			i.leave(thing, "%.40q is no state", r.Status)
			continue
		}
		made := &resource.Registration{
			Origin: i.origin(r.UUID, "", r.Registered, r.Modified, ObjectID{}), Name: r.Name, FirstName: r.FirstName, LastName: r.LastName, Organization: r.Organization,
			Description: r.Description, Email: r.Email, Status: r.Status, Comment: r.Comment, ModifiedBy: r.ModifiedBy,
		}
		if r.Status == resource.Pending {
			made.Activation, made.Modified = r.Activation, 0
		}
		if i.put(thing, func(ctx context.Context) error { return i.Directory.AdoptRegistration(ctx, made) }) {
			there[r.UUID] = struct{}{}
		}
	}
}

// What a service has to be so that its users' tokens are known here.
const (
	ams  = "ams"
	x509 = "x509"
)

// services are those that are here, or will be, by ID.
func (i *importer) services(e *Export) map[string]*resource.ServiceType {
	all := make(map[string]*resource.ServiceType)
	for _, s := range i.Directory.Mapping().Types {
		all[s.ID] = s
	}
	if i.DryRun { // what was taken is not there
		for _, s := range e.serviceTypes {
			if all[s.UUID] == nil && s.why() == "" {
				all[s.UUID] = s.made(resource.Origin{ID: s.UUID})
			}
		}
	}
	return all
}

// why is why a service cannot be taken, empty if it can.
func (s *serviceType) why() string {
	switch {
	case s.Name == "" || len(s.Name) > maxText || !wire.ValidName(s.UUID):
		return "its name or its uuid cannot be one"
	case s.Type != ams:
		return "tokens are given for services of the type ams"
	case !slices.Contains(s.AuthTypes, x509):
		return "its users are not known by certificates"
	case len(s.Hosts) == 0:
		return "it has no hosts"
	case s.AuthMethod != "api-key" && s.AuthMethod != "headers":
		return "its method is neither api-key nor headers"
	}
	return ""
}

// maxText is how long names may be that are no part of a path here.
const maxText = 1024

func (s *serviceType) made(o resource.Origin) *resource.ServiceType {
	return &resource.ServiceType{Origin: o, Name: s.Name, Hosts: filled(s.Hosts), AuthTypes: []string{x509}, AuthMethod: s.AuthMethod, Type: ams}
}

// changed is an origin that says when something was changed only if it was.
func changed(o resource.Origin, at Time) resource.Origin {
	o.Modified = at.micro()
	return o
}

func (i *importer) takeServiceTypes(e *Export) {
	ids, names := make(map[string]struct{}), make(map[string]struct{})
	for _, s := range i.Directory.Mapping().Types {
		ids[s.ID], names[s.Name] = struct{}{}, struct{}{}
	}
	for _, s := range e.serviceTypes {
		thing := quoted("service type", s.Name)
		_, known := ids[s.UUID]
		_, named := names[s.Name]
		switch why := s.why(); {
		case known:
			i.count.There++
			continue
		case why != "":
			i.leave(thing, "%s", why)
			continue
		case named:
			i.leave(thing, "there is another one of that name")
			continue
		}
		if len(s.AuthTypes) > 1 {
			i.note(thing, "its users are known by certificates alone here")
		}
		made := s.made(changed(i.origin(s.UUID, "", s.Created, Time{}, ObjectID{}), s.Updated))
		if i.put(thing, func(ctx context.Context) error { return i.Directory.AdoptMapping(ctx, resource.Edit{Type: made}) }) {
			ids[s.UUID], names[s.Name] = struct{}{}, struct{}{}
		}
	}
}

func (i *importer) takeAuthMethods(e *Export) {
	services := i.services(e)
	type place struct{ service, host, kind string }
	ids, places := make(map[string]struct{}), make(map[place]struct{})
	for _, a := range i.Directory.Mapping().Methods {
		ids[a.ID], places[place{a.Service, a.Host, a.Type}] = struct{}{}, struct{}{}
	}
	for _, a := range e.authMethods {
		thing := quoted("authentication method of", a.Host)
		at := place{a.Service, a.Host, a.Type}
		_, known := ids[a.UUID]
		_, taken := places[at]
		service := services[a.Service]
		switch {
		case known:
			i.count.There++
			continue
		case !wire.ValidName(a.UUID) || a.Type != "api-key" && a.Type != "headers" || a.Port < 0 || a.Port > 65535:
			i.leave(thing, "its uuid, type or port cannot be one")
			continue
		case service == nil || !service.Has(a.Host):
			i.leave(thing, "its service, or the host of that, is not here")
			continue
		case taken:
			i.leave(thing, "the host has one")
			continue
		}
		made := &resource.AuthMethod{
			Origin: changed(i.origin(a.UUID, "", a.Created, Time{}, ObjectID{}), a.Updated), Service: a.Service, Host: a.Host, Port: int(a.Port), Type: a.Type,
			Headers: slices.Sorted(maps.Keys(a.Headers)),
		}
		if i.put(thing, func(ctx context.Context) error { return i.Directory.AdoptMapping(ctx, resource.Edit{Method: made}) }) {
			ids[a.UUID], places[at] = struct{}{}, struct{}{}
		}
	}
}

// bound are the bindings that are here, or will be.
type bound struct{ ids, names, keys map[string]struct{} }

func (b *bound) add(id, name, service, host string, keys []string) {
	b.ids[id], b.names[name] = struct{}{}, struct{}{}
	for _, key := range keys {
		b.keys[service+"\x00"+host+"\x00"+key] = struct{}{}
	}
}

// has reports whether somebody is bound by one of these.
func (b *bound) has(service, host string, keys []string) bool {
	return slices.ContainsFunc(keys, func(key string) bool {
		_, taken := b.keys[service+"\x00"+host+"\x00"+key]
		return taken
	})
}

func (i *importer) takeBindings(e *Export) {
	services := i.services(e)
	all := bound{make(map[string]struct{}), make(map[string]struct{}), make(map[string]struct{})}
	for _, b := range i.Directory.Mapping().Bindings {
		keys, _ := i.Directory.KeysOf(b.Identifier)
		all.add(b.ID, b.Name, b.Service, b.Host, keys)
	}
	for _, b := range e.bindings {
		thing := quoted("binding", b.Name)
		keys, readable := i.Directory.KeysOf(b.Identifier)
		if _, known := all.ids[b.UUID]; known {
			i.count.There++
			continue
		}
		if why := b.why(services[b.Service], &all, keys); why != "" {
			i.leave(thing, "%s", why)
			continue
		}
		who := b.User
		if who == "" {
			who = b.UniqueKey
		}
		switch {
		case !readable:
			i.note(thing, "%.200q is the subject of no certificate, and nobody will be known by it", b.Identifier)
		case i.people[who] == "":
			i.note(thing, "its user %.40q is not here, and nobody will be given a token by it", who)
		case b.UniqueKey != "" && b.UniqueKey != who:
			i.note(thing, "it was changed to stand for user %.40q, which the service has not noticed; it stands for %.40q as before", b.UniqueKey, who)
		}
		made := &resource.Binding{
			Origin: changed(i.origin(b.UUID, "", b.Created, Time{}, ObjectID{}), b.Updated), Name: b.Name, Service: b.Service, Host: b.Host, Identifier: b.Identifier,
			AuthType: x509, User: who, LastAuth: b.LastAuth,
		}
		if i.put(thing, func(ctx context.Context) error { return i.Directory.AdoptMapping(ctx, resource.Edit{Binding: made}) }) {
			all.add(b.UUID, b.Name, b.Service, b.Host, keys)
		}
	}
}

// why is why a binding cannot be taken, empty if it can.
func (b *binding) why(service *resource.ServiceType, all *bound, keys []string) string {
	_, named := all.names[b.Name]
	switch {
	case b.Name == "" || len(b.Name) > maxText || !wire.ValidName(b.UUID):
		return "its name or its uuid cannot be one"
	case b.AuthType != x509:
		return "it is for nobody with a certificate"
	case service == nil || !service.Has(b.Host):
		return "its service, or the host of that, is not here"
	case b.Identifier == "" || len(b.Identifier) > maxIdentifier || b.User == "" && b.UniqueKey == "":
		return "it has no subject or no user"
	case named:
		return "there is another one of that name"
	case all.has(b.Service, b.Host, keys):
		return "there is another one for that subject"
	}
	return ""
}

// maxIdentifier is how long a subject may be.
const maxIdentifier = 8 << 10
