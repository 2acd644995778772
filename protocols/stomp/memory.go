package stomp

import (
	"time"

	"github.com/sluice-mq/sluice/gateway/quota"
	"github.com/sluice-mq/sluice/protocols/internal/budget"
)

const (
	// defaultMemory is the size of each part of a Memory.
	defaultMemory = 256 << 20
	// smallTransactions is what the open transactions of a connection may hold without a share of the memory for them, and
	// transactionPortion by how much the share grows and shrinks: who sends little does not meet the others.
	smallTransactions  = 64 << 10
	transactionPortion = 256 << 10
	// frameGrace and framePace are how long a large frame may take, once there is memory for it, while somebody else waits.
	frameGrace = 10 * time.Second
	framePace  = 64 << 10 // bytes a second
)

// Memory is what clients can make servers hold for as long as they like: the large frames that come, and the transactions that stay open. It is shared
// out so that nobody has it from all others: a user has half at most of what the others leave him, and within that an address. It may
// be used by many servers at once.
type Memory struct {
	receiving, transactions *budget.Budget
	frames, open            int64
}

// NewMemory makes a Memory of so many bytes for frames beyond 64 KiB while they are read, and for what open transactions hold. 0 is 256 MiB.
func NewMemory(frames, transactions int64) *Memory {
	frames, transactions = orDefault(frames, defaultMemory), orDefault(transactions, defaultMemory)
	return &Memory{budget.New(frames), budget.New(transactions), frames, transactions}
}

// large is a frame that has a share of the memory while it is read.
type large struct {
	share *budget.Share
	slow  *time.Timer // calls when it took its time
}

// enlarge waits until there is memory for a large frame, or nothing is read any more. The writer goes on meanwhile, and the client's silence is not
// held against it: its time begins with the next read. All of the frame is counted at once, though its memory is only taken as it comes: of
// several that each had a part, none might ever get the rest.
func (c *conn) enlarge(bytes int) error {
	l := &large{share: c.shareOf(c.server.cfg.Memory.receiving)}
	if !l.share.Await(c.in.ending, int64(bytes), int64(bytes)) {
		return errStopped
	}
	c.large = l
	c.in.begin(l, frameGrace+time.Duration(float64(bytes)/framePace*float64(time.Second)))
	return nil
}

// lessen gives back what a large frame had.
func (c *conn) lessen() {
	if l := c.large; l != nil {
		c.large = nil
		c.in.finish(l)
		l.share.Keep(0)
	}
}

// keepTransactions has the share of the open transactions follow what they hold. It reports whether there was room for it.
func (c *conn) keepTransactions() bool {
	has := int64(0)
	if c.txShare != nil {
		has = c.txShare.Size()
	}
	wants := max(int64(c.txBytes)-smallTransactions, 0)
	wants = (wants + transactionPortion - 1) / transactionPortion * transactionPortion
	switch {
	case wants == has:
	case wants < has:
		c.txShare.Keep(wants)
	default:
		if c.txShare == nil {
			c.txShare = c.shareOf(c.server.cfg.Memory.transactions)
		}
		return c.txShare.More(wants-has) == wants-has
	}
	return true
}

// dropTransactions forgets what was never committed.
func (c *conn) dropTransactions() {
	c.transactions, c.txBytes = nil, 0
	c.keepTransactions()
}

// shareOf is nothing yet of a budget, for the client's user and address.
func (c *conn) shareOf(b *budget.Budget) *budget.Share {
	host, _ := quota.HostOf(c.remote())
	return b.Share(c.session.Principal().Name, host.String())
}
