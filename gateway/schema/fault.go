package schema

import (
	"fmt"
	"strings"
	"unicode"
)

const (
	// mostFaults is how many are told of a message, mostText how long each is, in bytes.
	mostFaults = 10
	mostText   = 300
)

// unreadable is the fault of data that is no JSON, misshapen that of what Avro cannot read.
type (
	unreadable struct{ why string }
	misshapen  struct{ why string }
)

// Error implements error.
func (u *unreadable) Error() string { return u.why }

// Error implements error.
func (m *misshapen) Error() string { return m.why }

// faults are what is wrong with a value: each names a place, what is wrong with it, and the rule that says so.
type faults []string

// Error implements error.
func (f faults) Error() string { return strings.Join(f, "; ") }

// fault makes one of them. place is what leads to the value from the top.
func fault(place []string, text, rule string) string {
	at := "(root)"
	if len(place) > 0 {
		at = ""
		for _, step := range place {
			at += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(step)
		}
	}
	s := cut(at) + ": " + cut(text)
	if rule != "" {
		s += " (" + cut(rule) + ")"
	}
	return s
}

// cut shortens a text that holds what strangers wrote, and keeps it in one line.
func cut(s string) string {
	if len(s) > mostText {
		s = strings.ToValidUTF8(s[:mostText], "") + "..."
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// sentence tells of faults as the HTTP service does: of several each has its number.
func sentence(err error) string {
	all, ok := err.(faults)
	if !ok || len(all) == 1 {
		return "," + err.Error()
	}
	var b strings.Builder
	for i, f := range all {
		fmt.Fprintf(&b, ".%d)%s", i+1, f)
	}
	return b.String() + "."
}
