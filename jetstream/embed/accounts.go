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
)

// leafUser is as whom our door logs in as a leaf node of the native clients' account.
const leafUser = "LEAF"

// accounts configures who may log in, and what goes from which account to which others.
//
// The service of nobody, $JS.API.INFO, is there for what it prevents: in an account
// with a service of this name the server itself does not answer JetStream requests, not even with a
// no. Our door for native clients answers them.
func (s *Server) accounts() string {
	return fmt.Sprintf(`
accounts {
  %[1]s { jetstream: enabled, users: [ { user: %[1]s, password: %[5]q } ] }
  %[2]s {
    limits: { max_connections: %[6]d }
    users: [ { user: %[2]s, password: %[5]q }, { user: anonymous, password: %[5]q } ]
    exports: [ { stream: "queue.>", accounts: [ %[3]s ] }, { stream: "topic.>", accounts: [ %[3]s ] } ]
    imports: [ { stream: { account: %[4]s, subject: "topic.>" } }, { service: { account: %[3]s, subject: "nobody" }, to: "$JS.API.INFO" } ]
  }
  %[3]s {
    users: [ { user: %[3]s, password: %[5]q } ]
    exports: [ { service: "nobody", accounts: [ %[2]s ] } ]
    imports: [
      { stream: { account: %[2]s, subject: "queue.>" } }, { stream: { account: %[2]s, subject: "topic.>" } }
      { stream: { account: "$SYS", subject: "$SYS.ACCOUNT.%[2]s.DISCONNECT" } }
    ]
  }
  %[4]s {
    users: [ { user: %[4]s, password: %[5]q } ]
    exports: [ { stream: "topic.>", accounts: [ %[2]s ] } ]
  }
  "$SYS" { exports: [ { stream: "$SYS.ACCOUNT.%[2]s.DISCONNECT", accounts: [ %[3]s ] } ] }
}
system_account: "$SYS"
leafnodes {
  host: 127.0.0.1, port: -1, no_advertise: true, compression: off
  authorization { users: [ { user: %[7]s, password: %[5]q, account: %[2]s } ] }
}
no_auth_user: anonymous
`, Store, Users, Inbound, Outbound, s.secret, s.nativeConnections(), leafUser)
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
