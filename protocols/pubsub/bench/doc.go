// Package bench measures an HTTP Pub/Sub service, ours or another one, and verifies what it takes and gives.
package bench
