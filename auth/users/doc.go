// Package users knows people who are written down: their passwords, tokens, certificates and groups. A Directory is what the files
// say; Users answers for it, at a bounded cost, and changes to another one while it works.
package users
