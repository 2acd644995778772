// Package embed runs the nats-server inside our process: it starts it, waits
// until it is ready, connects to it without a socket, revives its storage after
// a full disk, and stops it.
package embed
