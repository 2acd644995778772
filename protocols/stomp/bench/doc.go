// Package bench measures brokers that speak STOMP, ours or another, and
// verifies them while it does: every message carries its run, its producer, its
// number and a checksum, so that a figure comes with proof that nothing was
// lost, doubled, damaged, or reordered within one producer.
//
// A run has two sides in one process: producers and consumers, each with a
// connection of its own. They share no lock on the way of a message. What the
// client itself can carry is measured with the same scenario against a Relay,
// which keeps nothing.
package bench
