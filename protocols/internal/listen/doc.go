// Package listen is the way in that the TCP doors share: it bounds the number of
// connections, lets clients in by turns when there are too many at once, speaks TLS and
// the PROXY protocol, and keeps one broken connection from hurting the others. It knows no
// protocol of doors.
//
// A connection comes through in this order: the limit of the listener; the PROXY protocol's header, if it comes
// from a trusted proxy; the gate, where it waits for its turn; the TLS handshake; the door.
package listen
