// Package lease hands out the messages of a topic's log one by one, each to one client for a time, and takes acknowledgements of each. Who gets what next is decided by
// gateway/dispatch; what is kept is how far a subscription is in the log and which messages before that are still open.
package lease
