// Package resource keeps the projects, users, topics, subscriptions and cursors of the HTTP Pub/Sub API, as facts that all nodes know. Each node
// answers from memory; changes are compared with what was read, so that none is lost.
package resource
