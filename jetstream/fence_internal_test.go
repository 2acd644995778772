package jetstream

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/jetstream/embed"
	"github.com/sluice-mq/sluice/tests/ports"
)

// trio opens three stores that share one journal, without anybody who takes it over.
func trio(t *testing.T) []*Store {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	routes := ports.Of(t, 3).Addresses()
	stores, errs := make([]*Store, 3), make(chan error, 3)
	for i := range stores {
		name, dir := string(rune('a'+i)), t.TempDir()
		go func() {
			server, err := embed.Start(context.Background(), embed.Config{
				Name: name, Dir: dir, MaxPayload: MaxRecord, SyncAlways: true, Logger: quiet, Cluster: &embed.Cluster{Name: "t", Address: routes[i], Routes: routes},
			})
			if err == nil {
				t.Cleanup(server.Stop)
				stores[i], err = Open(context.Background(), Config{Dir: dir, Server: server, Node: name, Shards: 1, ServerSyncs: true, Logger: quiet, Cluster: &Cluster{Nodes: 3, Replicas: 3}})
			}
			errs <- err
		}()
	}
	for range stores {
		require.NoError(t, <-errs)
	}
	return stores
}

// leader waits until one of the stores leads the journal's stream.
func leader(t *testing.T, stores []*Store) (at int) {
	gatewaytest.Eventually(t, func() bool {
		for i, s := range stores {
			if s.cfg.Server.Leads("Q_00") {
				at = i
				return true
			}
		}
		return false
	}, "a leader")
	return at
}

// A record of the old owner was swallowed on its way to a leader that led no more, and the ones behind it reach the new one, which has begun. The
// epoch has taken the place that the first was to have, and the second would follow it: but it must neither be stored nor vouch for the first.
func TestRecordsOfAnOldOwnerDoNotFollowAnEpoch(t *testing.T) {
	t.Parallel()
	stores := trio(t)
	a := leader(t, stores)
	old, err := stores[a].tenancies[0].begin(t.Context())
	require.NoError(t, err)
	append1 := func(id string) *gatewaytest.Answer {
		var got gatewaytest.Answer
		old.Append(&gateway.Record{Type: gateway.RecordMessage, Message: gatewaytest.Message("q", id, "")}, &got)
		return &got
	}
	append1("0").Await(t, 1)
	lost := make(outcomeOf, 1)
	old.mu.Lock()
	old.flight.push(request{&gateway.Record{Type: gateway.RecordMessage, Message: gatewaytest.Message("q", "1", "")}, lost})
	old.sent++
	old.mu.Unlock()

	require.NoError(t, stores[a].cfg.Server.StepDown("Q_00"))
	gatewaytest.Eventually(t, func() bool { return !stores[a].cfg.Server.Leads("Q_00") }, "the old owner leads no more")
	b := leader(t, stores)
	var next *journal
	gatewaytest.Eventually(t, func() bool {
		next, err = stores[b].tenancies[0].begin(t.Context())
		return err == nil
	}, "a new owner")
	followers := make(outcomeOf, 100)
	for i := range 100 {
		old.Append(&gateway.Record{Type: gateway.RecordMessage, Message: gatewaytest.Message("q", string(rune('A'+i)), "")}, followers)
	}
	gatewaytest.Eventually(t, func() bool {
		select {
		case <-old.lost:
			return true
		default:
			return false
		}
	}, "the old owner knows that it is replaced")
	require.Empty(t, lost)
	stores[a].tenancies[0].finish(t.Context(), old)
	require.ErrorIs(t, <-lost, errMoved)
	for range 100 {
		require.ErrorIs(t, <-followers, errMoved)
	}
	info, err := next.info(t.Context())
	require.NoError(t, err)
	require.Equal(t, next.epoch, info.State.LastSeq, "something follows the epoch")
	stores[b].tenancies[0].finish(contextEnded(t), end(next))
}

// outcomeOf is told what became of records.
type outcomeOf chan error

// Appended implements gateway.Appended.
func (o outcomeOf) Appended(_ uint64, err error) { o <- err }

// end ends a tenure.
func end(j *journal) *journal {
	j.leave()
	return j
}

func contextEnded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	t.Cleanup(cancel)
	<-ctx.Done()
	return ctx
}
