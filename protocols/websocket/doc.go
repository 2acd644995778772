// Package websocket carries a door's protocol within WebSocket: it agrees with the client on HTTP's ground who may
// come from where, and then hands the door a stream of bytes. It knows no STOMP but the names of its subprotocols.
//
// The frames of RFC 6455 are read and written by github.com/coder/websocket. Below it lies an outbox, so that what the library
// writes on its own, such as the answer to a ping, never waits for a client that takes nothing, and
// many messages go out at once.
package websocket
