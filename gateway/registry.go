package gateway

import (
	"context"
	"strings"
)

// MaxFact is how long a fact may be, in bytes, and MaxFactKey its key.
const (
	MaxFact    = 64 << 10
	MaxFactKey = 256
)

// ValidFact returns why something cannot be a fact: Invalid for its key, which is of letters, digits and "-_=/.", without a dot at the ends or beside
// another, Limit for its length.
func ValidFact(key string, value []byte) error {
	if len(key) > MaxFactKey || len(value) > MaxFact {
		return Errorf(Limit, "a fact may be %d bytes long, and its key %d", MaxFact, MaxFactKey)
	}
	plain := key != "" && key[0] != '.' && key[len(key)-1] != '.' && !strings.Contains(key, "..")
	for i := range len(key) {
		c := key[i]
		plain = plain && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_=/.", c) >= 0)
	}
	if !plain {
		return Errorf(Invalid, "%q cannot be the key of a fact", key)
	}
	return nil
}

// Registry keeps facts that all nodes must know and that outlive them: durable subscriptions, the queues that topics
// feed, policies that were changed while running. Implemented by jetstream. Keys are of letters, digits and ".-_=/".
type Registry interface {
	// Put writes a fact, over the one that was there, and returns when it is as durable as a persistent message. With a nil value it takes the fact away; it is no
	// error if there is none. It returns the fact's revision; revisions grow over all keys. Errors: those of ValidFact; Unavailable, and then it may be there, or
	// gone, all the same.
	Put(ctx context.Context, key string, value []byte) (revision uint64, err error)
	// Change is Put if the fact's revision is since; 0: if there is no such fact. Else the Error is of kind
	// Conflict, and nothing was done. That may come though the fact is as it was: who reads its revision again and repeats is right.
	Change(ctx context.Context, key string, value []byte, since uint64) (revision uint64, err error)
	// Watch calls fn with every fact that there is, then, before it returns, nothing more is missing; later changes follow, in the
	// order of their revisions and one after another, until ctx ends. value is nil for a deleted fact. Of several who watch, whoever began
	// first hears of a fact before the others do.
	Watch(ctx context.Context, fn func(key string, value []byte, revision uint64)) error
	// CatchUp returns when all who watch here have heard of everything that was written, anywhere, before it was called. Where nothing is missing it costs one small
	// question, however many facts there are.
	CatchUp(ctx context.Context) error
}
