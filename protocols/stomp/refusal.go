package stomp

import (
	"errors"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

// errDisconnect ends the reading without an ERROR frame.
var errDisconnect = errors.New("the client said goodbye")

// refusal is an error with what ActiveMQ adds to some of them.
type refusal struct {
	err    error
	closes bool
	// message is the message header, if that is not what the error says.
	message string
	// header holds fields for the ERROR frame.
	header gateway.Header
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// closing marks an error after which the connection ends, whatever the personality.
func closing(err error) error { return &refusal{err: err, closes: true} }

// worded is an error whose frame has a message of its own.
func worded(message string, err error) error { return &refusal{err: err, message: message} }

// invalid refuses a frame; the connection goes on unless errors are fatal.
func invalid(format string, args ...any) error {
	return gateway.Errorf(gateway.Invalid, format, args...)
}

// unsupported refuses what this release cannot do.
func unsupported(what string) error {
	return gateway.Errorf(gateway.Invalid, "%s are not supported by this version", what)
}

// closes reports whether the connection ends after err.
func (s *Server) closes(err error) bool {
	var r *refusal
	return s.dialect.fatal || (errors.As(err, &r) && r.closes)
}

// maxQuote is how much of a client's own words an ERROR repeats, in bytes.
const maxQuote = 256

// quote shortens what a client sent so that it can be repeated to it.
func quote(s string) string {
	if len(s) > maxQuote {
		return strings.ToValidUTF8(s[:maxQuote], "") + "..."
	}
	return s
}

// appendError appends the ERROR frame for a refusal.
func appendError(dst []byte, v wire.Version, err error, receipt string) []byte {
	text := gateway.TextOf(err)
	message, header := text, gateway.Header(nil)
	var r *refusal
	if errors.As(err, &r) {
		header = r.header
		message = orDefault(r.message, text)
	}
	return errorFrame(dst, v, message, text, receipt, header)
}

// errorFrame appends an ERROR frame as ActiveMQ writes it. v is 0 before the
// login, when nothing is escaped.
func errorFrame(dst []byte, v wire.Version, message, text, receipt string, header gateway.Header) []byte {
	text = strings.ReplaceAll(text, "\x00", "")
	dst = append(dst, "ERROR\n"...)
	if receipt != "" {
		dst = appendField(dst, v, "receipt-id", receipt)
	}
	for _, f := range header {
		dst = appendField(dst, v, f.Name, f.Value)
	}
	dst = append(dst, "content-type:text/plain\n"...)
	dst = appendField(dst, v, "message", strings.ReplaceAll(message, "\x00", ""))
	dst = append(dst, '\n')
	dst = append(dst, text...)
	return append(dst, 0, '\n')
}

// appendField appends a header line, before the login too.
func appendField(dst []byte, v wire.Version, name, value string) []byte {
	if v == 0 {
		v = wire.V10
	}
	return wire.AppendField(dst, v, name, value)
}
