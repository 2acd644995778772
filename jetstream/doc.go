// Package jetstream implements gateway.Store on the embedded JetStream: one
// stream per shard, used as a journal with a single writer, and a group commit
// between the store's answer and ours. Its files are subjects, records, journals.
package jetstream
