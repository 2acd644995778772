// Package core is the broker: it knows every open session, checks rights and
// limits, stamps messages, keeps the queues' shards and the topics' subscribers,
// and settles what was delivered. Doors lean on it through the ports of package
// gateway; it leans on the store the same way.
package core
