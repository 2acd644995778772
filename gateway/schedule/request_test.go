package schedule_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/schedule"
)

func header(lines ...string) (h gateway.Header) {
	for i := 0; i < len(lines); i += 2 {
		h = append(h, gateway.Field{Name: lines[i], Value: lines[i+1]})
	}
	return h
}

// What is asked for is read; half a range is open at its other end, and what is no time is refused.
func TestRequests(t *testing.T) {
	for _, x := range []struct {
		header gateway.Header
		want   schedule.Request
	}{
		{header(), schedule.Request{Range: schedule.Always()}},
		{header("AMQ_SCHEDULER_ACTION", "REMOVEIT"), schedule.Request{Range: schedule.Always()}},
		{header("AMQ_SCHEDULER_ACTION", "BROWSE"), schedule.Request{Action: schedule.Browse, Range: schedule.Always()}},
		{header("AMQ_SCHEDULER_ACTION", "REMOVE", "scheduledJobId", "j", "ACTION_END_TIME", "5"), schedule.Request{Action: schedule.Remove, ID: "j", Range: schedule.Always()}},
		{header("AMQ_SCHEDULER_ACTION", "REMOVEALL", "ACTION_START_TIME", " 5 "), schedule.Request{Action: schedule.RemoveAll, Range: schedule.Range{From: 5, To: math.MaxInt64}}},
	} {
		got, err := schedule.ReadRequest(x.header)
		require.NoError(t, err)
		require.Equal(t, x.want, got)
	}
	for _, h := range []gateway.Header{header("AMQ_SCHEDULER_ACTION", "REMOVE"), header("AMQ_SCHEDULER_ACTION", "REMOVEALL", "ACTION_END_TIME", "soon")} {
		_, err := schedule.ReadRequest(h)
		require.Equal(t, gateway.Invalid, gateway.KindOf(err))
	}
	r := schedule.Range{From: 5, To: 6}
	require.Equal(t, []bool{false, true, true, false}, []bool{r.Holds(4), r.Holds(5), r.Holds(6), r.Holds(7)})
}

// What waits says who sent it, whatever its sender says; what is shown or sent of it says nothing of that.
func TestWhatWaitsAndWhatIsSeenOfIt(t *testing.T) {
	m := &gateway.Message{ID: "m", Destination: gateway.Destination{Kind: gateway.KindQueue, Name: "q"}, Persistent: true, Header: header(
		"AMQ_SCHEDULED_DELAY", "5", "a", "b", "type", "own", "sluice-scheduled-by", "eve", "sluice-scheduled-due", "1", "sluice-scheduled-life", "1", "scheduledJobId", "x")}
	all, err := schedule.Waiting(m, "alice", 100)
	require.NoError(t, err)
	require.Len(t, all, 1)
	j, err := schedule.Read(all[0].Header)
	require.NoError(t, err)
	require.Equal(t, schedule.Job{Delay: 5, Due: 105, By: "alice"}, j)
	require.EqualValues(t, 105, schedule.Due(all[0]))
	shown := schedule.Shown(all[0], "s", gateway.Destination{Kind: gateway.KindTempQueue, Name: "t"}, "/queue/q")
	require.Equal(t, header("AMQ_SCHEDULED_DELAY", "5", "a", "b", "type", "Advisory", "scheduledJobId", "m", "original-destination", "/queue/q"), shown.Header)
	require.False(t, shown.Persistent)
	require.Equal(t, header("a", "b", "type", "own", "scheduledJobId", "m"), j.Sent(all[0], 0, 105).Header)
	nobody, err := schedule.Waiting(m, "", 100)
	require.NoError(t, err)
	j, err = schedule.Read(nobody[0].Header)
	require.NoError(t, err)
	require.Empty(t, j.By)
}

func TestJobsInWords(t *testing.T) {
	for want, h := range map[string]gateway.Header{
		"once": header("AMQ_SCHEDULED_DELAY", "5"), "3 times, every 10s": header("AMQ_SCHEDULED_PERIOD", "10000", "AMQ_SCHEDULED_REPEAT", "2"),
		"every 1m0s": header("AMQ_SCHEDULED_PERIOD", "60000", "AMQ_SCHEDULED_REPEAT", "-1"), "at 0 1 * * *": header("AMQ_SCHEDULED_CRON", " 0  1 * * * "),
	} {
		j, err := schedule.Read(h)
		require.NoError(t, err)
		require.Equal(t, want, j.String())
	}
}
