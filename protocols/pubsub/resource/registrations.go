package resource

import (
	"context"
	"maps"
	"slices"
)

const registrationKeys = "pubsub/registration/"

// The states of a registration.
const (
	Pending  = "pending"
	Accepted = "accepted"
	Declined = "declined"
)

// Registration is somebody's wish to be a user. Its ID is its key.
type Registration struct {
	Origin
	Name         string `json:"name"`
	FirstName    string `json:"first_name,omitempty"`
	LastName     string `json:"last_name,omitempty"`
	Organization string `json:"organization,omitempty"`
	Description  string `json:"description,omitempty"`
	Email        string `json:"email,omitempty"`
	Status       string `json:"status"`
	Comment      string `json:"comment,omitempty"`
	// Activation is a word that whoever registered is known by, until it is decided.
	Activation string `json:"activation,omitempty"`
	// ModifiedBy is the ID of the user who decided.
	ModifiedBy string `json:"modified_by,omitempty"`
}

// Registration finds one by its ID; nil if there is none.
func (d *Directory) Registration(ctx context.Context, id string) *Registration {
	return seek(ctx, d, func() *Registration { return d.registrations[id] })
}

// Registrations are all of them, the newest first.
func (d *Directory) Registrations() []*Registration {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.SortedFunc(maps.Values(d.registrations), func(a, b *Registration) int { return newer(&a.Origin, &b.Origin) })
}

// Register keeps a registration, as pending.
func (d *Directory) Register(ctx context.Context, r Registration) (*Registration, error) {
	r.Origin = d.origin("")
	r.Modified, r.Status, r.Activation = 0, Pending, NewToken()
	return &r, d.change(ctx, func() (string, any, uint64, error) { return registrationKeys + r.ID, &r, 0, nil })
}

// Decide accepts a pending registration, or declines it. The Error is of kind NotFound unless there is such a one, pending.
func (d *Directory) Decide(ctx context.Context, id, status, comment, by string) (*Registration, error) {
	var decided Registration
	return &decided, d.change(ctx, func() (string, any, uint64, error) {
		r := d.registrations[id]
		if r == nil || r.Status != Pending {
			return "", nil, 0, errGone
		}
		decided = *r
		decided.Status, decided.Comment, decided.Activation = status, comment, ""
		decided.ModifiedBy, decided.Modified = by, d.cfg.Now().UnixMicro()
		return registrationKeys + id, &decided, r.revision, nil
	})
}

// DeleteRegistration forgets one. The Error is of kind NotFound if there is none.
func (d *Directory) DeleteRegistration(ctx context.Context, id string) error {
	return d.change(ctx, func() (string, any, uint64, error) {
		r := d.registrations[id]
		if r == nil {
			return "", nil, 0, errGone
		}
		return registrationKeys + id, nil, r.revision, nil
	})
}
