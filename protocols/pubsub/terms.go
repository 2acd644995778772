package pubsub

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"time"
)

// Terms are what of a Config may become something else while the door serves. They mean what they do there.
type Terms struct {
	ServiceToken string
	Keys         KeyPlace
	Retention    time.Duration
	MaxMessage   int
}

// terms are those in force.
type terms struct {
	Terms
	service    [sha256.Size]byte // of the service token
	maxRequest int64
}

// isService reports whether the sum of a token is that of the service token.
func (t *terms) isService(sum [sha256.Size]byte) bool {
	return t.ServiceToken != "" && subtle.ConstantTimeCompare(sum[:], t.service[:]) == 1
}

// Change puts other terms in force, for requests that come from now on.
func (s *Server) Change(to Terms) error {
	if to.Retention < 0 || to.MaxMessage < 0 {
		return errors.New("pubsub: a limit is negative")
	}
	or(&to.Retention, defaultRetention)
	or(&to.MaxMessage, defaultMaxMessage)
	most := s.maxRequest
	or(&most, requestOf(to.MaxMessage))
	s.terms.Store(&terms{Terms: to, service: sha256.Sum256([]byte(to.ServiceToken)), maxRequest: min(most, s.cfg.Memory)})
	return nil
}

// requestOf is how long a request may be if nobody says it: it has room for the longest message.
func requestOf(maxMessage int) int64 {
	return max(defaultMaxRequest, int64(maxMessage)/3*4+smallRequest)
}
