package stomp

import (
	"strings"
	"unicode"

	"github.com/sluice-mq/sluice/gateway"
)

// introduce fills in what the transport knows of the client, and what its CONNECT says beside login and passcode.
func (c *conn) introduce(login *gateway.Login, h gateway.Header) {
	if t, ok := c.nc.(gateway.Introduced); ok {
		known := t.Introduction()
		login.Credentials, login.Library = known.Credentials, known.Library
	}
	if token := bearer(h); token != "" {
		login.Credentials.Token = token
	}
	for _, name := range [...]string{"library", "user-agent"} {
		if v, _ := h.Get(name); v != "" {
			login.Library = v
		}
	}
	login.Library = printable(quote(login.Library))
}

// bearer is the token of a CONNECT; empty is none. Browsers cannot put it anywhere else.
func bearer(h gateway.Header) string {
	for i := range h {
		switch name := h[i].Name; {
		case strings.EqualFold(name, "authorization"):
			if scheme, token, ok := strings.Cut(strings.TrimSpace(h[i].Value), " "); ok && strings.EqualFold(scheme, "bearer") {
				return strings.TrimSpace(token)
			}
		case name == "token":
			return strings.TrimSpace(h[i].Value)
		}
	}
	return ""
}

// printable drops what would have a meaning in a log or on a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}

// listener is the address that the client came to.
func (c *conn) listener() string {
	if a := c.nc.LocalAddr(); a != nil {
		return a.String()
	}
	return ""
}
