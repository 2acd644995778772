package authn

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// problem is an error as the API says it. Programs read these texts.
type problem struct {
	Message string `json:"message"`
	Code    int    `json:"code"`
	Status  string `json:"status"`
	// cause is for the log alone; it may be nil.
	cause error
}

// Error implements error.
func (p *problem) Error() string { return fmt.Sprintf("%d %s", p.Code, p.Message) }

// Unwrap returns the cause.
func (p *problem) Unwrap() error { return p.cause }

// encode is the body of the answer.
func (p *problem) encode() []byte {
	return wire.Encode(struct {
		Error *problem `json:"error"`
	}{p}, wire.Narrow)
}

func noCertificate() *problem {
	return &problem{Message: "No certificate provided", Code: http.StatusBadRequest, Status: "BAD REQUEST"}
}

// forbidden says why a certificate does not count.
func forbidden(text string) *problem {
	return &problem{Message: text, Code: http.StatusForbidden, Status: "ACCESS_FORBIDDEN"}
}

func unauthorized() *problem {
	return &problem{Message: "Wrong Credentials", Code: http.StatusUnauthorized, Status: "UNAUTHORIZED"}
}

// notFound says that there is no such thing: "Binding".
func notFound(thing string) *problem {
	return &problem{Message: thing + " was not found", Code: http.StatusNotFound, Status: "NOT FOUND"}
}

func conflict(thing, field, value string) *problem {
	return &problem{Message: fmt.Sprintf("%s object with %s: %s already exists", thing, field, value), Code: http.StatusConflict, Status: "CONFLICT"}
}

// empty says that something is missing that a thing has to have.
func empty(thing, field string) *problem {
	return unprocessable(fmt.Sprintf("%s object contains empty fields. empty value for field: %s", thing, field))
}

// unsupported says that something has to be another one of some.
func unsupported(what, value string, supported []string) *problem {
	return unprocessable(fmt.Sprintf("%s: %s is not yet supported.Supported:%v", what, value, supported))
}

func unprocessable(text string) *problem {
	return &problem{Message: text, Code: http.StatusUnprocessableEntity, Status: "UNPROCESSABLE ENTITY"}
}

func badJSON(err error) *problem {
	return &problem{Message: "Poorly formatted JSON. " + err.Error(), Code: http.StatusBadRequest, Status: "BAD REQUEST"}
}

func tooLarge() *problem {
	return &problem{Message: "The request is too large", Code: http.StatusRequestEntityTooLarge, Status: "REQUEST ENTITY TOO LARGE"}
}

// several says that two nodes have made the same thing at the same moment.
func several(text string) *problem {
	return &problem{Message: "Database Error: " + text, Code: http.StatusInternalServerError, Status: "INTERNAL SERVER ERROR"}
}

// internal says that something went wrong here, and what if the client may know.
func internal(text string, cause error) *problem {
	return &problem{Message: strings.TrimSpace("Internal Error: " + text), Code: http.StatusInternalServerError, Status: "INTERNAL SERVER ERROR", cause: cause}
}

// unavailable asks the client to come again later.
func unavailable(cause error) *problem {
	return &problem{Message: "Internal Error: the store cannot be asked now", Code: http.StatusServiceUnavailable, Status: "UNAVAILABLE", cause: cause}
}

// decode reads the first value of a body into what is there already. What comes after it is passed over, as the service does.
func decode(body []byte, into any) error {
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(into); err != nil {
		return badJSON(err)
	}
	return nil
}
