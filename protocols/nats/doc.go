// Package nats is the door for clients that speak NATS themselves: what they
// publish to queue.<name> and topic.<name> goes to the broker, topic messages of
// others go to those of them who listen, and they consume queues with JetStream's own calls. It stands
// behind the embedded server's listener, on in-process connections to the account of native clients.
package nats
