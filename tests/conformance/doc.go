// Package conformance asks a broker what STOMP clients in the field ask, byte by byte,
// and holds its answers against those of ActiveMQ Classic 5.17, which they were written for.
//
// Without further ado it asks the built sluice. SLUICE_CONFORMANCE_ADDR=host:port asks
// another broker instead: ActiveMQ, to see whether what is expected here is
// still what it does. Where Sluice does better on purpose, play.differs says so.
package conformance
