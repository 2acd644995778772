package app

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// said is how many lines of the log that was read have a message.
func (p *program) said(msg string) (n int) {
	for _, line := range p.seen {
		if line["msg"] == msg {
			n++
		}
	}
	return n
}

// The level of the log changes while the node runs; the node need not be started again for it.
func TestAReloadChangesTheLevelOfTheLog(t *testing.T) {
	const rest = "data_dir: data\ndrain_grace: 1ms\n"
	file := write(t, rest)
	p := launch(t, free("serve", "--config", file)...)
	p.await("ready")
	reload := func(level string) string {
		t.Helper()
		require.NoError(t, os.WriteFile(file, []byte(rest+"log: {level: "+level+"}\n"), 0o600))
		code, out, errs := operate(t, "reload", "data")
		require.Equal(t, 0, code, errs)
		return out
	}
	out := reload("warn")
	require.Contains(t, out, "what the log has from now on (level: warn)\n")
	require.NotContains(t, out, "started again")
	for _, name := range []string{"drain", "undrain"} {
		code, out, errs := operate(t, name, "data")
		require.Equal(t, 0, code, out+errs)
	}
	require.NotContains(t, reload("warn"), "from now on", "nothing has changed")
	require.Contains(t, reload("info"), "what the log has from now on (level: info)\n")
	p.await("what the log has from now on")
	require.Zero(t, p.said("drained"), "that is said at info")
	code, out, errs := operate(t, "drain", "data")
	require.Equal(t, 0, code, out+errs)
	p.await("drained")
}
