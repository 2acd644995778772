// Package policy says how destinations behave: a table of patterns, of which the first that matches a destination decides everything.
// It is pure: core asks it, cmd/sluice fills it from the configuration and from what was changed while running.
package policy
