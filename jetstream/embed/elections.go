package embed

import (
	"sync"
	"time"
	_ "unsafe" // for go:linkname
)

// How long the server waits before it elects another leader. By default that is 4 to 9 s, chosen for clusters that span
// continents, and there is no setting for it; the nodes of a message service stand side by side. docs/decisions/0007-elections.md says
// how these values hang together with how long an owner may go on without contact (Patience).
const (
	electAfterLeast = 1600 * time.Millisecond
	electAfterMost  = 2600 * time.Millisecond
	beatEvery       = 300 * time.Millisecond
)

// Patience is for how long a leader that nobody hears any more can be sure that nobody else was elected. Up to two beats lie between two words of
// an idle leader, so that a follower may have heard it last so long before; and the clocks of nodes may drift a little.
const Patience = electAfterLeast - 2*beatEvery - 200*time.Millisecond

// The server's own variables. A version that has them no more does not link.

//go:linkname minElectionTimeout github.com/nats-io/nats-server/v2/server.minElectionTimeout
var minElectionTimeout time.Duration

//go:linkname maxElectionTimeout github.com/nats-io/nats-server/v2/server.maxElectionTimeout
var maxElectionTimeout time.Duration

//go:linkname hbInterval github.com/nats-io/nats-server/v2/server.hbInterval
var hbInterval time.Duration

// elections sets them, once in a process and before any server runs in a cluster. They are the only variables of a package that
// Sluice ever changes.
var elections = sync.OnceFunc(func() {
	for variable, value := range map[*time.Duration]time.Duration{
		&minElectionTimeout: electAfterLeast, &maxElectionTimeout: electAfterMost, &hbInterval: beatEvery,
	} {
		*variable = value
	}
})
