package embed

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
)

// Space is where the native clients of one user live, on a server that asks who they are: an account of their own, from which as few
// ways lead as from Users.
type Space struct {
	Account Account
	// Own begins the subjects of this user on this node alone, with the last dot. Below it Inbound hears queue.>, topic.> and, about queues, $JS.>;
	// what is published below it in Outbound on topic.> reaches the user's clients on this node; and requests
	// to the JetStream API are heard in System, on api.>.
	Own string
}

const (
	// spacePrefix begins the names of users' accounts, and mostSpaces bounds how many there may be: the server never forgets one.
	spacePrefix = "U_"
	mostSpaces  = 10_000
	mostToken   = 64
	// nobody is in subjects what the empty token is.
	nobody = "anonymous"
)

// spaces are the accounts of users: those whose ways are made, and those whose storage is.
type spaces struct {
	known  register
	gossip gossip

	sync.Mutex
	open, configured map[Account]bool
}

func (s *spaces) init(cfg Config) error {
	s.open, s.configured = make(map[Account]bool), make(map[Account]bool)
	if !cfg.Guarded {
		return nil
	}
	return s.known.read(cfg.Dir)
}

// ErrSpaces is that there are too many users.
var ErrSpaces = errors.New("this node has met as many native users as it can keep apart until its next start")

// heardOfSpaces are the subjects that come from users' accounts to Inbound.
func heardOfSpaces() []string { return []string{"queue.>", "topic.>", queueAcks, queuePull} }

// spaceOf names a user's account. The token is what stands for the user: letters and digits; the empty one is Users.
func (s *Server) spaceOf(token string) Space {
	if token == "" {
		return Space{Users, s.Own() + nobody + "."}
	}
	return Space{Account(spacePrefix + token), s.Own() + token + "."}
}

func validToken(token string) bool {
	return len(token) <= mostToken && token != nobody && !strings.ContainsFunc(token, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9')
	})
}

// Space returns a user's account, which is made if it is not there yet, on the other nodes of a cluster too: there some milliseconds later.
func (s *Server) Space(token string) (Space, error) {
	if !s.cfg.Guarded || !validToken(token) {
		return Space{}, fmt.Errorf("there is no account for the user %q", token)
	}
	space, isNew, err := s.openSpace(token)
	if isNew {
		s.spaces.gossip.tell(founded, token)
	}
	return space, err
}

// openSpace returns a user's account, and whether this server had it not before.
func (s *Server) openSpace(token string) (space Space, isNew bool, err error) {
	space = s.spaceOf(token)
	s.spaces.Lock()
	defer s.spaces.Unlock()
	if s.spaces.open[space.Account] {
		return space, false, nil
	}
	if len(s.spaces.open) >= mostSpaces {
		return Space{}, false, ErrSpaces
	}
	isNew = !s.spaces.configured[space.Account]
	if err := s.found(space); err != nil {
		return Space{}, false, fmt.Errorf("making an account for a native user: %w", err)
	}
	s.spaces.open[space.Account] = true
	if isNew {
		if err := s.spaces.known.add(token); err != nil {
			s.cfg.Logger.Warn("a native user could not be written down: its streams are not read at the next start before it comes again", "error", err)
		}
	}
	return space, isNew, nil
}

// found makes the ways of a space. Those that are in the way of its JetStream are there already if the configuration has it.
func (s *Server) found(space Space) error {
	account, _ := s.ns.LookupOrRegisterAccount(string(space.Account))
	inbound, err := s.ns.LookupAccount(string(Inbound))
	if err != nil {
		return err
	}
	outbound, err := s.ns.LookupAccount(string(Outbound))
	if err != nil {
		return err
	}
	for _, subject := range heardOfSpaces() {
		if err := account.AddStreamExport(subject, []*server.Account{inbound}); err != nil {
			return err
		}
		if err := inbound.AddMappedStreamImport(account, subject, space.Own+subject); err != nil && !errors.Is(err, server.ErrStreamImportDuplicate) {
			return err
		}
	}
	if err := outbound.AddStreamExport(space.Own+"topic.>", []*server.Account{account}); err != nil {
		return err
	}
	if err := account.AddMappedStreamImport(outbound, space.Own+"topic.>", "topic.>"); err != nil && !errors.Is(err, server.ErrStreamImportDuplicate) {
		return err
	}
	return s.storage(space, account)
}

// storage gives a space its requests to the JetStream API and, if users have streams, JetStream itself.
func (s *Server) storage(space Space, account *server.Account) error {
	if s.spaces.configured[space.Account] {
		return nil
	}
	system := s.ns.SystemAccount()
	if err := system.AddServiceExport(space.Own+"api.>", []*server.Account{account}); err != nil {
		return err
	}
	if err := account.AddServiceImport(system, "$JS.API.>", space.Own+"api.>"); err != nil {
		return err
	}
	s.spaces.configured[space.Account] = true // what cannot be done twice
	if !s.Streams() {
		return nil
	}
	return account.EnableJetStream(s.cfg.Streams.limits(true), nil)
}

// guardedAccounts configures a server that asks who native clients are. Users whose streams may be in its store are there from the start:
// a storage that is read has no place for those of others.
func (s *Server) guardedAccounts() string {
	var users, services strings.Builder
	for _, token := range append([]string{""}, s.spaces.known.all()...) {
		if !validToken(token) || len(s.spaces.configured) >= mostSpaces {
			continue
		}
		space := s.spaceOf(token)
		if s.spaces.configured[space.Account] {
			continue
		}
		s.spaces.configured[space.Account] = true
		fmt.Fprintf(&users, "  %s {\n    %s\n    imports: [ { service: { account: \"$SYS\", subject: %q }, to: \"$JS.API.>\" } ]\n  }\n",
			space.Account, s.cfg.Streams.configured(), space.Own+"api.>")
		fmt.Fprintf(&services, ", { service: %q, accounts: [ %s ] }", space.Own+"api.>", space.Account)
	}
	return fmt.Sprintf(`
accounts {
  %[1]s { jetstream: enabled }
  %[2]s { imports: [ { stream: { account: "$SYS", subject: "$SYS.ACCOUNT.*.DISCONNECT" } } ] }
  %[3]s { }
%[4]s
  "$SYS" { exports: [ { stream: "$SYS.ACCOUNT.*.DISCONNECT", accounts: [ %[2]s ] } %[5]s ] }
}
system_account: "$SYS"
leafnodes { host: 127.0.0.1, port: -1, no_advertise: true, compression: off }
`, Store, Inbound, Outbound, users.String(), services.String())
}

// ownWays are subjects that routes of a guarded cluster do not carry: each door hears the clients of its own node, and what is sent to a topic goes
// by the brokers, which know who may read it.
func ownWays() []string { return append(heardOfSpaces(), "$JS.API.DIRECT.GET.>") }

// storing are the accounts of native clients that may have streams.
func (s *Server) storing() []Account {
	if !s.cfg.Guarded {
		return []Account{Users}
	}
	s.spaces.Lock()
	defer s.spaces.Unlock()
	return slices.Collect(maps.Keys(s.spaces.configured))
}
