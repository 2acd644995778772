package listen

// Stats count the connections of a listener.
type Stats struct {
	// Open connections now, those that wait or are before their login included.
	Open int
	// Waiting for their turn, and Unknown: let in and not logged in yet.
	Waiting, Unknown int
	// Accepted and Refused since the start. What was accepted may be refused later on, but for its number.
	Accepted uint64
	Refused  Refusals
}

// Refusals count connections that were turned away, by reason.
type Refusals struct {
	// Limit: there were MaxConnections. Address: too many from one address that were not logged in.
	Limit, Address uint64
	// Storm: too many were waiting, or for too long.
	Storm uint64
	// Handshake: TLS failed. Proxy: a proxy did not begin as it should. Protocol: TLS on a plain port or the other way round.
	Handshake, Proxy, Protocol uint64
	// Upgrade: what carries the door's protocol was not agreed on, see Listener.TurnedAway.
	Upgrade uint64
}

// Total is their sum.
func (r Refusals) Total() uint64 {
	return r.Limit + r.Address + r.Storm + r.Handshake + r.Proxy + r.Protocol + r.Upgrade
}

// Stats is a cheap snapshot.
func (l *Listener) Stats() Stats {
	unknown, waiting := l.gate.counts()
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Unknown, s.Waiting = unknown, waiting
	return s
}

// count adds one to a figure of the stats.
func (l *Listener) count(figure *uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*figure++
}
