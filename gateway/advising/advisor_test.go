package advising_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/advising"
	"github.com/sluice-mq/sluice/gateway/advisory"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// listeners hear some topics, and know other nodes.
type listeners struct {
	elsewhere advising.Elsewhere
	deaf      string

	mu    sync.Mutex
	heard []*gateway.Message
	asked []advising.Roll
}

func (l *listeners) Heard(topic string) bool { return topic != l.deaf }

func (l *listeners) Publish(m *gateway.Message) {
	l.mu.Lock()
	l.heard = append(l.heard, m)
	l.mu.Unlock()
}

func (l *listeners) Elsewhere(_ context.Context, ask *advising.Roll) advising.Elsewhere {
	l.mu.Lock()
	l.asked = append(l.asked, *ask)
	l.mu.Unlock()
	return l.elsewhere
}

func queue(name string) gateway.Destination {
	return gateway.Destination{Kind: gateway.KindQueue, Name: name}
}

// run runs the advisor until the test ends, and hears n advisories.
func (l *listeners) run(t *testing.T, a *advising.Advisor, n int) []*gateway.Message {
	ctx, cancel := context.WithCancel(t.Context())
	var over sync.WaitGroup
	over.Go(func() { a.Run(ctx) })
	defer over.Wait()
	defer cancel()
	gatewaytest.Eventually(t, func() bool { l.mu.Lock(); defer l.mu.Unlock(); return len(l.heard) >= n }, "%d advisories", n)
	return l.heard
}

// What happens is told in its order, with the consumers of all nodes; what nobody hears is not made, and what another node has told not told again.
func TestWhatHappensIsToldInItsOrder(t *testing.T) {
	l := &listeners{deaf: "nobody", elsewhere: advising.Elsewhere{
		Consumers: map[gateway.Destination]int{queue("q"): 2}, Known: map[gateway.Destination]bool{queue("old"): true},
	}}
	a := advising.New(l, advisory.Broker{Name: "n"}, "ID:n-1:")
	var over []string
	say := func(topic, body string) advising.Advice {
		return advising.Advice{
			Topic: topic, Of: queue(body), Over: func() { over = append(over, body) },
			Make: func(n int) *gateway.Message { return &gateway.Message{Body: fmt.Append(nil, body, n)} },
		}
	}
	one, news, deaf := say("t", "q"), say("t", "old"), say("nobody", "deaf")
	one.Counts, one.Consumers, news.News = true, 1, true
	for _, x := range []advising.Advice{one, news, deaf, {Instead: func() { over = append(over, "instead") }}, say("t", "last")} {
		a.Tell(x)
	}
	heard := l.run(t, a, 2)
	require.Equal(t, "q3", string(heard[0].Body))
	require.Equal(t, "last0", string(heard[1].Body))
	require.NotEqual(t, heard[0].ID, heard[1].ID)
	require.Equal(t, []string{"q", "old", "deaf", "instead", "last"}, over)
	require.Equal(t, []gateway.Destination{queue("q")}, l.asked[0].Consumers)
	require.Equal(t, []gateway.Destination{queue("old")}, l.asked[0].Topics)
	told, lost := a.Counts()
	require.EqualValues(t, 2, told)
	require.Zero(t, lost)
}

// Nobody waits for an advisory: what finds no room is over at once, and counted.
func TestWhatFindsNoRoomIsLost(t *testing.T) {
	a := advising.New(&listeners{}, advisory.Broker{}, "ID:n-1:")
	over := 0
	big := advising.Advice{Size: 9 << 20, Make: func(int) *gateway.Message { return &gateway.Message{} }, Over: func() { over++ }}
	a.Tell(big)
	require.Zero(t, over)
	a.Tell(big)
	require.Equal(t, 1, over)
	_, lost := a.Counts()
	require.EqualValues(t, 1, lost)
	small := big
	small.Size = 0
	for range 10_000 {
		a.Tell(small)
	}
	_, after := a.Counts()
	require.EqualValues(t, 1+10_000-8191, after)
}

// What nobody listens to costs a look.
func TestKindsAreHeededWhileSomebodyListens(t *testing.T) {
	a := advising.New(&listeners{}, advisory.Broker{}, "ID:n-1:")
	require.False(t, a.Heeds(advisory.Consumer))
	name := advisory.Topic(advisory.Consumer, queue("q"))
	a.Listen(name, 1)
	a.Listen(name, 1)
	a.Listen("ordinary", 1)
	require.True(t, a.Heeds(advisory.Connection, advisory.Consumer))
	require.False(t, a.Heeds(advisory.Connection))
	a.Listen(name, -1)
	require.True(t, a.Heeds(advisory.Consumer))
	a.Listen(name, -1)
	require.False(t, a.Heeds(advisory.Consumer))
	all := gateway.Destination{Kind: gateway.KindQueue, Name: ">"}
	a.Join([]gateway.Destination{queue("q"), all}, 1)
	require.Equal(t, 2, a.Count(queue("q")))
	require.Equal(t, 1, a.Count(queue("r")))
	a.Join([]gateway.Destination{queue("q"), all}, -1)
	require.Zero(t, a.Count(queue("q")))
}
