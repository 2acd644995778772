// Package pki is what a listener with TLS knows: its own certificate, whom it trusts to vouch for clients, and what was
// revoked, all read again when the files change. It judges the certificates that clients show, in words for their owners.
package pki
