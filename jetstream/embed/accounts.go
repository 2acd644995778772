package embed

import (
	"fmt"
	"net"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"
)

// Account is one of the name spaces of the embedded server.
type Account string

const (
	// Store holds our streams. Nobody but this process can log in to it.
	Store Account = "SLUICE"
	// Users is where native clients live. It has no way into Store.
	Users Account = "USERS"
	// Inbound hears what native clients publish to queue.> and topic.>, and when
	// one of their connections ends.
	Inbound Account = "INBOUND"
	// Outbound is heard by native clients: what is published there on topic.>
	// reaches their subscriptions, but not Inbound, so that nothing can go round in
	// a loop. Its interest is that of native clients alone.
	Outbound Account = "OUTBOUND"
	// System is the server's own. There our door hears requests to the JetStream API, and has the server answer
	// those about native clients' own streams that it has looked at.
	System Account = "$SYS"
)

// leafUser is as whom our door logs in as a leaf node of the native clients' account.
const leafUser = "LEAF"

// accounts configures who may log in, and what goes from which account to which others.
//
// An account that has the service $JS.API.> from the system account gets no other from there. So the server itself does not answer
// JetStream requests of native clients, not even with a no: they come to where our door listens, in the system account, which has the server answer those
// that it has looked at. The server does that for messages that come in at this node alone, never for a route's.
func (s *Server) accounts() string {
	w := s.ways()
	return fmt.Sprintf(`
accounts {
  %[1]s { jetstream: enabled, users: [ { user: %[1]s, password: %[5]q } ] }
  %[2]s {
    limits: { max_connections: %[6]d }
    users: [ { user: %[2]s, password: %[5]q }, { user: anonymous, password: %[5]q } ]
    %[8]s
    mappings: { %[14]s }
    exports: [ %[9]s ]
    imports: [ { stream: { account: %[4]s, subject: "topic.>" } }, { service: { account: "$SYS", subject: "%[13]sapi.>" }, to: "$JS.API.>" } %[10]s ]
  }
  %[3]s {
    users: [ { user: %[3]s, password: %[5]q } ]
    exports: [ %[11]s ]
    imports: [ %[12]s, { stream: { account: "$SYS", subject: "$SYS.ACCOUNT.%[2]s.DISCONNECT" } } ]
  }
  %[4]s {
    users: [ { user: %[4]s, password: %[5]q } ]
    exports: [ { stream: "topic.>", accounts: [ %[2]s ] } ]
  }
  "$SYS" {
    users: [ { user: "$SYS", password: %[5]q } ]
    exports: [ { stream: "$SYS.ACCOUNT.%[2]s.DISCONNECT", accounts: [ %[3]s ] }, { service: "%[13]sapi.>", accounts: [ %[2]s ] } ]
  }
}
system_account: "$SYS"
leafnodes {
  host: 127.0.0.1, port: -1, no_advertise: true, compression: off
  authorization { users: [ { user: %[7]s, password: %[5]q, account: %[2]s } ] }
}
no_auth_user: anonymous
`, Store, Users, Inbound, Outbound, s.secret, s.nativeConnections(), leafUser,
		s.cfg.Streams.configured(), w.exports, w.imports, w.services, w.heard, s.Own(), w.mappings)
}

// What is said of deliveries from queues, and asked of their consumers. What is said about native clients' own streams
// goes to the server.
const (
	queueAcks = "$JS.ACK.QUEUES.>"
	queuePull = "$JS.API.CONSUMER.MSG.NEXT.QUEUES.>"
)

// ways are those parts of the accounts' configuration by which our door hears native clients.
type ways struct{ mappings, exports, imports, services, heard string }

// ways differ in a cluster: there the clients' account spans all nodes, and each door must hear those of its own node
// alone. So what they say to queues is moved to subjects of the node's own where it comes in;
// what they say to topics stays where it is, since other clients hear it, and comes to the door as a service request
// besides, as requests to the API do: those are made by the server where a message comes in, and by no other.
func (s *Server) ways() ways {
	own := s.Prefix()
	if own == "" {
		var w ways
		for i, subject := range []string{"queue.>", "topic.>", queueAcks, queuePull} {
			if i > 0 {
				w.exports, w.heard = w.exports+", ", w.heard+", "
			}
			w.exports += fmt.Sprintf(`{ stream: %q, accounts: [ %s ] }`, subject, Inbound)
			w.heard += fmt.Sprintf(`{ stream: { account: %s, subject: %q } }`, Users, subject)
		}
		return w
	}
	return ways{
		mappings: fmt.Sprintf(`"queue.>": "%[1]squeue.>", %[2]q: "%[1]s%[2]s", %[3]q: "%[1]s%[3]s"`, own, queueAcks, queuePull),
		exports:  fmt.Sprintf(`{ stream: "%[1]squeue.>", accounts: [ %[2]s ] }, { stream: "%[1]s$JS.>", accounts: [ %[2]s ] }`, own, Inbound),
		imports:  fmt.Sprintf(`, { service: { account: %s, subject: "%stopic.>" }, to: "topic.>" }`, Inbound, own),
		services: fmt.Sprintf(`{ service: "%stopic.>", response: stream, accounts: [ %s ] }`, own, Users),
		heard:    fmt.Sprintf(`{ stream: { account: %[1]s, subject: "%[2]squeue.>" } }, { stream: { account: %[1]s, subject: "%[2]s$JS.>" } }`, Users, own),
	}
}

// Prefix begins the subjects on which what this node's native clients say is heard in the account Inbound: queue.> and
// topic.>, and $JS.> for queues. It is empty but in a cluster.
func (s *Server) Prefix() string {
	if s.cfg.Cluster == nil {
		return ""
	}
	return s.Own()
}

// Own begins subjects of this node alone. Below it, as api.>, requests to the JetStream API are heard in the account System, those that
// the server makes in the name of native clients' streams among them.
func (s *Server) Own() string { return "sluice." + s.cfg.Name + "." }

// Node is the node's name in its cluster, or empty on a single node.
func (s *Server) Node() string {
	if s.cfg.Cluster == nil {
		return ""
	}
	return s.cfg.Name
}

// nativeConnections is how many connections the account of native clients takes:
// theirs and our two that answer them. Our other connections are not counted.
func (s *Server) nativeConnections() int {
	if s.cfg.MaxConnections <= 0 {
		return -1
	}
	return s.cfg.MaxConnections + 2
}

// Leaf returns where a leaf node of the native clients' account connects, and as whom. It is on
// loopback, and nobody outside of this process knows the password.
func (s *Server) Leaf() (addr, user, password string, err error) {
	v, err := s.ns.Varz(nil)
	if err != nil {
		return "", "", "", fmt.Errorf("asking where leaf nodes connect: %w", err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(v.LeafNode.Port)), leafUser, s.secret, nil
}

// LeafOf is Leaf for the account of a space. Every user of a process may have one.
func (s *Server) LeafOf(space Space) (addr, user, password string, err error) {
	addr, user, password, err = s.Leaf()
	return addr, user + "." + string(space.Account), password, err
}

// Pending returns how many bytes wait for a client's connection, by its number; 0 if it is not
// there. It takes time in proportion to the number of connections: ask it for slow ones only.
func (s *Server) Pending(id uint64) int {
	z, err := s.ns.Connz(&server.ConnzOptions{CID: id})
	if err != nil || len(z.Conns) == 0 {
		return 0
	}
	return z.Conns[0].Pending
}
