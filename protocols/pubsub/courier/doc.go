// Package courier runs the routes of HTTP Pub/Sub that fall to a node: it has messages copied from topic to topic as soon as they come.
package courier
