// Package past knows what was before an owner of a shard: what the journal says of it, what other nodes have offered already, and how far the messages of each
// producer were handed out that an owner before had only in memory. But for Export, which reads a store, it is pure.
package past
