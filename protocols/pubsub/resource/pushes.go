package resource

import (
	"context"

	"github.com/sluice-mq/sluice/gateway"
)

const pushKeys = "pubsub/push/"

// PushState is how it goes with the pushes of a subscription: what the node that pushes it says.
type PushState struct {
	// Subscription is the ID of the one that it is of.
	Subscription string `json:"subscription"`
	// Fault of the last push, empty if it went well, and when that was found, in Unix microseconds.
	Fault string `json:"fault,omitempty"`
	Since int64  `json:"since"`

	revision uint64
}

// PushedSubscription is a subscription whose messages are to be pushed, and its topic.
type PushedSubscription struct {
	*Subscription
	Of *Topic
}

// Pushed are the subscriptions whose endpoints are verified, in no order, and what is closed when there may be others.
func (d *Directory) Pushed() (all []PushedSubscription, changed <-chan struct{}) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, s := range d.subscriptions {
		t := d.topics[Name{s.Project, s.Topic}]
		if s.Push.Enabled() && s.Push.Verified && t != nil {
			all = append(all, PushedSubscription{s, t})
		}
	}
	return all, d.restated
}

// Restated is closed when a subscription or a topic may be another one, or somebody has set a cursor to another place or begun to keep its leases.
func (d *Directory) Restated() <-chan struct{} {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.restated
}

// restate tells those who wait for another answer of Pushed, or for Restated. The lock is held.
func (d *Directory) restate() {
	close(d.restated)
	d.restated = make(chan struct{})
}

// PushState returns what is known of the pushes of a subscription; nil if nothing is.
func (d *Directory) PushState(s *Subscription) *PushState {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if p := d.pushes[s.Name]; p != nil && p.Subscription == s.ID {
		return p
	}
	return nil
}

// SetPushState keeps how it goes with the pushes of a subscription. The Error is of kind NotFound if that is gone.
func (d *Directory) SetPushState(ctx context.Context, s *Subscription, fault string) error {
	return d.change(ctx, func() (string, any, uint64, error) {
		if now := d.subscriptions[s.Name]; now == nil || now.ID != s.ID {
			return "", nil, 0, errGone
		}
		state := PushState{Subscription: s.ID, Fault: fault, Since: d.cfg.Now().UnixMicro()}
		if old := d.pushes[s.Name]; old != nil {
			state.revision = old.revision
		}
		return pushKeys + s.Name.String(), &state, state.revision, nil
	})
}

// forgetPush takes away what is known of the pushes of a subscription that is gone, by its ID.
func (d *Directory) forgetPush(ctx context.Context, n Name, id string) error {
	err := d.change(ctx, func() (string, any, uint64, error) {
		p := d.pushes[n]
		if p == nil || p.Subscription != id {
			return "", nil, 0, errGone
		}
		return pushKeys + n.String(), nil, p.revision, nil
	})
	if gateway.KindOf(err) == gateway.NotFound {
		return nil
	}
	return err
}
