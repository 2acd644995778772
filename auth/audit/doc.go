// Package audit writes down who did what: one structured line for each gateway.Event, to a log or to a file of its own. Whatever the
// disk does, it does not hold up the broker; what could not be written is counted and said.
package audit
