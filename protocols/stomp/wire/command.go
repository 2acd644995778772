package wire

const (
	cmdConnect   = "CONNECT"
	cmdStomp     = "STOMP"
	cmdConnected = "CONNECTED"
	cmdSend      = "SEND"
	cmdMessage   = "MESSAGE"
	cmdError     = "ERROR"

	contentLength = "content-length"
)

// intern returns the command as a constant when it is one of the protocol's, so
// that it costs no allocation. SUB and UNSUB are the short forms old scripts use.
func intern(command []byte) (known string, ok bool) {
	switch string(command) {
	case cmdSend:
		return cmdSend, true
	case "ACK":
		return "ACK", true
	case "NACK":
		return "NACK", true
	case cmdMessage:
		return cmdMessage, true
	case cmdConnect:
		return cmdConnect, true
	case cmdStomp:
		return cmdStomp, true
	case cmdConnected:
		return cmdConnected, true
	case "SUBSCRIBE":
		return "SUBSCRIBE", true
	case "SUB":
		return "SUB", true
	case "UNSUBSCRIBE":
		return "UNSUBSCRIBE", true
	case "UNSUB":
		return "UNSUB", true
	case "BEGIN":
		return "BEGIN", true
	case "COMMIT":
		return "COMMIT", true
	case "ABORT":
		return "ABORT", true
	case "DISCONNECT":
		return "DISCONNECT", true
	case "RECEIPT":
		return "RECEIPT", true
	case cmdError:
		return cmdError, true
	}
	return "", false
}

// unescaped reports commands whose headers are literal in every version: a peer
// cannot know the version before they are through.
func unescaped(command string) bool {
	return command == cmdConnect || command == cmdStomp || command == cmdConnected
}

// counted reports commands whose content-length is believed. Clients leave stale
// ones on others (ACK above all), where believing them would stall the stream.
func counted(command string) bool {
	return command == cmdSend || command == cmdMessage || command == cmdError
}
