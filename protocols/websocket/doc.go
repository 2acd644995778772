// Package websocket carries a door's protocol within WebSocket: it agrees with the client on HTTP's ground who may
// come from where, and then hands the door a stream of bytes. It knows no STOMP but the names of its subprotocols.
//
// The handshake, control frames, messages in several parts, compression and all that breaks the rules of RFC 6455 are
// github.com/coder/websocket's. A data frame that is a whole message, as nearly all are, is read and written here without it, many with one call to the system:
// an inbox and an outbox lie between the library and the socket. Thanks to the latter what the library
// writes on its own, such as the answer to a ping, never waits for a client that takes nothing.
package websocket
