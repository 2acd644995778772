// Package pubsub is the HTTP Pub/Sub door: clients of the ARGO Messaging Service find here what they know, on the same topics as everybody else. It
// knows requests and who may make them; resources are kept by package resource, messages by the broker and its logs.
package pubsub
