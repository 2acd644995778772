package gateway

// Tenant takes journals over. In a cluster each journal has one writer at a time: its owner,
// the node that leads the journal's stream. The store tells when that is this node. On a
// single node it is for ever. Implemented by core.
type Tenant interface {
	// Begin says that this node owns journal i in that epoch: nobody else appends to it, and what
	// j.Replay reads is all there is. It must return soon. The other nodes hear of the
	// owner when ready is called; it calls sole once, from any goroutine, when no owner before this one can hand anything
	// out any more, unless End comes before. Until then this one must not.
	Begin(i int, epoch uint64, j Journal, ready func(sole func()))
	// End says that it does not any more; what Append is called with from here on is
	// answered with an error of kind Moved. What was not answered before is answered later, when it is
	// known what became of it: with nil if it is in the journal, where its new owner finds it, or with
	// Moved if it is not and never will be. It must return soon.
	End(i int)
}
