package gatewaytest_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

func bodiesOn(t *testing.T, j gateway.Journal) (bodies []string) {
	t.Helper()
	require.NoError(t, j.Replay(context.Background(), func(_ uint64, _ int, r *gateway.Record) error {
		bodies = append(bodies, string(r.Message.Body))
		return nil
	}))
	return bodies
}

// What a killed process had not stored does not come to the disk behind its back, between the records of the next one.
func TestNothingReachesTheDiskAfterACrash(t *testing.T) {
	disk := gatewaytest.NewDisk(1)
	old := gatewaytest.NewMemory(disk)
	var stored, forgotten gatewaytest.Answer
	record := func(body string) *gateway.Record {
		return &gateway.Record{Type: gateway.RecordMessage, Message: gatewaytest.Message("q", body, body)}
	}
	old.Journal(0).Append(record("stored"), &stored)
	stored.Await(t, 1)
	goOn := old.Stop()
	old.Journal(0).Append(record("on its way"), &forgotten)
	old.Crash()

	next := gatewaytest.NewMemory(disk)
	require.Equal(t, []string{"stored"}, bodiesOn(t, next.Journal(0)))
	goOn()
	old.Journal(0).Append(record("after it"), &forgotten)
	old.Journal(0).Trim(2)
	old.Close() // returns when it has done what it had to do
	require.Equal(t, []string{"stored"}, bodiesOn(t, next.Journal(0)))
	next.Journal(0).Append(record("of the next"), &stored)
	require.Equal(t, []uint64{1, 2}, stored.Await(t, 2))
	next.Close()
	require.Equal(t, []string{"stored", "of the next"}, bodiesOn(t, next.Journal(0)))
}
