package bench

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quick = Options{Patience: 2 * time.Second, Settle: 20 * time.Millisecond}

// relay runs a relay that the test ends with.
func relay(t *testing.T) Target {
	t.Helper()
	r, err := NewRelay("127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- r.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-served)
	})
	return Target{Name: "relay", Address: r.Address(), Dialect: RelayDialect()}
}

// Every scenario with a name runs clean against the relay, made small, but for what a relay does not do.
func TestScenariosRunAgainstTheRelay(t *testing.T) {
	for _, s := range Scenarios() {
		if !RelayDialect().Can(s) {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			s.Messages = max(2000, s.flows()*2)
			if s.Rate > 0 {
				s.Messages = 200
			}
			if s.Destinations > 100 {
				s.Destinations, s.Producers = 50, min(s.Producers, 50)
			}
			res, err := Run(context.Background(), relay(t), s, quick)
			require.NoError(t, err)
			require.True(t, res.Verdict.Clean(), "%+v", res.Verdict)
			require.Equal(t, s.Deliveries(), res.Verdict.Received)
			require.Equal(t, int64(s.Deliveries()), res.Latency.Count)
			if s.Window > 0 {
				require.Equal(t, int64(s.Messages), res.Receipt.Count)
			}
			require.Positive(t, res.Deliver)
		})
	}
}

// What a broker drops is counted as lost once nothing has come for a while.
func TestLossIsSeenAndEndsWithPatience(t *testing.T) {
	s := Scenarios()[0]
	s.Messages, s.Backlog = 10, true // a relay keeps no backlog: all is lost
	start := time.Now()
	res, err := Run(context.Background(), relay(t), s, Options{Patience: time.Second})
	require.NoError(t, err)
	require.Equal(t, 10, res.Verdict.Lost)
	require.False(t, res.Verdict.Clean())
	require.Less(t, time.Since(start), 20*time.Second)
}

func TestBrokerThatIsNotThereIsAnError(t *testing.T) {
	_, err := Run(context.Background(), Target{Address: "127.0.0.1:1", Dialect: RelayDialect()}, Scenarios()[0], quick)
	require.Error(t, err)
}

func TestConnectionsAreCounted(t *testing.T) {
	c, err := Connect(context.Background(), relay(t), 50, 4, 0)
	require.NoError(t, err)
	require.Equal(t, 50, c.Count)
	require.Positive(t, c.PerSecond)
}

func TestAStormIsTimedFromWhenEachConnectWasDue(t *testing.T) {
	s := Reconnect(context.Background(), relay(t), 100, 1000, 0)
	require.Equal(t, 0, s.Failed, s.First)
	require.GreaterOrEqual(t, s.P99, s.P50)
	require.Positive(t, s.P50)
	away := Reconnect(context.Background(), Target{Address: "127.0.0.1:1"}, 3, 1000, 0)
	require.Equal(t, 3, away.Failed)
	require.Contains(t, away.First, "refused")
}

func TestAnAddressSaysHowToConnect(t *testing.T) {
	_, err := Target{}.open(context.Background(), "carrier-pigeon://x")
	require.EqualError(t, err, `"carrier-pigeon://x" is not host:port, tls://, ws:// or wss://`)
	_, err = Target{}.open(context.Background(), "tls://127.0.0.1:1")
	require.ErrorContains(t, err, "refused")
}
