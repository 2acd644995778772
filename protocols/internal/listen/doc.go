// Package listen is the accept loop that the TCP doors share: it bounds the
// number of connections, keeps one broken connection from hurting the others and
// knows when the last one is gone. It knows no protocol.
package listen
