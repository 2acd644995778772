// Package dispatch is the queue brain: one deterministic state machine per
// queue that decides who gets which message next. Events go in as method calls,
// effects come out as values; it does no I/O, starts no goroutine and reads no
// clock, so that every schedule can be replayed in a test.
package dispatch
