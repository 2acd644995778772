// Package selector reads JMS selectors once and says of each message whether it matches, as ActiveMQ does for STOMP clients, whose
// headers are all text. It is pure: no clock, no goroutine, and what it costs is bounded by what was read.
package selector
