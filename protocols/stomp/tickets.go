package stomp

import (
	"crypto/tls"
	"slices"
)

// withoutTickets gives clients of TLS 1.3 no session tickets. They come after the handshake, and a client that reads in one thread
// and writes in another may have the one take the ticket while the other is about to write: Python's stomp.py then
// never sends its CONNECT (in 7 of 200 connects). Clients of TLS 1.2 get theirs within the handshake and go on resuming.
func withoutTickets(c *tls.Config) *tls.Config {
	if c == nil || c.GetConfigForClient != nil {
		return c
	}
	with, without := c.Clone(), c.Clone()
	without.SessionTicketsDisabled = true
	with.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(h.SupportedVersions, tls.VersionTLS13) && with.MaxVersion != tls.VersionTLS12 {
			return without, nil
		}
		return nil, nil
	}
	return with
}
