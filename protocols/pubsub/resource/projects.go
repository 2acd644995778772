package resource

import (
	"context"
	"maps"
	"slices"

	"github.com/sluice-mq/sluice/gateway"
)

// Project finds a project; nil if there is none.
func (d *Directory) Project(ctx context.Context, name string) *Project {
	return seek(ctx, d, func() *Project { return d.projects[name] })
}

// Projects are all projects, the oldest first.
func (d *Directory) Projects() []*Project {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.SortedFunc(maps.Values(d.projects), func(a, b *Project) int { return older(&a.Origin, &b.Origin) })
}

// ProjectNames are the names of projects by their IDs.
func (d *Directory) ProjectNames() map[string]string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	names := make(map[string]string, len(d.projects))
	for name, p := range d.projects {
		names[p.ID] = name
	}
	return names
}

// CreateProject makes a project. The Error is of kind Conflict if there is one of that name.
func (d *Directory) CreateProject(ctx context.Context, name, description, by string) (*Project, error) {
	p := &Project{Origin: d.origin(by), Name: name, Description: description}
	return p, d.change(ctx, func() (string, any, uint64, error) {
		if d.projects[name] != nil {
			return "", nil, 0, errThere
		}
		return projectKeys + name, p, 0, nil
	})
}

// ChangeProject gives a project another description. The Error is of kind NotFound if there is none.
func (d *Directory) ChangeProject(ctx context.Context, name, description string) (*Project, error) {
	var changed Project
	err := d.change(ctx, func() (string, any, uint64, error) {
		p := d.projects[name]
		if p == nil {
			return "", nil, 0, errGone
		}
		changed = *p
		changed.Description, changed.Modified = description, d.cfg.Now().UnixMicro()
		return projectKeys + name, &changed, p.revision, nil
	})
	return &changed, err
}

// DeleteProject ends a project with its routes, topics, subscriptions and schemas. What was begun and not finished is finished by who does it again.
func (d *Directory) DeleteProject(ctx context.Context, name string) error {
	for _, r := range d.RoutesOf(name) {
		if err := d.DeleteRoute(ctx, r.Name); err != nil && gateway.KindOf(err) != gateway.NotFound {
			return err
		}
	}
	for _, s := range d.SubscriptionsOf(name) {
		if err := d.DeleteSubscription(ctx, s.Name); err != nil && gateway.KindOf(err) != gateway.NotFound {
			return err
		}
	}
	for _, t := range d.TopicsOf(name) {
		if err := d.DeleteTopic(ctx, t.Name); err != nil && gateway.KindOf(err) != gateway.NotFound {
			return err
		}
	}
	for _, s := range d.SchemasOf(name) {
		if err := d.DeleteSchema(ctx, s.Name); err != nil && gateway.KindOf(err) != gateway.NotFound {
			return err
		}
	}
	return d.change(ctx, func() (string, any, uint64, error) {
		p := d.projects[name]
		if p == nil {
			return "", nil, 0, errGone
		}
		return projectKeys + name, nil, p.revision, nil
	})
}

// older orders by age, the oldest first.
func older(a, b *Origin) int {
	switch {
	case a.Created != b.Created:
		if a.Created < b.Created {
			return -1
		}
		return 1
	case a.ID < b.ID:
		return -1
	case a.ID > b.ID:
		return 1
	}
	return 0
}

// newer is older's opposite.
func newer(a, b *Origin) int { return older(b, a) }
