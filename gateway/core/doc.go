// Package core is the broker: it knows every open session, checks rights and
// limits, stamps messages, keeps the queues' shards and the topics' subscribers,
// and settles what was delivered. Doors lean on it through the ports of package
// gateway; it leans on the store the same way.
//
// It is the place that wires. What has a job of its own and can be known by a few words has a room beside it:
//
//	quota       who may use how much: accounts, shares of what is in flight, the pace of sends
//	audit, tap  what is written down of sessions, and shown to those who watch
//	past        what was before an owner of a shard: its journal, what was offered, what was in memory
//	manage      looking into queues and changing what waits there, by asking their owners
//	feed        which queues topics feed, and who holds durable subscriptions
//	facts       what the registry says, and which nodes know it
//	deadletter  what a dead message says of itself, and what it was
//	union       one subscription to several destinations
//	attach      a subscription of a cluster, wherever the owner of its queue is
//	relay       what of topics goes ahead to another node
//	advising    what is told on the topics of advisories, in its order
//	ring        what a door has not taken yet
//	completion  the small words for those who wait
//
// Those are known by one to seven methods each, own their state or have none, and know nothing of core. Three parts of it are not to be had that
// way, because they share a lock, and what they share with it is their job:
//
//   - The owner of a shard (shard, send, serve, settle, burial, limits, sweep and what they name): 122 of its names are used by the rest, 55 of them fields under the
//     shard's lock, and it uses 105 of the rest. Transactions note records under that lock, the scheduler takes messages out under it, seats hand it over
//     to the next owner with all that is under way. A room for it would be core by another name. What of it was pure is in dispatch and past.
//   - Topics (topics, interest, topic_subscription, announce, recital, retroactive, guard): 60 of its names are used by the rest and it uses 65. Who hears a message is decided
//     in one place under the hub's lock, for this node, for others, for queues that are fed and for what is kept; the send of every message goes through it, and an
//     interface there would be paid for each of them.
//   - Sessions, with transactions and what a client may (session, standing, transaction, commit, spread, enrolled): they name all the others, which is the wiring itself.
package core
