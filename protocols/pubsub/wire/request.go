package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
)

// Decode reads the body of a request. Unknown fields are passed over, and the case of keys does not matter.
func Decode[T any](body []byte) (request T, err error) {
	err = json.Unmarshal(body, &request)
	return request, err
}

// DecodeExactly is Decode with the numbers of any field kept as they are written.
func DecodeExactly[T any](body []byte) (request T, err error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err = d.Decode(&request); err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errMore
		}
	}
	return request, err
}

// DecodeStrictly is Decode for what the service does not know: a field that nobody has heard of is an error, because what it was to say would not be done.
func DecodeStrictly[T any](body []byte) (request T, err error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err = d.Decode(&request); err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errMore
		}
	}
	return request, err
}

var errMore = errors.New("there is more than one value")

// Bomb reports whether a body would take much more memory than its length once it is decoded: it has too many elements, each of which
// takes a comma but the first of its list or object.
func Bomb(body []byte) bool { return bytes.Count(body, []byte{','}) > 100_000+len(body)/64 }

// Loose is a string that may come as a number or as true or false as well.
type Loose string

var errLoose = errors.New("neither a string nor a number nor a boolean")

// UnmarshalJSON implements json.Unmarshaler.
func (l *Loose) UnmarshalJSON(b []byte) error {
	switch c := b[0]; {
	case c == '"':
		var s string
		err := json.Unmarshal(b, &s)
		*l = Loose(s)
		return err
	case c == 'n':
		return nil
	case c == 't', c == 'f', c == '-', c >= '0' && c <= '9':
		*l = Loose(b)
		return nil
	}
	return errLoose
}

// Int is a whole number that may come as a string.
type Int struct {
	Value int64
	// Set: it was there.
	Set bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *Int) UnmarshalJSON(b []byte) error {
	var l Loose
	if err := l.UnmarshalJSON(b); err != nil || l == "" {
		return err
	}
	v, err := strconv.ParseInt(string(l), 10, 64)
	*n = Int{v, true}
	return err
}

// Span is a time span in seconds: "2.5s", or a number.
type Span struct {
	Value time.Duration
	// Set: it was there.
	Set bool
}

var errSpan = errors.New("not a time span in seconds")

// mostSpan is the longest that is read, in seconds.
const mostSpan = 1e9

// UnmarshalJSON implements json.Unmarshaler.
func (s *Span) UnmarshalJSON(b []byte) error {
	var l Loose
	if err := l.UnmarshalJSON(b); err != nil || l == "" {
		return err
	}
	seconds, err := strconv.ParseFloat(strings.TrimSuffix(string(l), "s"), 64)
	if err != nil || !(seconds >= 0 && seconds <= mostSpan) {
		return errSpan
	}
	*s = Span{time.Duration(seconds * float64(time.Second)), true}
	return nil
}

// The bodies of requests. Pointers are nil where the client said nothing.
type (
	// ProjectRequest makes or changes a project.
	ProjectRequest struct {
		Name        *string `json:"name"`
		Description *string `json:"description"`
	}
	// UserRequest makes or changes a user.
	UserRequest struct {
		Name         string              `json:"name"`
		FirstName    string              `json:"first_name"`
		LastName     string              `json:"last_name"`
		Organization string              `json:"organization"`
		Description  string              `json:"description"`
		Email        string              `json:"email"`
		Projects     []MembershipRequest `json:"projects"`
		ServiceRoles []string            `json:"service_roles"`
	}
	// MembershipRequest is a user's part in a project.
	MembershipRequest struct {
		Project string   `json:"project"`
		Roles   []string `json:"roles"`
	}
	// DeclineRequest says why somebody is to be no user.
	DeclineRequest struct {
		Comment string `json:"comment"`
	}
	// RolesRequest adds somebody to a project.
	RolesRequest struct {
		Roles []string `json:"roles"`
	}
	// TopicRequest makes a topic, or changes one.
	TopicRequest struct {
		Schema    string `json:"schema"`
		Retention Span   `json:"messageRetentionDuration"`
	}
	// SchemaRequest makes or changes a schema. Attributes is one for the attributes of messages.
	SchemaRequest struct {
		Name       string             `json:"name"`
		Type       string             `json:"type"`
		Schema     map[string]any     `json:"schema"`
		Attributes *AttributesRequest `json:"attributes"`
	}
	// AttributesRequest is the part of it for attributes; one without a schema asks for nothing.
	AttributesRequest struct {
		Type   string         `json:"type"`
		Schema map[string]any `json:"schema"`
	}
	// PayloadRequest is a message in Avro. Data is nil if it does not have it.
	PayloadRequest struct {
		Data *string `json:"data"`
	}
	// ACLRequest says who may use a topic or a subscription. Users is nil if it does not.
	ACLRequest struct {
		Users []string `json:"authorized_users"`
	}
	// PublishRequest holds messages.
	PublishRequest struct {
		Messages []MessageRequest `json:"messages"`
	}
	// MessageRequest is one of them. Data is meant to be base64, and need not be.
	MessageRequest struct {
		Attributes  map[string]string `json:"attributes"`
		Data        string            `json:"data"`
		OrderingKey string            `json:"orderingKey"`
	}
	// SubscriptionRequest makes a subscription.
	SubscriptionRequest struct {
		Topic    string       `json:"topic"`
		Deadline Int          `json:"ackDeadlineSeconds"`
		Push     *PushRequest `json:"pushConfig"`
		Mode     string       `json:"mode"`
		LeaseRequest
	}
	// LeaseRequest is what only a leased one has.
	LeaseRequest struct {
		Ordered    bool               `json:"enableMessageOrdering"`
		Filter     string             `json:"filter"`
		DeadLetter *DeadLetterRequest `json:"deadLetterPolicy"`
		Backoff    *BackoffRequest    `json:"retryPolicy"`
	}
	// DeadLetterRequest says where messages go that nobody acknowledges.
	DeadLetterRequest struct {
		Topic    string `json:"deadLetterTopic"`
		Attempts Int    `json:"maxDeliveryAttempts"`
	}
	// BackoffRequest says how long messages rest that come back.
	BackoffRequest struct {
		Least Span `json:"minimumBackoff"`
		Most  Span `json:"maximumBackoff"`
	}
	// PushRequest says where to push.
	PushRequest struct {
		Type               string               `json:"type"`
		Endpoint           string               `json:"pushEndpoint"`
		MaxMessages        Int                  `json:"maxMessages"`
		Authorization      AuthorizationRequest `json:"authorizationHeader"`
		Retry              RetryRequest         `json:"retryPolicy"`
		MattermostURL      string               `json:"mattermostUrl"`
		MattermostUsername string               `json:"mattermostUsername"`
		MattermostChannel  string               `json:"mattermostChannel"`
		Base64Decode       bool                 `json:"base64Decode"`
	}
	// AuthorizationRequest says how pushes show that they are ours.
	AuthorizationRequest struct {
		Type string `json:"type"`
	}
	// RetryRequest says when a push is tried again.
	RetryRequest struct {
		Type   string `json:"type"`
		Period Int    `json:"period"`
	}
	// PushConfigRequest changes where to push.
	PushConfigRequest struct {
		Push PushRequest `json:"pushConfig"`
	}
	// PullRequest asks for messages.
	PullRequest struct {
		MaxMessages       Loose `json:"maxMessages"`
		ReturnImmediately Loose `json:"returnImmediately"`
	}
	// AckRequest acknowledges.
	AckRequest struct {
		AckIDs []string `json:"ackIds"`
	}
	// DeadlineRequest changes a subscription's deadline, or that of some deliveries; AckIDs is nil if it names none.
	DeadlineRequest struct {
		Deadline Int      `json:"ackDeadlineSeconds"`
		AckIDs   []string `json:"ackIds"`
	}
	// OffsetRequest moves a subscription.
	OffsetRequest struct {
		Offset Int `json:"offset"`
	}
	// SeekRequest moves a subscription to an offset, or to a time.
	SeekRequest struct {
		Offset Int    `json:"offset"`
		Time   string `json:"time"`
	}
)

// Waits reports whether the client wants to wait while there is nothing; who does not say it gets an answer at once.
func (p *PullRequest) Waits() bool { return strings.EqualFold(string(p.ReturnImmediately), "false") }

// Max is how many messages the client wants: 1 if that is no number, or below.
func (p *PullRequest) Max() int {
	n, err := strconv.Atoi(string(p.MaxMessages))
	if err != nil || n < 1 {
		return 1
	}
	return n
}

// AckID writes the name of a delivery.
func AckID(project, subscription string, offset uint64) string {
	return "projects/" + project + "/subscriptions/" + subscription + ":" + strconv.FormatUint(offset, 10)
}

// Acked returns the highest offset of a list of ack ids; not ok if the list is empty or one is not of that subscription.
func Acked(ids []string, project, subscription string) (highest uint64, ok bool) {
	for _, id := range ids {
		rest, found := strings.CutPrefix(id, "projects/"+project+"/subscriptions/"+subscription+":")
		if !found || rest == "" || rest[0] == '+' {
			return 0, false
		}
		offset, err := strconv.ParseUint(rest, 10, 63)
		if err != nil {
			return 0, false
		}
		highest = max(highest, offset)
	}
	return highest, len(ids) > 0
}
