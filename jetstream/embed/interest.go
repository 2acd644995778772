package embed

import (
	"reflect"
	"sync"
	"unsafe"

	"github.com/nats-io/nats-server/v2/server"
)

// The server tells routes of what is listened to in an account when that changes, and says nothing again to a node that did not know
// the account then. These are its own functions for the change of an account's routes. A version that has them no more does not link.

//go:linkname forEachRouteIdx github.com/nats-io/nats-server/v2/server.(*Server).forEachRouteIdx
func forEachRouteIdx(s *server.Server, pool int, f func(route unsafe.Pointer) bool)

//go:linkname sendSubsToRoute github.com/nats-io/nats-server/v2/server.(*Server).sendSubsToRoute
func sendSubsToRoute(s *server.Server, route unsafe.Pointer, pool int, account string)

//go:linkname computeRoutePoolIdx github.com/nats-io/nats-server/v2/server.computeRoutePoolIdx
func computeRoutePoolIdx(size int, account string) int

// routePool is how many connections there are between two nodes; an account uses one of them. All nodes must have the same.
const routePool = 3

// lockOf is the lock under which the server calls those; nil if this version has no such.
func lockOf(s *server.Server) *sync.RWMutex {
	field := reflect.ValueOf(s).Elem().FieldByName("mu")
	if !field.IsValid() || field.Type() != reflect.TypeFor[sync.RWMutex]() {
		return nil
	}
	return (*sync.RWMutex)(unsafe.Pointer(field.UnsafeAddr()))
}

// sayAgain tells other nodes what is listened to in accounts. They may have heard it before.
func (s *Server) sayAgain(accounts []string) {
	lock := lockOf(s.ns)
	if lock == nil {
		return // which the test of guarded clusters finds
	}
	lock.Lock()
	defer lock.Unlock()
	for _, account := range accounts {
		pool := computeRoutePoolIdx(routePool, account)
		forEachRouteIdx(s.ns, pool, func(route unsafe.Pointer) bool {
			sendSubsToRoute(s.ns, route, pool, account)
			return true
		})
	}
}
