package wire

import (
	"fmt"
	"net/http"
)

// Problem is an error as the API says it. Programs read these texts.
type Problem struct {
	// Code is the HTTP status.
	Code int `json:"code"`
	// Message and Status are read by clients.
	Message string `json:"message"`
	Status  string `json:"status"`
	// Details say of each ack id with which something is wrong what that is.
	Details []AckFault `json:"details,omitempty"`
	// Cause is for the log alone; it may be nil.
	Cause error `json:"-"`
}

// AckFault is what is wrong with an ack id.
type AckFault struct {
	AckID  string `json:"ackId"`
	Reason string `json:"reason"`
}

// The reasons: it is none of the subscription's; its deadline has passed, and the message is, or will be, with somebody else; the subscription was set to
// another place since.
const (
	FaultUnknown = "UNKNOWN"
	FaultLate    = "DEADLINE_EXCEEDED"
	FaultSought  = "SUBSCRIPTION_MOVED"
)

// Error implements error.
func (p *Problem) Error() string {
	if p.Cause != nil {
		return fmt.Sprintf("%d %s: %v", p.Code, p.Message, p.Cause)
	}
	return fmt.Sprintf("%d %s", p.Code, p.Message)
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// Encode returns the body of the answer.
func (p *Problem) Encode() []byte {
	return Encode(struct {
		Error *Problem `json:"error"`
	}{p}, Usual)
}

// Invalid says that a request makes no sense, in those words.
func Invalid(text string) *Problem {
	return &Problem{Code: http.StatusBadRequest, Message: text, Status: "INVALID_ARGUMENT"}
}

// InvalidArguments is Invalid for a body that cannot be read as a what.
func InvalidArguments(what string) *Problem { return Invalid("Invalid " + what + " Arguments") }

// InvalidName says that a name in the path, or in the body, cannot be the name of a what.
func InvalidName(what string) *Problem { return Invalid("Invalid " + what + " name") }

// InvalidBody is how some calls speak of a body that cannot be read.
func InvalidBody() *Problem {
	return &Problem{Code: http.StatusBadRequest, Message: "Invalid Request Body", Status: "BAD_REQUEST"}
}

// Unauthorized says that nobody knows who asks, or that who asks has no part in it at all.
func Unauthorized() *Problem {
	return &Problem{Code: http.StatusUnauthorized, Message: "Unauthorized", Status: "UNAUTHORIZED"}
}

// Unverified says why an endpoint is not one to push to.
func Unverified(why string) *Problem {
	return &Problem{Code: http.StatusUnauthorized, Message: "Endpoint verification failed." + why, Status: "UNAUTHORIZED"}
}

// Forbidden says that who asks may not; detail may be empty.
func Forbidden(detail string) *Problem {
	text := "Access to this resource is forbidden"
	if detail != "" {
		text += ". " + detail
	}
	return &Problem{Code: http.StatusForbidden, Message: text, Status: "FORBIDDEN"}
}

// NotFound says that there is no such thing: "Topic".
func NotFound(thing string) *Problem { return NotFoundText(thing + " doesn't exist") }

// NotFoundText is NotFound in other words.
func NotFoundText(text string) *Problem {
	return &Problem{Code: http.StatusNotFound, Message: text, Status: "NOT_FOUND"}
}

// Exists says that there is such a thing already: "Topic".
func Exists(thing string) *Problem {
	return &Problem{Code: http.StatusConflict, Message: thing + " already exists", Status: "ALREADY_EXISTS"}
}

// Conflict says why things are not as the request would have them.
func Conflict(text string) *Problem {
	return &Problem{Code: http.StatusConflict, Message: text, Status: "CONFLICT"}
}

// Late is the answer to an acknowledgement after the deadline.
func Late() *Problem {
	return &Problem{Code: http.StatusRequestTimeout, Message: "ack timeout", Status: "TIMEOUT"}
}

// TooSlow is the answer to who does not send his request in time.
func TooSlow() *Problem {
	return &Problem{Code: http.StatusRequestTimeout, Message: "The request did not come in time", Status: "TIMEOUT"}
}

// TooLarge is the answer to a message, or a request, above the limit.
func TooLarge() *Problem {
	return &Problem{Code: http.StatusRequestEntityTooLarge, Message: "Message size is too large", Status: "INVALID_ARGUMENT"}
}

// Internal says that something went wrong here; the cause goes to the log.
func Internal(text string, cause error) *Problem {
	return &Problem{Code: http.StatusInternalServerError, Message: text, Status: "INTERNAL_SERVER_ERROR", Cause: cause}
}

// Unavailable asks the client to come again later: it is the code that the service's library repeats a request for.
func Unavailable(cause error) *Problem {
	return &Problem{Code: http.StatusServiceUnavailable, Message: "Backend Error", Status: "UNAVAILABLE", Cause: cause}
}
