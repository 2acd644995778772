package wire

import (
	"encoding/json"
	"strconv"
	"time"
)

// Style is how an answer is laid out. Nobody should depend on it, and some do.
type Style string

// The styles: most calls, some, and two.
const (
	Usual   Style = "   "
	Narrow  Style = " "
	Compact Style = ""
)

// Encode writes an answer.
func Encode(v any, s Style) []byte {
	if p, ok := v.(Pulled); ok && s == Usual {
		return encodePulled(p)
	}
	return encode(v, s)
}

func encode(v any, s Style) []byte {
	var b []byte
	var err error
	if s == Compact {
		b, err = json.Marshal(v)
	} else {
		b, err = json.MarshalIndent(v, "", string(s))
	}
	if err != nil { // nothing that this package defines can fail
		return []byte("{}")
	}
	return b
}

// Second writes a time as objects have it.
func Second(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// Seconds writes a time span.
func Seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s" }

// Moment writes a time as messages have it: without the zeros at its end.
func Moment(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.999999999Z") }

// ParseMoment reads a time that a client asks for. The service's own library writes a blank for the T.
func ParseMoment(s string) (time.Time, bool) {
	for _, layout := range [...]string{"2006-01-02T15:04:05Z", "2006-01-02 15:04:05Z"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// ParseInstant reads a time as Google's clients write it: with an offset from UTC, or in UTC.
func ParseInstant(s string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, s)
	return t, err == nil
}

// The bodies of answers. The order of the fields is that of the service.
type (
	// Project is a project.
	Project struct {
		Name        string `json:"name"`
		Created     string `json:"created_on"`
		Modified    string `json:"modified_on"`
		CreatedBy   string `json:"created_by,omitempty"`
		Description string `json:"description,omitempty"`
	}
	// Projects are projects.
	Projects struct {
		Projects []Project `json:"projects,omitempty"`
	}
	// User is a user.
	User struct {
		UUID         string       `json:"uuid"`
		Projects     []Membership `json:"projects,omitempty"`
		Name         string       `json:"name"`
		FirstName    string       `json:"first_name,omitempty"`
		LastName     string       `json:"last_name,omitempty"`
		Organization string       `json:"organization,omitempty"`
		Description  string       `json:"description,omitempty"`
		Token        string       `json:"token,omitempty"`
		Email        string       `json:"email"`
		ServiceRoles []string     `json:"service_roles"`
		Created      string       `json:"created_on"`
		Modified     string       `json:"modified_on"`
		CreatedBy    string       `json:"created_by,omitempty"`
	}
	// Membership is a user's part in a project. No list is nil.
	Membership struct {
		Project       string   `json:"project"`
		Roles         []string `json:"roles"`
		Topics        []string `json:"topics"`
		Subscriptions []string `json:"subscriptions"`
	}
	// Users is a page of them.
	Users struct {
		Users []User `json:"users"`
		Page
	}
	// Page is where a page stands.
	Page struct {
		Next  string `json:"nextPageToken"`
		Total int    `json:"totalSize"`
	}
	// Registration is somebody's wish to be a user.
	Registration struct {
		UUID         string `json:"uuid"`
		Name         string `json:"name"`
		FirstName    string `json:"first_name"`
		LastName     string `json:"last_name"`
		Organization string `json:"organization"`
		Description  string `json:"description"`
		Email        string `json:"email"`
		Status       string `json:"status"`
		Comment      string `json:"decline_comment,omitempty"`
		Activation   string `json:"activation_token,omitempty"`
		Registered   string `json:"registered_at"`
		ModifiedBy   string `json:"modified_by,omitempty"`
		Modified     string `json:"modified_at,omitempty"`
	}
	// Registrations are some of them.
	Registrations struct {
		Registrations []Registration `json:"user_registrations"`
	}
	// TopicAnswer is a topic.
	TopicAnswer struct {
		Name    string `json:"name"`
		Schema  string `json:"schema,omitempty"`
		Created string `json:"created_on"`
		// Retention is there if it is not the usual one.
		Retention string `json:"messageRetentionDuration,omitempty"`
	}
	// Topics is a page of them.
	Topics struct {
		Topics []TopicAnswer `json:"topics"`
		Page
	}
	// SchemaAnswer is a schema. Attributes is left out if it has none for those of messages.
	SchemaAnswer struct {
		UUID       string            `json:"uuid"`
		Name       string            `json:"name"`
		Type       string            `json:"type"`
		Schema     json.RawMessage   `json:"schema"`
		Attributes *AttributesSchema `json:"attributes,omitempty"`
	}
	// AttributesSchema is the part of it for attributes.
	AttributesSchema struct {
		Type   string          `json:"type"`
		Schema json.RawMessage `json:"schema"`
	}
	// Schemas are some of them.
	Schemas struct {
		Schemas []SchemaAnswer `json:"schemas"`
	}
	// Revision is a schema as it was since a time.
	Revision struct {
		Number int    `json:"revision"`
		Since  string `json:"created_on"`
		SchemaAnswer
	}
	// Revisions are those of one schema.
	Revisions struct {
		Revisions []Revision `json:"revisions"`
	}
	// ACL are names of users.
	ACL struct {
		Users []string `json:"authorized_users"`
	}
	// Subscription is a subscription.
	Subscription struct {
		Name       string     `json:"name"`
		Topic      string     `json:"topic"`
		Push       PushConfig `json:"pushConfig"`
		Deadline   int64      `json:"ackDeadlineSeconds"`
		PushStatus string     `json:"pushStatus,omitempty"`
		Created    string     `json:"createdOn"`
		*Leased
	}
	// Leased is what only a leased one has.
	Leased struct {
		Mode       string      `json:"mode"`
		Ordered    bool        `json:"enableMessageOrdering"`
		Filter     string      `json:"filter,omitempty"`
		DeadLetter *DeadLetter `json:"deadLetterPolicy,omitempty"`
		Backoff    *Backoff    `json:"retryPolicy,omitempty"`
	}
	// DeadLetter is where messages go that nobody acknowledges.
	DeadLetter struct {
		Topic    string `json:"deadLetterTopic"`
		Attempts int64  `json:"maxDeliveryAttempts"`
	}
	// Backoff is how long messages rest that come back.
	Backoff struct {
		Least string `json:"minimumBackoff"`
		Most  string `json:"maximumBackoff"`
	}
	// PushConfig is where a subscription is pushed to; all empty: nowhere.
	PushConfig struct {
		Type               string        `json:"type"`
		Endpoint           string        `json:"pushEndpoint"`
		MaxMessages        int64         `json:"maxMessages"`
		Authorization      Authorization `json:"authorizationHeader"`
		Retry              Retry         `json:"retryPolicy"`
		VerificationHash   string        `json:"verificationHash"`
		Verified           bool          `json:"verified"`
		MattermostURL      string        `json:"mattermostUrl"`
		MattermostUsername string        `json:"mattermostUsername"`
		MattermostChannel  string        `json:"mattermostChannel"`
		Base64Decode       bool          `json:"base64Decode"`
	}
	// Authorization is the header that pushes carry.
	Authorization struct {
		Type  string `json:"type,omitempty"`
		Value string `json:"value,omitempty"`
	}
	// Retry is when a push is tried again.
	Retry struct {
		Type   string `json:"type,omitempty"`
		Period int64  `json:"period,omitempty"`
	}
	// Subscriptions is a page of them.
	Subscriptions struct {
		Subscriptions []Subscription `json:"subscriptions"`
		Page
	}
	// Names are the names of a topic's subscriptions.
	Names struct {
		Subscriptions []string `json:"subscriptions"`
	}
	// Published are the ids of messages.
	Published struct {
		IDs []string `json:"messageIds"`
	}
	// Pulled are messages.
	Pulled struct {
		Received []Received `json:"receivedMessages"`
	}
	// Received is one of them. Only what is leased has an Attempt, from 1 on, and perhaps a Key.
	Received struct {
		AckID   string  `json:"ackId"`
		Message Message `json:"message"`
		Attempt uint64  `json:"deliveryAttempt,omitempty"`
		Key     string  `json:"orderingKey,omitempty"`
		// Body, in base64, takes the place of the Message's Data if it is not nil, where Encode writes many messages.
		Body []byte `json:"-"`
	}
	// Message must hold nothing else: clients make objects of its fields.
	Message struct {
		ID         string            `json:"messageId"`
		Attributes map[string]string `json:"attributes,omitempty"`
		Data       string            `json:"data"`
		Published  string            `json:"publishTime"`
	}
	// Pushed is what an endpoint gets of a message, with the subscription's name; PushedMany are several.
	Pushed struct {
		Message      Message `json:"message"`
		Subscription string  `json:"subscription"`
	}
	PushedMany struct {
		Messages []Pushed `json:"messages"`
	}
	// Note is a message as Mattermost takes it.
	Note struct {
		Text     string `json:"text"`
		Username string `json:"username,omitempty"`
		Channel  string `json:"channel,omitempty"`
	}
	// Done says what was done.
	Done struct {
		Message string `json:"message"`
	}
	// Offsets are where a subscription stands.
	Offsets struct {
		Max     uint64 `json:"max"`
		Min     uint64 `json:"min"`
		Current uint64 `json:"current"`
	}
	// Offset is a place.
	Offset struct {
		Offset uint64 `json:"offset"`
	}
	// Status is how the service is.
	Status struct {
		Status  string       `json:"status"`
		Push    string       `json:"push_functionality,omitempty"`
		Pushers []PushServer `json:"push_servers,omitempty"`
	}
	// PushServer is a node that pushes.
	PushServer struct {
		Endpoint string `json:"endpoint"`
		Status   string `json:"status"`
	}
	// Version is what runs.
	Version struct {
		BuildTime    string `json:"build_time"`
		Go           string `json:"golang"`
		Compiler     string `json:"compiler"`
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
		Release      string `json:"release,omitempty"`
		Distro       string `json:"distro"`
		Hostname     string `json:"hostname"`
	}
	// Nothing is an empty object.
	Nothing struct{}
)
