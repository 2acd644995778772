// Package nats is the door for clients that speak NATS themselves: what they
// publish to queue.<name> and topic.<name> goes to the broker, and topic messages of
// others go to those of them who listen. It stands behind the embedded
// server's listener, on an in-process connection to the account of native clients.
package nats
