package embed

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// In a cluster the nodes tell one another of users' accounts, in Inbound, which no client can enter.
const (
	spacesSubject = "sluice.spaces."
	// founded names accounts that the speaker has from now on. Who has them too tells it what is listened to in them: the server forgets what it hears
	// about accounts that it does not know.
	founded = "founded"
	// known names all that the speaker has.
	known = "known"
	// knownEvery is how often that is said, and tokensAtOnce how many in one message.
	knownEvery   = 10 * time.Second
	tokensAtOnce = 2048
)

// gossip is a node's part in that; nothing on a single node.
type gossip struct {
	conn       *nats.Conn
	name       string
	once       sync.Once
	stop, done chan struct{}
}

// said is a message between nodes.
type said struct {
	Node   string   `json:"node"`
	Tokens []string `json:"tokens"`
}

// tellSpaces begins to tell of accounts, and to hear.
func (s *Server) tellSpaces() error {
	if !s.cfg.Guarded || s.cfg.Cluster == nil {
		return nil
	}
	conn, err := s.Connect(Inbound, "users of native clients")
	if err != nil {
		return err
	}
	g := &s.spaces.gossip
	g.conn, g.name, g.stop, g.done = conn, s.cfg.Name, make(chan struct{}), make(chan struct{})
	if _, err := conn.Subscribe(spacesSubject+"*", s.heardOfSpace); err != nil {
		conn.Close()
		return fmt.Errorf("listening for other nodes' users: %w", err)
	}
	go func() {
		defer close(g.done)
		ticker := time.NewTicker(knownEvery)
		defer ticker.Stop()
		for {
			g.tell(known, s.spaces.known.all()...)
			select {
			case <-g.stop:
				return
			case <-ticker.C:
			}
		}
	}()
	return nil
}

// tell says something of accounts to the other nodes, if there are any. What is lost is said again with all that is known.
func (g *gossip) tell(what string, tokens ...string) {
	if g.conn == nil {
		return
	}
	for len(tokens) > 0 {
		n := min(len(tokens), tokensAtOnce)
		text, _ := json.Marshal(said{g.name, tokens[:n]}) // which can always be written
		_ = g.conn.Publish(spacesSubject+what, text)
		tokens = tokens[n:]
	}
	_ = g.conn.FlushTimeout(time.Second)
}

func (g *gossip) close() {
	if g.conn == nil {
		return
	}
	g.once.Do(func() {
		close(g.stop)
		g.conn.Close()
		<-g.done
	})
}

// heardOfSpace is the callback for what other nodes say.
func (s *Server) heardOfSpace(m *nats.Msg) {
	var told said
	if json.Unmarshal(m.Data, &told) != nil || told.Node == s.cfg.Name {
		return
	}
	var isNew, both []string
	for _, token := range told.Tokens {
		if !validToken(token) || token == "" {
			continue
		}
		space, first, err := s.openSpace(token)
		switch {
		case err != nil:
			s.cfg.Logger.Warn("a native user of another node is not known here", "error", err)
		case first:
			isNew = append(isNew, token)
		default:
			both = append(both, string(space.Account))
		}
	}
	s.spaces.gossip.tell(founded, isNew...)
	if strings.TrimPrefix(m.Subject, spacesSubject) == founded {
		s.sayAgain(both)
	}
}
