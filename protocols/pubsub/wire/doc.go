// Package wire is the ARGO Messaging Service's HTTP API as it goes over the wire: paths to routes, JSON to requests, answers and errors to the letter.
// It is pure: it knows nothing of sockets, clocks or what is behind the API.
package wire
