package gateway

import (
	"errors"
	"fmt"
)

// ErrorKind says what a door should do with an error; each door has one table
// from kinds to its protocol's words.
type ErrorKind uint8

const (
	// Internal: our fault or unknown. The client gets a general text, the log the cause.
	Internal ErrorKind = iota
	// Invalid: the request makes no sense and never will.
	Invalid
	// Unauthenticated: the client is not who it says.
	Unauthenticated
	// Denied: the client may not do this.
	Denied
	// NotFound: what the request names does not exist.
	NotFound
	// Conflict: the request contradicts the present state.
	Conflict
	// Limit: a limit was reached; the text says which.
	Limit
	// NoSpace: the store has no room; the request may be repeated later.
	NoSpace
	// Unavailable: the node is starting, draining or has lost its store; repeat later or elsewhere.
	Unavailable
	// Moved: this node does not own the queue any more, and nothing was done. It never reaches a client.
	Moved
)

var errorKinds = [...]string{"internal", "invalid", "unauthenticated", "denied", "not found", "conflict", "limit", "no space", "unavailable", "moved"}

// String returns the kind in words, as metrics and logs show it.
func (k ErrorKind) String() string {
	if int(k) < len(errorKinds) {
		return errorKinds[k]
	}
	return "unknown"
}

// Error has a kind for the door, a text for the client and a cause for the log.
type Error struct {
	Kind ErrorKind
	Text string
	// Cause is never shown to a client. It may be nil.
	Cause error
}

// Error returns the text and, for logs, the cause.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Text + ": " + e.Cause.Error()
	}
	return e.Text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an error of that kind whose text is fit for the client.
func Errorf(kind ErrorKind, format string, args ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// WrapError makes an error of that kind: text for the client, cause for the log.
func WrapError(kind ErrorKind, cause error, text string) *Error {
	return &Error{Kind: kind, Text: text, Cause: cause}
}

// KindOf returns the kind of the first Error in err's chain, else Internal.
func KindOf(err error) ErrorKind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// TextOf returns what a client may read of err: the text of the first Error in
// its chain, else "internal error".
func TextOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Text
	}
	return "internal error"
}
