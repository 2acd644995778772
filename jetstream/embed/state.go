package embed

import (
	"time"
	"unsafe"

	"github.com/nats-io/nats-server/v2/server"
)

// Kept is what a stream has.
type Kept struct {
	First, Last, Bytes uint64
	Oldest, Newest     time.Time // when those two were stored
}

// streamState is what the server answers to who asks it for a stream's information, which takes much longer. A version that has it no more does not link.
//
//go:linkname streamState github.com/nats-io/nats-server/v2/server.(*stream).state
func streamState(stream unsafe.Pointer) server.StreamState

// Kept is what this server's replica of a stream of the Store account has; not ok if it is not known to have one. It takes about a microsecond.
func (s *Server) Kept(stream string) (k Kept, ok bool) {
	a, err := s.ns.LookupAccount(string(Store))
	if err != nil {
		return Kept{}, false
	}
	found, err := lookupStream(a, stream)
	if err != nil || found == nil {
		return Kept{}, false
	}
	st := streamState(found)
	return Kept{st.FirstSeq, st.LastSeq, st.Bytes, st.FirstTime, st.LastTime}, true
}
