package app

import (
	"bytes"
	"encoding/json"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/protocols/stomp/bench"
)

// The command measures this very node, and finds every message.
func TestBenchVerifiesANode(t *testing.T) {
	t.Chdir(t.TempDir())
	p := launch(t, free("serve", "--dev")...)
	p.await("ready")
	var out, errs bytes.Buffer
	code := Main([]string{"bench", "persistent", "--address", p.addr["stomp"], "--messages", "500", "--ack", "client", "--output", "json"},
		Process{Stdout: &out, Stderr: &errs})
	require.Zero(t, code, errs.String())
	var r bench.Report
	require.NoError(t, json.Unmarshal(out.Bytes(), &r))
	require.Len(t, r.Results, 1)
	require.Equal(t, 500, r.Results[0].Verdict.Received)
	require.True(t, r.Clean())
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Zero(t, p.exit())
}

func TestBenchRefusesWhatItDoesNotKnow(t *testing.T) {
	for want, args := range map[string][]string{
		`no scenario is called "fast"`:         {"fast"},
		`"stompy" is not activemq or rabbitmq`: {"persistent", "--dialect", "stompy"},
		`"xml" is not table, json or markdown`: {"persistent", "--output", "xml"},
		"persistent: size is 3":                {"persistent", "--size", "3"},
	} {
		var out, errs bytes.Buffer
		require.Equal(t, 1, Main(append([]string{"bench"}, args...), Process{Stdout: &out, Stderr: &errs}))
		require.Contains(t, errs.String(), want)
	}
}
