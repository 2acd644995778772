package native_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

const patience = gatewaytest.Wait

func ctx(t testing.TB) context.Context {
	c, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return c
}

func queue(name string) gateway.Destination {
	return gateway.Destination{Kind: gateway.KindQueue, Name: name}
}

func topic(name string) gateway.Destination {
	return gateway.Destination{Kind: gateway.KindTopic, Name: name}
}

// listen subscribes natively and is known to the server when it returns.
func listen(t testing.TB, nc *natsgo.Conn, subject string) *natsgo.Subscription {
	sub, err := nc.SubscribeSync(subject)
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	return sub
}

func hear(t testing.TB, sub *natsgo.Subscription) *natsgo.Msg {
	t.Helper()
	m, err := sub.NextMsg(patience)
	require.NoError(t, err)
	return m
}

// empty checks that nothing more comes.
func empty(t *testing.T, subs ...*natsgo.Subscription) {
	t.Helper()
	for _, s := range subs {
		m, err := s.NextMsg(30 * time.Millisecond)
		if err == nil {
			require.FailNow(t, "too much is heard", "%s hears %s: %s", s.Subject, m.Subject, m.Data)
		}
	}
}

func fetch(t testing.TB, c jetstream.Consumer, n int) []jetstream.Msg {
	t.Helper()
	b, err := c.Fetch(n, jetstream.FetchMaxWait(patience))
	require.NoError(t, err)
	var all []jetstream.Msg
	for m := range b.Messages() {
		all = append(all, m)
	}
	require.NoError(t, b.Error())
	require.Len(t, all, n)
	return all
}

func makeStream(t testing.TB, js jetstream.JetStream, cfg jetstream.StreamConfig) {
	t.Helper()
	_, err := js.CreateStream(ctx(t), cfg)
	require.NoError(t, err)
}

func publish(t testing.TB, js jetstream.JetStream, stream, subject string, n int) {
	t.Helper()
	for i := range n {
		ack, err := js.Publish(ctx(t), subject, []byte(strconv.Itoa(i)))
		require.NoError(t, err)
		require.Equal(t, stream, ack.Stream)
	}
}

// reader stands for a STOMP client that subscribes.
type reader struct {
	t    testing.TB
	sub  gateway.Subscription
	wake chan struct{}
}

func subscribe(t testing.TB, s gateway.Session, d gateway.Destination) *reader {
	r := &reader{t: t, wake: make(chan struct{}, 1)}
	var err error
	r.sub, err = s.Subscribe(gateway.SubscribeOptions{Destination: d, Prefetch: 1000, AutoAck: true, Wake: func() {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}})
	require.NoError(t, err)
	return r
}

// next waits for a message.
func (r *reader) next() *gateway.Message {
	r.t.Helper()
	deadline := time.After(patience)
	batch := make([]gateway.Delivery, 1)
	for {
		if n := r.sub.Next(batch, 1<<20); n > 0 {
			r.sub.Written(n)
			return batch[0].Message
		}
		select {
		case <-r.wake:
		case <-deadline:
			require.FailNow(r.t, "a message is missing")
		}
	}
}

// send sends as a STOMP client does and waits for the outcome.
func send(s gateway.Session, d gateway.Destination, body string) error {
	done := make(outcome, 1)
	s.Send(&gateway.Message{Destination: d, Body: []byte(body), Priority: gateway.DefaultPriority}, done, 0)
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		return fmt.Errorf("no outcome")
	}
}

type outcome chan error

func (o outcome) Complete(_ uint64, err error) { o <- err }

// answerTo is where a STOMP client answers a message.
func answerTo(t testing.TB, m *gateway.Message) gateway.Destination {
	v, ok := m.Header.Get("reply-to")
	require.True(t, ok)
	name, ok := strings.CutPrefix(v, "/topic/")
	require.True(t, ok, v)
	return topic(name)
}
