package embed

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Newcomer is a native client that wants to log in.
type Newcomer struct {
	// ID is the server's number of the connection.
	ID uint64
	// User, Password and Token are what it said; each may be empty.
	User, Password, Token string
	// Certificate is the client's own, if it showed one, and CertificateErr says why it is not trusted.
	Certificate    *x509.Certificate
	CertificateErr error
	// Protocol is "nats", "nats-websocket" or "mqtt"; Listener and Remote are addresses, "ip:port".
	Protocol, Listener, Remote string
	// Library is what the client's software calls itself.
	Library string
}

// Place is where a client that may come in lives.
type Place struct {
	// Space is that of its user.
	Space Space
	// Name is what the server calls the client.
	Name string
	// Until is when the connection is closed; zero is never.
	Until time.Time
}

// Judge says whether a client may come in, and to which place. It may take as long as ctx allows; others do not wait meanwhile. The error is
// the caller's to log: the client hears of an authorization violation and no more.
type Judge func(ctx context.Context, n Newcomer) (Place, error)

const (
	// loginWithin bounds a login, and waiting for the door to open.
	loginWithin = 20 * time.Second
	// loginsAtOnce is how many clients are judged at the same time; others wait, as long as one login may take.
	loginsAtOnce = 256
)

// entrance lets clients in. It implements server.Authentication, which is called by each connection's own goroutine.
type entrance struct {
	server *Server
	once   sync.Once
	open   chan struct{} // closed by letIn
	turns  chan struct{}

	mu    sync.Mutex
	judge Judge
	// inside are the connections that came in, some of which may have gone since.
	inside map[uint64]struct{}
}

func newEntrance(s *Server) *entrance {
	return &entrance{server: s, open: make(chan struct{}), turns: make(chan struct{}, loginsAtOnce), inside: make(map[uint64]struct{})}
}

// Check implements server.Authentication.
func (e *entrance) Check(c server.ClientAuthentication) bool {
	said := c.GetOpts()
	if account, ours := e.server.own(said.Username, said.Password, c.Kind()); ours {
		return e.admit(c, account, said.Username, time.Time{})
	}
	if c.Kind() != server.CLIENT {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), loginWithin)
	defer cancel()
	select {
	case <-e.open:
	case <-ctx.Done(): // a client that tries again finds the door open, perhaps
		return false
	}
	select {
	case e.turns <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	defer func() { <-e.turns }()
	if !e.room(c.GetID()) {
		e.server.cfg.Logger.Warn("a native client is refused: there are as many as there may be", "limit", e.server.cfg.MaxConnections)
		return false
	}
	e.mu.Lock()
	judge := e.judge
	e.mu.Unlock()
	switch {
	case !e.server.cfg.Guarded:
		return e.admit(c, Users, nobody, time.Time{})
	case judge == nil:
		return false
	}
	place, err := judge(ctx, e.newcomer(c))
	if err != nil {
		return false
	}
	if !e.admit(c, place.Space.Account, place.Name, place.Until) {
		e.server.cfg.Logger.Warn("a native client is refused: its user has no account yet", "user", place.Name, "remote", c.RemoteAddress())
		return false
	}
	return true
}

// letIn opens the entrance, once.
func (e *entrance) letIn() { e.once.Do(func() { close(e.open) }) }

// admit puts a connection into its account.
func (e *entrance) admit(c server.ClientAuthentication, name Account, user string, until time.Time) bool {
	account, err := e.server.ns.LookupAccount(string(name))
	if err != nil {
		return false
	}
	c.RegisterUser(&server.User{Username: user, Account: account, ConnectionDeadline: until})
	return true
}

// own recognises connections of this process. They log in with the name of an account, leaf nodes with one more word.
func (s *Server) own(user, password string, kind int) (Account, bool) {
	if subtle.ConstantTimeCompare([]byte(password), []byte(s.secret)) != 1 {
		return "", false
	}
	switch kind {
	case server.CLIENT:
		return Account(user), true
	case server.LEAF:
		if user == leafUser {
			return Users, true
		}
		return Account(strings.TrimPrefix(user, leafUser+".")), true
	}
	return "", false
}

// room notes a connection, if there is room for one more.
func (e *entrance) room(id uint64) bool {
	most := e.server.cfg.MaxConnections
	if most <= 0 {
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.inside) >= most {
		for old := range e.inside {
			if !e.server.Connected(old) {
				delete(e.inside, old)
			}
		}
	}
	if _, again := e.inside[id]; !again && len(e.inside) >= most {
		return false
	}
	e.inside[id] = struct{}{}
	return true
}

// newcomer gathers what is known of a client.
func (e *entrance) newcomer(c server.ClientAuthentication) Newcomer {
	said := c.GetOpts()
	n := Newcomer{ID: c.GetID(), User: said.Username, Password: said.Password, Token: said.Token, Library: strings.TrimSpace(said.Lang + " " + said.Version)}
	if addr := c.RemoteAddress(); addr != nil {
		n.Remote = addr.String()
	}
	l := e.server.listener(n.ID)
	n.Protocol, n.Listener = l.protocol, l.address
	if l.protocol == "mqtt" {
		n.Token = "" // the server has put the password there as well
	}
	if state := c.GetTLSConnectionState(); state != nil && len(state.PeerCertificates) > 0 {
		n.Certificate, n.CertificateErr = e.certificate(l.judge, *state)
	}
	return n
}

// certificate is what a listener thinks of a client's.
func (e *entrance) certificate(judge CertificateJudge, state tls.ConnectionState) (*x509.Certificate, error) {
	if judge != nil {
		return judge(state)
	}
	if len(state.VerifiedChains) == 0 {
		return state.PeerCertificates[0], errUnverified
	}
	return state.PeerCertificates[0], nil
}

// Guard gives the entrance its judge. It is called before Listen, on a server that is guarded.
func (s *Server) Guard(judge Judge) {
	s.entrance.mu.Lock()
	defer s.entrance.mu.Unlock()
	s.entrance.judge = judge
}

// Disconnect ends a client's connection, by its number. One that is gone is nothing bad.
func (s *Server) Disconnect(id uint64) { _ = s.ns.DisconnectClientByID(id) }
