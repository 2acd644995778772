package app

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Operators list and remove what waits for its time.
func TestOperatorsListAndRemoveWhatIsScheduled(t *testing.T) {
	t.Chdir(t.TempDir())
	p := launch(t, free("serve", "--dev")...)
	p.await("ready")
	for _, header := range []string{
		"destination:/queue/a.b\nAMQ_SCHEDULED_DELAY:3600000", "destination:/queue/a\nAMQ_SCHEDULED_DELAY:60000\nAMQ_SCHEDULED_PERIOD:10000\nAMQ_SCHEDULED_REPEAT:4",
		"destination:/topic/t\nAMQ_SCHEDULED_CRON:0  0 1 1 *",
	} {
		p.ask("receipt-id:r", "SEND\npersistent:true\nreceipt:r\n"+header+"\n\nkept\x00")
	}
	code, told, errs := operate(t, "status", "data")
	require.Equal(t, 0, code, errs)
	require.Contains(t, told, "; 3 more are scheduled, ")
	require.NotContains(t, told, "later;", "what is scheduled is told once")
	ask := func(args ...string) string {
		code, out, errs := command(nil, append(append([]string{"schedule"}, args...), "--data-dir", "data")...)
		require.Equal(t, 0, code, errs)
		return out
	}
	lines := strings.Split(strings.TrimSpace(ask("list")), "\n")
	require.Len(t, lines, 4)
	for i, want := range []string{`^JOB +DESTINATION +NEXT +COMES +USER +BYTES$`, `^ID:\S+ +/queue/a\.b +20\S+Z +once +\S+ +4$`, `/queue/a +20\S+Z +5 times, every 10s `, `/topic/t +20\d\d-01-01T00:00:00Z +at 0 0 1 1 \* `} {
		require.Regexp(t, want, lines[i])
	}
	require.Equal(t, 2, strings.Count(ask("list", "--within", "10m"), "\n"))
	require.Equal(t, 3, strings.Count(ask("list", "--destination", "/queue/a.>"), "\n"))
	require.Equal(t, "1 messages removed\n", ask("remove", strings.Fields(lines[1])[0], "ID:nobody"))
	require.Equal(t, "1 messages removed\n", ask("remove", "--destination", "/queue/>", "--within", "10m"))
	require.Equal(t, "0 messages removed\n", ask("remove", "--destination", "/queue/>"))
	require.Equal(t, "1 messages removed\n", ask("remove", "--destination", "/topic/t"))
	require.Equal(t, 1, strings.Count(ask("list"), "\n"))
	for _, args := range [][]string{{"remove"}, {"list", "--destination", "a"}, {"list", "--within", "-1m"}} {
		code, _, errs := command(nil, append(append([]string{"schedule"}, args...), "--data-dir", "data")...)
		require.Equal(t, 1, code)
		require.NotEmpty(t, errs)
	}
}
