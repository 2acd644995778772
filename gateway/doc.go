// Package gateway holds the words of the product and the ports between its
// rooms: what a Message, a Destination, a Delivery and an Error are, and what a
// door (a protocol front-end), the core and the store promise one another.
//
// It has no goroutine and does no I/O, and it imports nothing of ours.
package gateway
