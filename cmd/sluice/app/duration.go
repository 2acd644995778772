package app

import (
	"fmt"
	"strings"
	"time"
)

// Duration is a span of time, never negative. In text it has a unit: "10s",
// "1m30s", "500ms".
type Duration time.Duration

// UnmarshalText reads what the type's comment says.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 || strings.HasPrefix(string(text), "-") {
		return fmt.Errorf("%q is not a duration (such as 500ms, 10s, 1m30s)", text)
	}
	*d = Duration(v)
	return nil
}

// String writes it without units that are zero: "1m", not "1m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText writes String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
