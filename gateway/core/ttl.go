package core

import (
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

// live bounds the life of a message as the policy of a destination says.
func (b *Broker) live(m *gateway.Message, d gateway.Destination) {
	policies := b.policies.Load()
	if !policies.lives {
		return
	}
	m.Expires = expiry(m.Expires, b.nowMillis(), policies.Find(d).DefaultTTL, policies.Find(d).MaximumTTL)
}

// lived is live for a message that others have as well: it returns a copy if it is to live shorter.
func (b *Broker) lived(m *gateway.Message, d gateway.Destination) *gateway.Message {
	policies := b.policies.Load()
	if !policies.lives {
		return m
	}
	p := policies.Find(d)
	at := expiry(m.Expires, b.nowMillis(), p.DefaultTTL, p.MaximumTTL)
	if at == m.Expires {
		return m
	}
	m = m.Copy()
	m.Expires = at
	return m
}

// expired reports whether a message is worth nothing any more.
func (b *Broker) expired(m *gateway.Message) bool {
	return m.Expires != 0 && m.Expires <= b.nowMillis()
}

// expiry is when a message expires that says expires, in Unix milliseconds; 0 is never.
func expiry(expires, now int64, standard, most time.Duration) int64 {
	if expires == 0 && standard > 0 {
		expires = now + max(standard.Milliseconds(), 1)
	}
	if most > 0 {
		if last := now + max(most.Milliseconds(), 1); expires == 0 || expires > last {
			expires = last
		}
	}
	return expires
}
