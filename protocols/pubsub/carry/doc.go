// Package carry brings connections that came through a listen.Listener to an http.Server. It is for the doors of HTTP Pub/Sub.
package carry
