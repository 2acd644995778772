package pki

import (
	"crypto/x509"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/auth/dn"
)

// maxWords is the longest name that gets into a text, in bytes.
const maxWords = 512

// words writes a name of a certificate for people: RFC 2253, bounded, and without anything that would break a line.
func words(der []byte) string {
	n, err := dn.FromDER(der)
	if err != nil {
		return "(a name that cannot be read)"
	}
	s := strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return -1
		}
		return r
	}, n.String())
	switch {
	case s == "":
		return "(no name)"
	case len(s) > maxWords:
		return strings.ToValidUTF8(s[:maxWords], "") + "..."
	}
	return s
}

func subject(c *x509.Certificate) string { return words(c.RawSubject) }

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
