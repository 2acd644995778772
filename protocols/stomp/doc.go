// Package stomp is the door for STOMP 1.0, 1.1 and 1.2 clients, with the
// manners of ActiveMQ Classic that their authors rely on.
//
// A connection has two goroutines. The reader takes frames, carries each command
// out in the file of its name and never waits for a single outcome; the writer
// sends what was answered, in the order of the frames, and pulls deliveries
// while the socket takes them. What a client is owed lives in one bounded ring.
package stomp
