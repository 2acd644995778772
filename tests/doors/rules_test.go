package doors

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/gateway/quota"
)

// people knows everybody but those that were dismissed.
type people struct {
	gatewaytest.Everyone
	mu        sync.Mutex
	dismissed map[string]bool
	denied    map[gateway.Destination]bool
}

func (p *people) Authenticate(_ context.Context, l gateway.Login) (gateway.Principal, error) {
	if l.Credentials.Token == "abc" {
		return gateway.Principal{Name: "robot", Method: "token"}, nil
	}
	if l.Credentials.Login == "" {
		return gateway.Principal{}, gateway.Errorf(gateway.Unauthenticated, "User name [null] or password is invalid.")
	}
	return gateway.Principal{Name: l.Credentials.Login}, nil
}

func (p *people) Renew(who gateway.Principal) (gateway.Principal, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dismissed[who.Name] {
		return who, gateway.Errorf(gateway.Unauthenticated, "User name [%s] or password is invalid.", who.Name)
	}
	return who, nil
}

func (p *people) may(_ gateway.Principal, a gateway.Action, d gateway.Destination) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a == gateway.Read && p.denied[d] {
		return gateway.Errorf(gateway.Denied, "User alice is not authorized to read from: queue://%s", d.Name)
	}
	return nil
}

func withPeople(p *people) func(*settings) {
	return func(s *settings) {
		s.core.Authenticator, s.core.Authorizer = p, gatewaytest.Rules(p.may)
	}
}

func (w *world) as(way, login string) *client {
	c := w.bare(way)
	c.send("CONNECT\naccept-version:1.2\nhost:/\n" + login + "\n\n\x00")
	return c
}

// When rules change, each client hears of what it may not do any more, and goes on with the rest; who is nobody any more is told to go.
func TestChangedRulesReachEveryClient(t *testing.T) {
	p := &people{dismissed: map[string]bool{}, denied: map[gateway.Destination]bool{}}
	w := newWorld(t, withPeople(p))
	var alices, bobs []*client
	for _, way := range ways {
		for _, login := range []string{"login:alice", "login:bob"} {
			c := w.as(way, login)
			c.expect("CONNECTED")
			c.send("SUBSCRIBE\nid:1\ndestination:/queue/secret\n\n\x00SUBSCRIBE\nid:2\ndestination:/queue/open\nreceipt:r\n\n\x00")
			c.expect("RECEIPT")
			if login == "login:alice" {
				alices = append(alices, c)
			} else {
				bobs = append(bobs, c)
			}
		}
	}
	p.mu.Lock()
	p.dismissed["bob"], p.denied[gateway.Destination{Kind: gateway.KindQueue, Name: "secret"}] = true, true
	p.mu.Unlock()
	w.broker.Reauthorize()
	for _, c := range bobs {
		require.Equal(t, "User name [bob] or password is invalid.", string(c.expect("ERROR").Body))
		c.expectEnd()
	}
	for _, c := range alices {
		f := c.expect("ERROR")
		require.Equal(t, "User alice is not authorized to read from: queue://secret", string(f.Body))
		id, _ := f.Header.Get("subscription")
		require.Equal(t, "1", id)
		c.send("SEND\ndestination:/queue/secret\nreceipt:r\n\nx\x00")
		c.expect("RECEIPT")
		c.send("UNSUBSCRIBE\nid:1\nreceipt:u\n\n\x00")
		c.expect("RECEIPT")
		c.send("SUBSCRIBE\nid:1\ndestination:/queue/secret\nreceipt:s\n\n\x00")
		require.Equal(t, "User alice is not authorized to read from: queue://secret", string(c.expect("ERROR").Body))
	}
}

func TestRefusedLoginsByEveryWay(t *testing.T) {
	p := &people{}
	w := newWorld(t, withPeople(p))
	for _, way := range ways {
		c := w.as(way, "passcode:x")
		f := c.expect("ERROR")
		require.Equal(t, "User name [null] or password is invalid.", string(f.Body))
		c.expectEnd()
		c = w.as(way, "Authorization:Bearer abc")
		c.expect("CONNECTED")
	}
}

// Who sends faster than it may waits, and loses nothing.
func TestRatesMakeClientsWait(t *testing.T) {
	p := &people{}
	w := newWorld(t, withPeople(p), func(s *settings) { s.core.Quotas = quota.Quotas{PerUser: quota.Quota{PublishMessages: 40}} })
	for _, way := range ways {
		c := w.as(way, "login:"+way)
		c.expect("CONNECTED")
		began := time.Now()
		c.send(strings.Repeat("SEND\ndestination:/queue/q\n\nx\x00", 99) + "SEND\ndestination:/queue/q\nreceipt:last\n\nx\x00")
		c.expect("RECEIPT")
		took := time.Since(began)
		require.Greater(t, took, 1200*time.Millisecond, "40 at once, 60 in one and a half seconds")
		require.Less(t, took, soon/2)
	}
}
