package wire

import (
	"strconv"
	"strings"
)

// lineError shows the peer the line it got wrong.
func lineError(what, line string) *Error {
	return &Error{what + " [" + shown(line) + "]"}
}

// shown returns at most the first 64 bytes of what the peer sent, with everything
// but printable characters escaped, fit for an ERROR frame and a log line.
func shown(s string) string {
	const most = 64
	cut := len(s) > most
	if cut {
		s = s[:most]
	}
	var b strings.Builder
	for _, c := range s {
		if strconv.IsPrint(c) {
			b.WriteRune(c)
			continue
		}
		quoted := strconv.QuoteRune(c)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	if cut {
		b.WriteString("...")
	}
	return b.String()
}
