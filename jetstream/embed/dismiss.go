package embed

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// dismissAtOnce is how many connections Dismiss looks at in one go.
const dismissAtOnce = 1024

// Warn tells native clients that the server will close their connections soon (lame duck mode, as clients know
// it). New ones are still taken.
func (s *Server) Warn() error {
	_, err := s.eachClient(func(id uint64) error { return s.ns.LDMClientByID(id) })
	return err
}

// Dismiss closes the connections of all native clients and returns how many there were. New ones are
// still taken, so that who wants none calls it again and again.
func (s *Server) Dismiss() (int, error) { return s.eachClient(s.ns.DisconnectClientByID) }

// eachClient does something with each native client's connection. One that is gone in between is nothing bad.
func (s *Server) eachClient(do func(id uint64) error) (n int, err error) {
	var clients []uint64
	for offset := 0; ; offset += dismissAtOnce {
		page, err := s.ns.Connz(&server.ConnzOptions{Username: true, Account: s.nativeAccount(), Limit: dismissAtOnce, Offset: offset})
		if err != nil {
			return 0, fmt.Errorf("listing native clients: %w", err)
		}
		for _, c := range page.Conns {
			if s.native(c) {
				clients = append(clients, c.Cid)
			}
		}
		if len(page.Conns) < dismissAtOnce {
			break
		}
	}
	for _, id := range clients {
		if do(id) == nil {
			n++
		}
	}
	return n, nil
}

// nativeAccount is that of all native clients, or empty if they have several.
func (s *Server) nativeAccount() string {
	if s.cfg.Guarded {
		return ""
	}
	return string(Users)
}

// native reports whether a connection is a client's and not ours: ours bear the names of their accounts, which no user has.
func (s *Server) native(c *server.ConnInfo) bool {
	users := c.Account == string(Users) || s.cfg.Guarded && strings.HasPrefix(c.Account, spacePrefix)
	return users && c.Kind == "Client" && c.AuthorizedUser != c.Account
}
