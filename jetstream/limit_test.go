package jetstream_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/jetstream"
)

// refusals keeps what records were told.
type refusals chan error

func (r refusals) Appended(_ uint64, err error) { r <- err }

// A record that the server would not take is refused before it stops those behind it.
func TestRecordsBeyondTheLimitStopNobody(t *testing.T) {
	t.Parallel()
	s, shut := openStore(t, t.TempDir(), true, 1)
	defer shut()
	large := gatewaytest.Message("q", "id", "")
	large.Body = make([]byte, jetstream.MaxRecord)
	told := make(refusals, 2)
	s.Journal(0).Append(&gateway.Record{Type: gateway.RecordMessage, Message: large}, told)
	s.Journal(0).Append(&gateway.Record{Type: gateway.RecordMessage, Message: gatewaytest.Message("q", "id", "body")}, told)
	require.Equal(t, gateway.Limit, gateway.KindOf(<-told))
	require.NoError(t, <-told)
	large.Body = large.Body[:jetstream.MaxRecord-1000]
	s.Journal(0).Append(&gateway.Record{Type: gateway.RecordMessage, Message: large}, told)
	require.NoError(t, <-told)
}
