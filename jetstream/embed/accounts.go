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
	// System is the server's own: from there our door has the server answer requests about native clients' own
	// streams, after it has looked at them.
	System Account = "$SYS"
)

// leafUser is as whom our door logs in as a leaf node of the native clients' account.
const leafUser = "LEAF"

// accounts configures who may log in, and what goes from which account to which others.
//
// The service $JS.API.> is there for what it prevents: an account that has it from the system account gets no other from
// there, so that the server itself does not answer JetStream requests of native clients, not even with a no. Our door
// answers them. They do not come by this service, since they are mapped (see mappings); what does come are the requests
// that the server makes in the name of a stream, to read another one.
func (s *Server) accounts() string {
	w := s.ways()
	return fmt.Sprintf(`
accounts {
  %[1]s { jetstream: enabled, users: [ { user: %[1]s, password: %[5]q } ] }
  %[2]s {
    limits: { max_connections: %[6]d }
    users: [ { user: %[2]s, password: %[5]q }, { user: anonymous, password: %[5]q } ]
    %[8]s
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
		s.cfg.Streams.configured(), w.exports, w.imports, w.services, w.heard, s.Own())
}

// ways are those parts of the accounts' configuration by which our door hears native clients.
type ways struct{ exports, imports, services, heard string }

// ways differ in a cluster: there the clients' account spans all nodes, and each door must hear those of its own node
// alone. So what they say to queues is moved to subjects of the node's own where it comes in, as what they say to JetStream is everywhere;
// what they say to topics stays where it is, since other clients hear it, and comes to the door as a service request
// besides: those are made by the server where a message comes in, and by no other.
func (s *Server) ways() ways {
	own := s.Prefix()
	if own == "" {
		return ways{
			exports: fmt.Sprintf(`{ stream: "queue.>", accounts: [ %[1]s ] }, { stream: "topic.>", accounts: [ %[1]s ] }`, Inbound),
			heard:   fmt.Sprintf(`{ stream: { account: %[1]s, subject: "queue.>" } }, { stream: { account: %[1]s, subject: "topic.>" } }`, Users),
		}
	}
	return ways{
		exports:  fmt.Sprintf(`{ stream: "%squeue.>", accounts: [ %s ] }`, own, Inbound),
		imports:  fmt.Sprintf(`, { service: { account: %s, subject: "%stopic.>" }, to: "topic.>" }`, Inbound, own),
		services: fmt.Sprintf(`{ service: "%stopic.>", response: stream, accounts: [ %s ] }`, own, Users),
		heard:    fmt.Sprintf(`{ stream: { account: %s, subject: "%squeue.>" } }`, Users, own),
	}
}

// Prefix begins the subjects on which what this node's native clients publish is heard in the account Inbound: queue.> and
// topic.>. It is empty but in a cluster.
func (s *Server) Prefix() string {
	if s.cfg.Cluster == nil {
		return ""
	}
	return s.Own()
}

// Own begins the subjects of this node alone. Its native clients' requests and acknowledgements are heard below it, as
// $JS.>, in the account Users; and what the server asks for in the name of their streams, as api.>, in the account System.
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

// Pending returns how many bytes wait for a client's connection, by its number; 0 if it is not
// there. It takes time in proportion to the number of connections: ask it for slow ones only.
func (s *Server) Pending(id uint64) int {
	z, err := s.ns.Connz(&server.ConnzOptions{CID: id})
	if err != nil || len(z.Conns) == 0 {
		return 0
	}
	return z.Conns[0].Pending
}
