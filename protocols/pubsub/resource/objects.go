package resource

import (
	"slices"
	"time"
)

// Everything here is stored as JSON under a key made of its name. What a Directory hands out must not be changed.

// Origin is what all of them have.
type Origin struct {
	// ID is never the same for two.
	ID string `json:"id"`
	// Created and Modified are in Unix microseconds; CreatedBy is a user's ID, or empty.
	Created   int64  `json:"created"`
	Modified  int64  `json:"modified,omitempty"`
	CreatedBy string `json:"created_by,omitempty"`

	revision uint64
}

// CreatedAt is when it was made.
func (o *Origin) CreatedAt() time.Time { return time.UnixMicro(o.Created) }

// ModifiedAt is when it was changed last.
func (o *Origin) ModifiedAt() time.Time { return time.UnixMicro(max(o.Created, o.Modified)) }

// Project holds topics and subscriptions.
type Project struct {
	Origin
	Name        string `json:"-"`
	Description string `json:"description,omitempty"`
}

// User is somebody with a token.
type User struct {
	Origin
	Name         string       `json:"-"`
	FirstName    string       `json:"first_name,omitempty"`
	LastName     string       `json:"last_name,omitempty"`
	Organization string       `json:"organization,omitempty"`
	Description  string       `json:"description,omitempty"`
	Email        string       `json:"email,omitempty"`
	Projects     []Membership `json:"projects,omitempty"`
	ServiceRoles []string     `json:"service_roles,omitempty"`
	Token        Token        `json:"token"`
}

// Membership is a user's part in a project.
type Membership struct {
	// Project is its ID: whoever makes it again makes another one.
	Project string   `json:"project"`
	Roles   []string `json:"roles"`
}

// Roles are those of the user in a project.
func (u *User) Roles(p *Project) []string {
	for i := range u.Projects {
		if u.Projects[i].Project == p.ID {
			return u.Projects[i].Roles
		}
	}
	return nil
}

// Member reports whether the user has a part in a project, if only without a role.
func (u *User) Member(p *Project) bool {
	return slices.ContainsFunc(u.Projects, func(m Membership) bool { return m.Project == p.ID })
}

// Almighty reports whether the user may do everything.
func (u *User) Almighty() bool {
	return slices.Contains(u.ServiceRoles, roleServiceAdmin) || slices.Contains(u.ServiceRoles, roleAlmighty)
}

// Name names a topic or a subscription.
type Name struct{ Project, Name string }

// String is the name that other doors know a topic by.
func (n Name) String() string { return n.Project + "." + n.Name }

// Topic is a topic. Its fact is what gives it a log: see gateway.LogFact, whose fields are ID, Retention, First and Stream.
type Topic struct {
	Origin
	Name `json:"-"`
	// Retention is for how long messages stay, in milliseconds.
	Retention int64  `json:"retention_ms"`
	First     uint64 `json:"first,omitempty"`
	Stream    string `json:"stream,omitempty"`
	// Schema is the ID of one, which may be gone; or empty.
	Schema string `json:"schema,omitempty"`
	// ACL are the IDs of users.
	ACL []string `json:"acl,omitempty"`
	// Owner is the project's ID.
	Owner string `json:"project"`
}

// Subscription reads a topic.
type Subscription struct {
	Origin
	Name `json:"-"`
	// Topic is the name of one of the same project. It may be gone.
	Topic string `json:"topic"`
	// Log is that of the topic when the subscription was made, and Start the first offset that it wants of it.
	Log   string `json:"log"`
	Start uint64 `json:"start"`
	// Deadline for acknowledgements, in seconds.
	Deadline int64    `json:"deadline"`
	Push     Push     `json:"push"`
	ACL      []string `json:"acl,omitempty"`
	Owner    string   `json:"project"`
	// Lease is nil for a subscription that acknowledges all up to an offset.
	Lease *Lease `json:"lease,omitempty"`
}

// Lease is how a subscription hands messages out that are acknowledged one by one. It does not change.
type Lease struct {
	// Secret goes into the names of deliveries, so that nobody makes them up.
	Secret string `json:"secret"`
	// Ordered: messages with one ordering key are handed out in their order.
	Ordered bool `json:"ordered,omitempty"`
	// Filter is a selector of those that are handed out; empty: all.
	Filter string `json:"filter,omitempty"`
	// DeadLetters is the name of a topic of the same project for messages that were handed out Attempts times in vain; empty: there is none.
	DeadLetters string `json:"dead_letters,omitempty"`
	Attempts    int64  `json:"attempts,omitempty"`
	// LeastBackoff and MostBackoff are how long a message rests that comes back, in milliseconds: after the first time, and at most; 0: not at all.
	LeastBackoff int64 `json:"least_backoff_ms,omitempty"`
	MostBackoff  int64 `json:"most_backoff_ms,omitempty"`
}

// Push is where a subscription's messages are pushed to; the zero value is nowhere.
type Push struct {
	Type               string `json:"type,omitempty"`
	Endpoint           string `json:"endpoint,omitempty"`
	MaxMessages        int64  `json:"max_messages,omitempty"`
	AuthorizationType  string `json:"authorization_type,omitempty"`
	Authorization      string `json:"authorization,omitempty"`
	RetryType          string `json:"retry_type,omitempty"`
	RetryPeriod        int64  `json:"retry_period,omitempty"`
	VerificationHash   string `json:"verification_hash,omitempty"`
	Verified           bool   `json:"verified,omitempty"`
	MattermostURL      string `json:"mattermost_url,omitempty"`
	MattermostUsername string `json:"mattermost_username,omitempty"`
	MattermostChannel  string `json:"mattermost_channel,omitempty"`
	Base64Decode       bool   `json:"base64_decode,omitempty"`
}

// Enabled reports whether messages are pushed.
func (p *Push) Enabled() bool { return p.Type != "" }

// Cursor is how far a subscription has acknowledged.
type Cursor struct {
	// Subscription and Log are the IDs of those that it is of.
	Subscription string `json:"subscription"`
	Log          string `json:"log"`
	// Offset is the next one to be handed out.
	Offset uint64 `json:"offset"`
	// Generation counts how often somebody has set it to another place.
	Generation uint64 `json:"generation,omitempty"`
	// Messages and Bytes are how many were acknowledged, At when the last ones were, in Unix milliseconds, and Rate how many a second since those before them.
	Messages uint64  `json:"messages,omitempty"`
	Bytes    uint64  `json:"bytes,omitempty"`
	At       int64   `json:"at,omitempty"`
	Rate     float64 `json:"rate,omitempty"`
	// Next is how far the log was read for a subscription with leases, and Open which messages between Offset and that are not acknowledged yet: see package lease.
	Next uint64 `json:"next,omitempty"`
	Open []byte `json:"open,omitempty"`
	// Leader is the node that has the leases, and Tenure counts how often some node has begun to. Of subscriptions without leases they are empty.
	Leader string `json:"leader,omitempty"`
	Tenure uint64 `json:"tenure,omitempty"`

	revision uint64
}

// Acknowledge moves a cursor behind the messages before an offset, which are so many and so many bytes.
func (c *Cursor) Acknowledge(offset, messages, bytes uint64, now time.Time) {
	at := now.UnixMilli()
	c.Rate = float64(messages) * 1000 / float64(max(at-c.At, 1))
	if c.At == 0 {
		c.Rate = 0
	}
	c.Offset, c.At = offset, at
	c.Messages += messages
	c.Bytes += bytes
}

// May reports whether a list has a user's ID.
func May(acl []string, u *User) bool { return u != nil && slices.Contains(acl, u.ID) }
