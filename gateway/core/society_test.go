package core_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
)

// society is an Authenticator and an Authorizer whose mind can be changed. Rules are "alice read queue://a", with "*" for anybody, anything
// or, at the end of a destination, any rest.
type society struct {
	mu      sync.Mutex
	rules   []string
	nobody  []string
	groups  map[string][]string
	expires time.Time
	asked   func() // before it is said what somebody may
	looked  func() // after rights were looked at
}

// allow replaces the rules.
func (s *society) allow(rules ...string) {
	s.mu.Lock()
	s.rules = rules
	s.mu.Unlock()
}

func (s *society) Authenticate(_ context.Context, l gateway.Login) (gateway.Principal, error) {
	return s.Renew(gateway.Principal{Name: l.Credentials.Login})
}

func (s *society) Renew(p gateway.Principal) (gateway.Principal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.nobody, p.Name) {
		return gateway.Principal{}, gateway.Errorf(gateway.Unauthenticated, "User name [%s] or password is invalid.", p.Name)
	}
	p.Groups, p.Expires = s.groups[p.Name], s.expires
	return p, nil
}

func (s *society) Rights(p gateway.Principal) gateway.Rights {
	s.mu.Lock()
	rules, asked, looked := s.rules, s.asked, s.looked
	s.mu.Unlock()
	if asked != nil {
		asked()
	}
	return powers{rules, p, looked}
}

// powers are what rules say of somebody.
type powers struct {
	rules  []string
	who    gateway.Principal
	looked func()
}

func (p powers) May(a gateway.Action, d gateway.Destination) error {
	if p.looked != nil {
		defer p.looked()
	}
	for _, r := range p.rules {
		f := strings.Fields(r)
		if f[0] != "*" && f[0] != p.who.Name && !slices.Contains(p.who.Groups, f[0]) || f[1] != "*" && f[1] != a.String() {
			continue
		}
		stem, open := strings.CutSuffix(f[2], "*")
		if f[2] == d.String() || open && strings.HasPrefix(d.String(), stem) || d.IsPattern() && strings.HasPrefix(f[2], strings.TrimSuffix(d.String(), ">")) {
			return nil
		}
	}
	verb := map[gateway.Action]string{gateway.Read: "read from", gateway.Write: "write to", gateway.Create: "create"}[a]
	return gateway.Errorf(gateway.Denied, "User %s is not authorized to %s: %s", p.who.Name, verb, d)
}

func (p powers) All(a gateway.Action, d gateway.Destination) bool {
	return slices.Contains(p.rules, "* * *") || slices.Contains(p.rules, p.who.Name+" "+a.String()+" *")
}

func (powers) Operate(string) error { return nil }

// newSociety is a broker with rules.
func newSociety(t *testing.T, rules ...string) (*world, *society) {
	s := &society{rules: rules, groups: make(map[string][]string)}
	return newWorld(t, func(c *core.Config) { c.Authenticator, c.Authorizer = s, s }), s
}

// login opens a session of somebody. What ended it, if it does, goes to the channel.
func (w *world) login(user, remote string) (gateway.Session, chan *gateway.Error) {
	w.Helper()
	ended := make(chan *gateway.Error, 10)
	s, err := w.broker.Open(context.Background(), gateway.Login{
		Remote: remote, Credentials: gateway.Credentials{Login: user, Passcode: "geheim"}, Protocol: "stomp/1.2",
		Ended: func(e *gateway.Error) { ended <- e },
	})
	require.NoError(w, err)
	return s, ended
}

// try sends a message and returns what became of it.
func (w *world) try(s gateway.Session, d gateway.Destination, persistent bool) error {
	w.Helper()
	var o outcome
	s.Send(message(d, "body", persistent), &o, 1)
	return o.wait(w, 1)[1]
}

// tryCommit commits a transaction with a message to each of the destinations.
func (w *world) tryCommit(s gateway.Session, to ...gateway.Destination) error {
	w.Helper()
	tx := &gateway.Transaction{}
	for _, d := range to {
		tx.Sends = append(tx.Sends, message(d, "body", true))
	}
	var o outcome
	s.Commit(tx, &o, 1)
	return o.wait(w, 1)[1]
}

// trySubscribe subscribes; what ends the subscription goes to the channel.
func trySubscribe(s gateway.Session, d gateway.Destination) (gateway.Subscription, chan *gateway.Error, error) {
	ended := make(chan *gateway.Error, 10)
	sub, err := s.Subscribe(gateway.SubscribeOptions{Destination: d, Prefetch: 100, Wake: func() {}, Ended: func(e *gateway.Error) { ended <- e }})
	return sub, ended, err
}

// take takes what is there.
func take(sub gateway.Subscription) (got []gateway.Delivery) {
	buf := make([]gateway.Delivery, 64)
	for {
		n := sub.Next(buf, 1<<20)
		if n == 0 {
			return got
		}
		got = append(got, buf[:n]...)
	}
}
