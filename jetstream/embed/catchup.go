package embed

import (
	"reflect"
	"sync"
	"time"
	"unsafe"

	"github.com/nats-io/nats-server/v2/server"
)

// A server that led a stream's group and was cut off has entries in its log that nobody else has. When it is back it asks the leader for what it
// lacks, finds that the last of them does not fit, drops that one, and takes no notice of what else the leader sends; but it believes that it has asked again,
// and waits two seconds for an answer that nobody gives. With thirteen such entries the group has one member less for half a
// minute. Lagging lets somebody see that, and AskAgain ends the wait. (A snapshot would end it, too; but a server that was given one counts before it has what
// the snapshot speaks of, and if the leader goes then, nobody can take over.)

// These are the server's own functions. A version that has them no more does not link.

//go:linkname lookupStream github.com/nats-io/nats-server/v2/server.(*Account).lookupStream
func lookupStream(a *server.Account, name string) (unsafe.Pointer, error)

//go:linkname raftNode github.com/nats-io/nats-server/v2/server.(*stream).raftNode
func raftNode(stream unsafe.Pointer) server.RaftNode

// cancelCatchup forgets that the leader was asked: the next that it says shows that something is missing, and it is asked again. The group's lock is held.
//
//go:linkname cancelCatchup github.com/nats-io/nats-server/v2/server.(*raft).cancelCatchup
func cancelCatchup(raft unsafe.Pointer)

// Lagging reports whether this server's replica of a stream of the Store account lacks something that its leader has, as far as it knows, and up to
// which entry its log goes. It takes about a microsecond.
func (s *Server) Lagging(stream string) (last uint64, lags bool) {
	node := s.group(stream)
	if node == nil {
		return 0, false
	}
	last, _, _ = node.Progress()
	return last, !node.Leader() && !node.Leaderless() && !node.Current()
}

// heardWithin is how lately a replica must have answered to count as one that is there.
const heardWithin = 2 * time.Second

// Hasten has this server say a word to the other replicas of a stream of the Store account, if it leads that and one of them is there and lacks
// something: whoever lacks something asks for it when the leader says something, which it does seldom when nothing is stored.
func (s *Server) Hasten(stream string) {
	node := s.group(stream)
	if node == nil || !node.Leader() {
		return
	}
	for _, p := range node.Peers() {
		if !p.Current && time.Since(p.Last) < heardWithin {
			node.SendHeartbeat()
			return
		}
	}
}

// AskAgain has a replica that lags ask its leader again for what it lacks. What it is being sent is lost, and sent again.
func (s *Server) AskAgain(stream string) {
	node := s.group(stream)
	if node == nil {
		return
	}
	lock := lockOfGroup(node)
	if lock == nil {
		return // which the test of an owner that was alone finds
	}
	lock.Lock()
	defer lock.Unlock()
	cancelCatchup(reflect.ValueOf(node).UnsafePointer())
}

// group is what keeps the replicas of a stream the same; nil if there is no such thing.
func (s *Server) group(stream string) server.RaftNode {
	account, err := s.ns.LookupAccount(string(Store))
	if err != nil {
		return nil
	}
	of, err := lookupStream(account, stream)
	if err != nil {
		return nil
	}
	return raftNode(of)
}

// lockOfGroup is the lock under which the server calls cancelCatchup; nil if this version has no such.
func lockOfGroup(node server.RaftNode) *sync.RWMutex {
	v := reflect.ValueOf(node)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nil
	}
	field := v.Elem().FieldByName("RWMutex")
	if !field.IsValid() || field.Type() != reflect.TypeFor[sync.RWMutex]() {
		return nil
	}
	return (*sync.RWMutex)(unsafe.Pointer(field.UnsafeAddr()))
}
