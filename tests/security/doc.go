// Package security tests a real node at its doors: who comes in by which of them, what everybody may do there, what those try who may not,
// and what operators do about it. docs/security.md is run as it stands.
package security
