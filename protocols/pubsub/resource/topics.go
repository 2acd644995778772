package resource

import (
	"context"
	"maps"
	"slices"

	"github.com/sluice-mq/sluice/gateway"
)

// Topic finds a topic; nil if there is none.
func (d *Directory) Topic(ctx context.Context, n Name) *Topic {
	return seek(ctx, d, func() *Topic { return d.topics[n] })
}

// TopicsOf are a project's topics, the newest first.
func (d *Directory) TopicsOf(project string) []*Topic {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return ofProject(d.topics, project, func(t *Topic) *Origin { return &t.Origin })
}

// ofProject are those of a project, the newest first.
func ofProject[T any](all map[Name]*T, project string, origin func(*T) *Origin) []*T {
	var some []*T
	for n, t := range all {
		if n.Project == project {
			some = append(some, t)
		}
	}
	slices.SortFunc(some, func(a, b *T) int { return newer(origin(a), origin(b)) })
	return some
}

// CreateTopic makes a topic, and with it its log. The Error is of kind NotFound if the project is gone, Conflict if there is one of that name.
func (d *Directory) CreateTopic(ctx context.Context, t Topic, by string) (*Topic, error) {
	t.Origin = d.origin(by)
	return &t, d.change(ctx, func() (string, any, uint64, error) {
		p := d.projects[t.Project]
		switch {
		case p == nil:
			return "", nil, 0, errGone
		case d.topics[t.Name] != nil:
			return "", nil, 0, errThere
		}
		t.Owner = p.ID
		return gateway.LogKeys + t.Name.String(), &t, 0, nil
	})
}

// ChangeTopic has a topic changed. The Error is of kind NotFound if there is none.
func (d *Directory) ChangeTopic(ctx context.Context, n Name, to func(t *Topic)) error {
	return d.change(ctx, func() (string, any, uint64, error) {
		t := d.topics[n]
		if t == nil {
			return "", nil, 0, errGone
		}
		changed := *t
		to(&changed)
		return gateway.LogKeys + n.String(), &changed, t.revision, nil
	})
}

// DeleteTopic ends a topic and drops its log. The Error is of kind NotFound if there is none.
func (d *Directory) DeleteTopic(ctx context.Context, n Name) error {
	return d.change(ctx, func() (string, any, uint64, error) {
		t := d.topics[n]
		if t == nil {
			return "", nil, 0, errGone
		}
		return gateway.LogKeys + n.String(), nil, t.revision, nil
	})
}

// Subscription finds a subscription; nil if there is none.
func (d *Directory) Subscription(ctx context.Context, n Name) *Subscription {
	return seek(ctx, d, func() *Subscription { return d.subscriptions[n] })
}

// SubscriptionsOf are a project's subscriptions, the newest first.
func (d *Directory) SubscriptionsOf(project string) []*Subscription {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return ofProject(d.subscriptions, project, func(s *Subscription) *Origin { return &s.Origin })
}

// CreateSubscription makes a subscription. The Error is of kind NotFound if the topic is not the one whose log it has, Conflict if there is one of that name.
func (d *Directory) CreateSubscription(ctx context.Context, s Subscription, by string) (*Subscription, error) {
	s.Origin = d.origin(by)
	return &s, d.change(ctx, func() (string, any, uint64, error) {
		p, t := d.projects[s.Project], d.topics[Name{s.Project, s.Topic}]
		switch {
		case d.subscriptions[s.Name] != nil:
			return "", nil, 0, errThere
		case p == nil || t == nil || t.ID != s.Log:
			return "", nil, 0, errGone
		}
		s.Owner = p.ID
		return subscriptionKeys + s.Name.String(), &s, 0, nil
	})
}

// ChangeSubscription has a subscription changed. The Error is of kind NotFound if there is none.
func (d *Directory) ChangeSubscription(ctx context.Context, n Name, to func(s *Subscription)) error {
	return d.ReviseSubscription(ctx, n, func(s *Subscription) error {
		to(s)
		return nil
	})
}

// ReviseSubscription is ChangeSubscription for who may find that it is not to be changed: to is called once or more, and its error is returned.
func (d *Directory) ReviseSubscription(ctx context.Context, n Name, to func(s *Subscription) error) error {
	return d.change(ctx, func() (string, any, uint64, error) {
		s := d.subscriptions[n]
		if s == nil {
			return "", nil, 0, errGone
		}
		changed := *s
		if err := to(&changed); err != nil {
			return "", nil, 0, err
		}
		return subscriptionKeys + n.String(), &changed, s.revision, nil
	})
}

// DeleteSubscription ends a subscription. The Error is of kind NotFound if there is none.
func (d *Directory) DeleteSubscription(ctx context.Context, n Name) error {
	id := ""
	err := d.change(ctx, func() (string, any, uint64, error) {
		s := d.subscriptions[n]
		if s == nil {
			return "", nil, 0, errGone
		}
		id = s.ID
		return subscriptionKeys + n.String(), nil, s.revision, nil
	})
	if err != nil {
		return err
	}
	err = d.change(ctx, func() (string, any, uint64, error) { // one that stays behind is nobody's, and that of the next one of that name is that one's
		c := d.cursors[n]
		if c == nil || c.Subscription != id {
			return "", nil, 0, errGone
		}
		return cursorKeys + n.String(), nil, c.revision, nil
	})
	if err != nil && gateway.KindOf(err) != gateway.NotFound {
		return err
	}
	return d.forgetPush(ctx, n, id)
}

// CursorOf is how far a subscription is in the log of its topic.
func (d *Directory) CursorOf(s *Subscription, t *Topic) Cursor {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.cursorOf(s, t)
}

// Standing is CursorOf; there reports whether the subscription and the topic still are those that are meant.
func (d *Directory) Standing(s *Subscription, t *Topic) (c Cursor, there bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	sub, of := d.subscriptions[s.Name], d.topics[t.Name]
	return d.cursorOf(s, t), sub != nil && sub.ID == s.ID && of != nil && of.ID == t.ID
}

// cursorOf is CursorOf with the lock held. In a log that the subscription does not know, it begins at the front, in another generation: what was handed out of the log before
// is nothing in this one.
func (d *Directory) cursorOf(s *Subscription, t *Topic) Cursor {
	c := Cursor{Subscription: s.ID, Log: t.ID}
	stored := d.cursors[s.Name]
	if stored != nil {
		c.revision = stored.revision
		if stored.Subscription == s.ID {
			c.Messages, c.Bytes, c.At, c.Rate = stored.Messages, stored.Bytes, stored.At, stored.Rate
			c.Leader, c.Tenure = stored.Leader, stored.Tenure
		}
	}
	switch {
	case stored != nil && stored.Subscription == s.ID && stored.Log == t.ID:
		c.Offset, c.Next, c.Open, c.Generation = stored.Offset, stored.Next, stored.Open, stored.Generation
	case stored != nil && stored.Subscription == s.ID:
		c.Generation = stored.Generation + 1
	case s.Log == t.ID:
		c.Offset = s.Start
	default:
		c.Generation = 1
	}
	return c
}

// MoveCursor moves a subscription's cursor: to says where to, by where it is. It may be called more than once; if it reports that there is nothing to do, or an error, nothing
// is written. The Error is of kind NotFound if the subscription is gone: one that was made again is another one. It is of kind Moved if the topic is, since its cursor is in
// another log then.
func (d *Directory) MoveCursor(ctx context.Context, s *Subscription, t *Topic, to func(c *Cursor) (move bool, err error)) error {
	err := d.change(ctx, func() (string, any, uint64, error) {
		if now := d.subscriptions[s.Name]; now == nil || now.ID != s.ID {
			return "", nil, 0, errGone
		}
		if of := d.topics[t.Name]; of == nil || of.ID != t.ID {
			return "", nil, 0, errOtherLog
		}
		c := d.cursorOf(s, t)
		move, err := to(&c)
		switch {
		case err != nil:
			return "", nil, 0, err
		case !move:
			return "", nil, 0, errIdle
		}
		return cursorKeys + s.Name.String(), &c, c.revision, nil
	})
	if err == errIdle {
		return nil
	}
	return err
}

var errOtherLog = gateway.Errorf(gateway.Moved, "the topic is gone, or another one")

var errIdle = gateway.Errorf(gateway.Conflict, "there is nothing to do")

// Count is how many there are.
func (d *Directory) Count() (projects, users, topics, subscriptions int) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.projects), len(d.people), len(d.topics), len(d.subscriptions)
}

// Known are all topics, in no order.
func (d *Directory) Known() []*Topic {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Collect(maps.Values(d.topics))
}
