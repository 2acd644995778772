// Package ldap asks a directory who people are and which groups they are in. It proves a passcode by binding with it, and knows
// several servers of the same directory.
package ldap
