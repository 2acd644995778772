// Package pubsub runs the HTTP Pub/Sub door on the real store: what it promises outlives the process, and many clients at once get what one does.
package pubsub
