package app

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Operators move, remove and retry what waits; what makes no sense is refused in words.
func TestOperatorsMoveRemoveAndRetry(t *testing.T) {
	t.Chdir(t.TempDir())
	p := launch(t, free("serve", "--dev")...)
	p.await("ready")
	for _, n := range []string{"1", "2"} {
		p.ask("receipt-id:r", "SEND\ndestination:/queue/a\npersistent:true\nn:"+n+"\nreceipt:r\n\nkept\x00")
	}
	p.ask("receipt-id:r", "SEND\ndestination:/queue/ActiveMQ.DLQ\npersistent:true\noriginal-destination:/queue/c\nreceipt:r\n\ndead\x00")
	for _, c := range []struct {
		args []string
		out  string
	}{
		{[]string{"queue", "move", "/queue/a", "/queue/b", "--selector", "n = '2'"}, "1 messages moved\n"},
		{[]string{"queue", "purge", "/queue/b"}, "1 messages removed\n"},
		{[]string{"queue", "purge", "/queue/b"}, "0 messages removed\n"},
		{[]string{"dlq", "retry", "/queue/ActiveMQ.DLQ", "--maximum", "5"}, "1 messages back where they were sent\n"},
		{[]string{"dlq", "retry", "/queue/a"}, "0 messages back where they were sent, 1 could not be and stay\n"},
	} {
		code, out, errs := command(nil, append(c.args, "--data-dir", "data")...)
		require.Equal(t, 0, code, errs)
		require.Equal(t, c.out, out)
	}
	p.ask("dead", "SUBSCRIBE\nid:1\ndestination:/queue/c\nack:auto\n\n\x00")
	for _, args := range [][]string{
		{"queue", "purge", "a"}, {"queue", "purge", "/topic/a"}, {"queue", "purge", "/queue/a", "--selector", "n >"}, {"queue", "move", "/queue/a", "/topic/a"},
		{"dlq", "retry", "/queue/>"}, {"dlq", "retry", "/queue/a", "--maximum", "-1"},
	} {
		code, _, errs := command(nil, append(args, "--data-dir", "data")...)
		require.Equal(t, 1, code)
		require.NotEmpty(t, errs)
	}
}

// Operators look at what waits, and it stays as it is.
func TestOperatorsLookIntoQueues(t *testing.T) {
	t.Chdir(t.TempDir())
	p := launch(t, free("serve", "--dev")...)
	p.await("ready")
	p.ask("receipt-id:r", "SEND\ndestination:/queue/a\npersistent:true\nn:1\npriority:7\nexpires:4102444800000\ntimestamp:1000\nreceipt:r\n\na\tb\x00")
	p.ask("receipt-id:r", "SEND\ndestination:/queue/a\nn:2\ntimestamp:2000\ncontent-length:2\nreceipt:r\n\n\xff\xfe\x00")
	browse := func(args ...string) []string {
		t.Helper()
		code, out, errs := command(nil, append([]string{"queue", "browse", "/queue/a", "--data-dir", "data"}, args...)...)
		require.Equal(t, 0, code, errs)
		return strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	}
	for range 2 {
		rows := browse("--body")
		require.Len(t, rows, 3)
		require.Regexp(t, `^MESSAGE-ID +SENT +EXPIRES +PRIORITY +PERSISTENT +REDELIVERIES +SIZE +BODY$`, rows[0])
		require.Regexp(t, `^ID:\S+ +1970-01-01T00:00:01Z +2100-01-01T00:00:00Z +7 +true +0 +3 +`+regexp.QuoteMeta(`"a\tb"`)+`$`, rows[1])
		require.Regexp(t, `^ID:\S+ +1970-01-01T00:00:02Z +- +4 +false +0 +2 +`+regexp.QuoteMeta(`"\xff\xfe"`)+`$`, rows[2])
	}
	require.NotContains(t, browse()[1], "a\\tb", "bodies are shown to who asks for them")
	require.Equal(t, "and more: --count says how many are shown", browse("--count", "1")[2])
	require.Len(t, browse("--count", "2"), 3)
	require.Len(t, browse("--count", "0", "--selector", "n = '2'"), 2)

	var all [2]browsed
	for i, line := range browse("--json", "--body") {
		require.NoError(t, json.Unmarshal([]byte(line), &all[i]))
	}
	require.Equal(t, [][2]string{{"n", "1"}}, all[0].Header)
	require.Equal(t, "a\tb", all[0].Body)
	require.Equal(t, "queue://a", all[0].Destination)
	require.Equal(t, []byte("\xff\xfe"), all[1].Base64)
	require.Nil(t, all[1].Expires)
	one := browse("--json", "--message-id", all[1].Message)
	require.Len(t, one, 1)
	require.NotContains(t, one[0], "base64")
	for _, args := range [][]string{
		{"browse", "a"}, {"browse", "/topic/a"}, {"browse", "/queue/>"}, {"browse", "/queue/a", "--selector", "n >"}, {"browse", "/queue/a", "--count", "-1"},
	} {
		code, _, errs := command(nil, append(append([]string{"queue"}, args...), "--data-dir", "data")...)
		require.Equal(t, 1, code)
		require.NotEmpty(t, errs)
	}
}

// Operators see what each queue holds, of which node it is, and of a pattern what it matches.
func TestOperatorsListQueues(t *testing.T) {
	t.Chdir(t.TempDir())
	p := launch(t, free("serve", "--dev")...)
	p.await("ready")
	for _, q := range []string{"a", "a", "b.c"} {
		p.ask("receipt-id:r", "SEND\ndestination:/queue/"+q+"\npersistent:true\nreceipt:r\n\nkept\x00")
	}
	p.ask("receipt-id:r", "SUBSCRIBE\nid:1\ndestination:/topic/t\nreceipt:r\n\n\x00")
	code, out, errs := command(nil, "queue", "list", "--data-dir", "data")
	require.Equal(t, 0, code, errs)
	require.Equal(t, "QUEUE       MESSAGES  IN FLIGHT  CONSUMERS  IN  OUT  EXPIRED  OWNER\n"+
		"/queue/a    2         0          0          2   0    0        n1\n"+
		"/queue/b.c  1         0          0          1   0    0        n1\n", out)
	code, out, errs = command(nil, "queue", "list", "/queue/b.>", "--json", "--data-dir", "data")
	require.Equal(t, 0, code, errs)
	var one struct {
		Name string `json:"destinationName"`
		Size int    `json:"size"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &one))
	require.Equal(t, "queue://b.c", one.Name)
	require.Equal(t, 1, one.Size)
	for _, wrong := range []string{"a", "/topic/>"} {
		code, _, errs = command(nil, "queue", "list", wrong, "--data-dir", "data")
		require.Equal(t, 1, code)
		require.NotEmpty(t, errs)
	}
}
