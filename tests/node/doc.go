// Package node starts the built sluice binary for tests that look at it from
// outside: on free loopback ports, with its own store, and ended in any way a
// process can end.
package node
