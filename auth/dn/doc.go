// Package dn reads, compares and writes the distinguished names of X.509 certificates, which operators write in
// several forms. It is pure: strings and DER in, names out.
package dn
