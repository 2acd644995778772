package resource

import (
	"context"

	"github.com/sluice-mq/sluice/gateway"
)

// What is adopted was made elsewhere, and keeps its ID and its times. Whoever adopts has looked whether it fits to what is here. The Error is of kind Conflict if there is
// one of its name, or with its ID: nothing is written over what is there.

// OriginOf is that of something that was made elsewhere, at times in Unix microseconds; an empty ID and a time of 0 are made here.
func (d *Directory) OriginOf(id, by string, created, modified int64) Origin {
	o := d.origin(by)
	if id != "" {
		o.ID = id
	}
	if created > 0 {
		o.Created = created
	}
	o.Modified = max(o.Created, modified)
	return o
}

// adopt writes a fact unless there says, with the lock held, that it is there.
func (d *Directory) adopt(ctx context.Context, key string, value any, there func() bool) error {
	return d.change(ctx, func() (string, any, uint64, error) {
		if there() {
			return "", nil, 0, errThere
		}
		return key, value, 0, nil
	})
}

// AdoptProject takes in a project.
func (d *Directory) AdoptProject(ctx context.Context, p *Project) error {
	return d.adopt(ctx, projectKeys+p.Name, p, func() bool {
		for _, other := range d.projects {
			if other.Name == p.Name || other.ID == p.ID {
				return true
			}
		}
		return false
	})
}

// AdoptUser takes in a user with his token; with an empty one he gets one that nobody knows, until it is refreshed.
func (d *Directory) AdoptUser(ctx context.Context, u *User, token string) error {
	if token == "" {
		token = NewToken()
	}
	u.Token = d.cfg.Vault.keep(token, u.ID)
	return d.change(ctx, func() (string, any, uint64, error) {
		if d.current(u.Name) != nil || d.people[u.ID] != nil || d.tokens[u.Token.Sum] != nil {
			return "", nil, 0, errThere
		}
		return userKeys + u.Name, u, d.left(u.Name), nil
	})
}

// AdoptSchema takes in a schema.
func (d *Directory) AdoptSchema(ctx context.Context, s *Schema) error {
	s.Number = 1
	return d.adopt(ctx, schemaKeys+s.Name.String(), s, func() bool { return d.schemas[s.Name] != nil || d.schemaIDs[s.ID] != nil })
}

// AdoptTopic takes in a topic. Its log is a new one, see Topic.First.
func (d *Directory) AdoptTopic(ctx context.Context, t *Topic) error {
	return d.adopt(ctx, gateway.LogKeys+t.Name.String(), t, func() bool { return d.topics[t.Name] != nil })
}

// AdoptSubscription takes in a subscription.
func (d *Directory) AdoptSubscription(ctx context.Context, s *Subscription) error {
	return d.adopt(ctx, subscriptionKeys+s.Name.String(), s, func() bool { return d.subscriptions[s.Name] != nil })
}

// AdoptRegistration takes in a registration.
func (d *Directory) AdoptRegistration(ctx context.Context, r *Registration) error {
	return d.adopt(ctx, registrationKeys+r.ID, r, func() bool { return d.registrations[r.ID] != nil })
}

// AdoptMapping takes in a part of the mapping.
func (d *Directory) AdoptMapping(ctx context.Context, e Edit) error {
	key, value, _ := e.fact()
	return d.adopt(ctx, key, value, func() bool {
		id := e.id()
		return d.serviceTypes[id] != nil || d.authMethods[id] != nil || d.bindings[id] != nil
	})
}

func (e Edit) id() string {
	switch {
	case e.Type != nil:
		return e.Type.ID
	case e.Method != nil:
		return e.Method.ID
	}
	return e.Binding.ID
}

// Recognised reports whether somebody has a token, without looking for what other nodes have made a moment ago.
func (d *Directory) Recognised(token string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.tokens[SumOf(token)] != nil
}

// IsToken reports whether something has the form of a token: 64 hexadecimal digits.
func IsToken(s string) bool { return isToken(s) }
