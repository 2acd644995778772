package resource

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"

	"golang.org/x/crypto/argon2"

	"github.com/sluice-mq/sluice/gateway"
)

// Where the facts of the mapping are; an ID follows.
const (
	serviceTypeKeys = "pubsub/servicetype/"
	authMethodKeys  = "pubsub/authmethod/"
	bindingKeys     = "pubsub/binding/"
)

// ServiceType is a service whose users are known by certificates, and the hosts that it has.
type ServiceType struct {
	Origin
	Name       string   `json:"name"`
	Hosts      []string `json:"hosts"`
	AuthTypes  []string `json:"auth_types"`
	AuthMethod string   `json:"auth_method"`
	Type       string   `json:"type"`
}

// Has reports whether the service has a host.
func (s *ServiceType) Has(host string) bool { return slices.Contains(s.Hosts, host) }

// AuthMethod is how somebody else would ask a host for its users' tokens. By what he would show himself is not kept: nobody has to ask here.
type AuthMethod struct {
	Origin
	// Service is the ID of a ServiceType.
	Service string `json:"service"`
	Host    string `json:"host"`
	Port    int    `json:"port"`
	Type    string `json:"type"`
	// Headers are the names of those that he would send.
	Headers []string `json:"headers,omitempty"`
}

// Binding says which user somebody is who has a certificate.
type Binding struct {
	Origin
	Name string `json:"name"`
	// Service is the ID of a ServiceType.
	Service string `json:"service"`
	Host    string `json:"host"`
	// Identifier is the subject of the certificate, as it was written.
	Identifier string `json:"identifier"`
	AuthType   string `json:"auth_type"`
	// User is an ID; there need not be such a one.
	User string `json:"user"`
	// LastAuth is when it was used last where it comes from; nothing is written here when it is used.
	LastAuth string `json:"last_auth,omitempty"`

	keys []string
}

// place is where a binding counts: no two of a place may have an identifier in common.
type place struct{ service, host, authType string }

func (b *Binding) place() place { return place{b.Service, b.Host, b.AuthType} }

// Mapping is what is known of the mapping at a moment, each list the oldest first. It does not change.
type Mapping struct {
	Types    []*ServiceType
	Methods  []*AuthMethod
	Bindings []*Binding

	keys  func(identifier string) []string
	by    map[place]map[string][]*Binding
	named map[string][]*Binding
}

// Mapping is what is known at this moment.
func (d *Directory) Mapping() *Mapping {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.mapping()
}

// mapping is Mapping with the lock held. It is put in order by who asks first after a change.
func (d *Directory) mapping() *Mapping {
	if m := d.mapped.Load(); m != nil {
		return m
	}
	m := &Mapping{
		Types:    slices.SortedFunc(maps.Values(d.serviceTypes), func(a, b *ServiceType) int { return older(&a.Origin, &b.Origin) }),
		Methods:  slices.SortedFunc(maps.Values(d.authMethods), func(a, b *AuthMethod) int { return older(&a.Origin, &b.Origin) }),
		Bindings: slices.SortedFunc(maps.Values(d.bindings), func(a, b *Binding) int { return older(&a.Origin, &b.Origin) }),
		keys:     d.cfg.keysOf, by: make(map[place]map[string][]*Binding), named: make(map[string][]*Binding),
	}
	for _, b := range m.Bindings {
		of := m.by[b.place()]
		if of == nil {
			of = make(map[string][]*Binding)
			m.by[b.place()] = of
		}
		for _, key := range b.keys {
			of[key] = append(of[key], b)
		}
		m.named[b.Name] = append(m.named[b.Name], b)
	}
	d.mapped.Store(m)
	return m
}

// keysOf are what an identifier is compared by: what Config.Keys says, or the identifier itself.
func (cfg *Config) keysOf(identifier string) []string {
	if cfg.Keys != nil {
		if keys := cfg.Keys(identifier); len(keys) > 0 {
			return keys
		}
	}
	return []string{"text " + identifier}
}

// KeysOf are what the identifier of a binding is compared by; readable is false if it is nothing that a certificate can have.
func (d *Directory) KeysOf(identifier string) (keys []string, readable bool) {
	keys = d.cfg.keysOf(identifier)
	return keys, d.cfg.Keys == nil || len(d.cfg.Keys(identifier)) > 0
}

// takeMapping keeps what a fact says of the mapping; it reports whether the fact is about it.
func (d *Directory) takeMapping(key string, value []byte, revision uint64) (mine bool, err error) {
	switch {
	case cutID(key, serviceTypeKeys) != "":
		err = takeIn(d.serviceTypes, cutID(key, serviceTypeKeys), value, func(s *ServiceType) { s.revision = revision })
	case cutID(key, authMethodKeys) != "":
		err = takeIn(d.authMethods, cutID(key, authMethodKeys), value, func(a *AuthMethod) { a.revision = revision })
	case cutID(key, bindingKeys) != "":
		err = takeIn(d.bindings, cutID(key, bindingKeys), value, func(b *Binding) { b.revision, b.keys = revision, d.cfg.keysOf(b.Identifier) })
	default:
		return false, nil
	}
	d.mapped.Store(nil)
	return true, err
}

// cutID is what follows the keys of a kind, empty if the key is of another one.
func cutID(key, kind string) string {
	if len(key) > len(kind) && key[:len(kind)] == kind {
		return key[len(kind):]
	}
	return ""
}

// TypesNamed are the services of a name: one, or none, unless two nodes made one at the same moment.
func (m *Mapping) TypesNamed(name string) (some []*ServiceType) {
	for _, s := range m.Types {
		if s.Name == name {
			some = append(some, s)
		}
	}
	return some
}

// Type is the service of an ID; nil if there is none.
func (m *Mapping) Type(id string) *ServiceType {
	for _, s := range m.Types {
		if s.ID == id {
			return s
		}
	}
	return nil
}

// MethodsOf are those of a host of a service.
func (m *Mapping) MethodsOf(service, host string) (some []*AuthMethod) {
	for _, a := range m.Methods {
		if a.Service == service && a.Host == host {
			some = append(some, a)
		}
	}
	return some
}

// BindingsNamed are the bindings of a name: one, or none, unless two nodes made one at the same moment.
func (m *Mapping) BindingsNamed(name string) []*Binding { return m.named[name] }

// BindingsOf are those of a host of a service.
func (m *Mapping) BindingsOf(service, host string) (some []*Binding) {
	for _, b := range m.Bindings {
		if b.Service == service && b.Host == host {
			some = append(some, b)
		}
	}
	return some
}

// Identified are the bindings of a place for an identifier, in whichever way it is written: one, or none, unless two nodes made one at the same moment.
func (m *Mapping) Identified(service, host, authType, identifier string) []*Binding {
	return m.Found(service, host, authType, m.keys(identifier))
}

// Found is Identified for what an identifier is compared by. A key that comes first counts before the others.
func (m *Mapping) Found(service, host, authType string, keys []string) []*Binding {
	of := m.by[place{service, host, authType}]
	for _, key := range keys {
		if some := of[key]; len(some) > 0 {
			return some
		}
	}
	return nil
}

// Edit is a change to the mapping: it has one thing, which is written, or with Gone taken away.
type Edit struct {
	Type    *ServiceType
	Method  *AuthMethod
	Binding *Binding
	Gone    bool
}

// fact is what the change writes.
func (e Edit) fact() (key string, value any, since uint64) {
	var o *Origin
	switch {
	case e.Type != nil:
		key, value, o = serviceTypeKeys, e.Type, &e.Type.Origin
	case e.Method != nil:
		key, value, o = authMethodKeys, e.Method, &e.Method.Origin
	default:
		key, value, o = bindingKeys, e.Binding, &e.Binding.Origin
	}
	if e.Gone {
		value = nil
	}
	return key + o.ID, value, o.revision
}

// EditMapping changes the mapping as decide says by what there is, and is asked again if somebody came in between; its error is returned. What is written is a copy of what
// the Mapping has, or new with NewOrigin. One at a time on each node, so that no two of them make the same name; two nodes could, at the same moment, and then
// neither counts until one is taken away.
func (d *Directory) EditMapping(ctx context.Context, decide func(m *Mapping) (Edit, error)) error {
	select {
	case d.editing <- struct{}{}:
		defer func() { <-d.editing }()
	case <-ctx.Done():
		return gateway.WrapError(gateway.Unavailable, ctx.Err(), "somebody else is changing the mapping")
	}
	if d.cfg.Shared {
		if err := d.Look(ctx); err != nil {
			return err
		}
	}
	return d.change(ctx, func() (string, any, uint64, error) {
		e, err := decide(d.mapping())
		if err != nil {
			return "", nil, 0, err
		}
		key, value, since := e.fact()
		return key, value, since, nil
	})
}

// NewOrigin is that of something new.
func (d *Directory) NewOrigin(by string) Origin { return d.origin(by) }

// Touch says that something was changed now.
func (d *Directory) Touch(o *Origin) { o.Modified = d.cfg.Now().UnixMicro() }

// TokenFor is a token by which a user is known and that can be told at any time: his own if it is sealed, else one that is made of it and of Config.Loan, always
// the same. It is worth what his own is and goes with it, and it is stored nowhere. Empty: there is none.
func (d *Directory) TokenFor(u *User) string {
	if token := d.TokenOf(u); token != "" {
		return token
	}
	return d.loan(u)
}

// longSecret is from how many characters on nobody finds a secret by trying, whatever it is made of.
const longSecret = 32

// loanKey is the key of a secret; nil for none. Users know what goes into their tokens and what comes out: a secret that is short is made expensive to find, which takes some hundredths of a second.
func loanKey(secret string) []byte {
	const label = "sluice pubsub loans"
	switch {
	case secret == "":
		return nil
	case len(secret) < longSecret:
		return argon2.IDKey([]byte(secret), []byte(label), 2, 19<<10, 1, sha256.Size)
	}
	key := sha256.Sum256([]byte(label + "\x00" + secret))
	return key[:]
}

// loan makes a user's other token; empty if none is made.
func (d *Directory) loan(u *User) string {
	if d.loanKey == nil || u.Token.Sum == "" {
		return ""
	}
	mac := hmac.New(sha256.New, d.loanKey)
	mac.Write([]byte(u.ID + "\x00" + u.Token.Sum))
	return hex.EncodeToString(mac.Sum(nil))
}

// sums are those by which a user is recognised. The lock is held.
func (d *Directory) sums(u *User) (all []string) {
	if u.Token.Sum != "" {
		all = append(all, u.Token.Sum)
	}
	if token := d.loan(u); token != "" {
		all = append(all, SumOf(token))
	}
	return all
}
