package interop

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/node"
)

// python is Debian's, whose package python3-stomp is; another may stand before it in the path.
const python = "/usr/bin/python3"

// The scenes are in testdata/scenes.py; each becomes a subtest.
func TestStompPy(t *testing.T) {
	node.Needs(t, "python3-stomp", python, "-c", "import stomp")
	for version, scenes := range map[string]int{"1.0": 14, "1.1": 18, "1.2": 18} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			n := node.Start(t)
			host, port, err := net.SplitHostPort(n.Addr("stomp"))
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, python, "testdata/scenes.py", host, port, version)
			var complaints bytes.Buffer
			cmd.Stderr = &complaints
			out, err := cmd.Output()
			require.NoError(t, err, "%s\n%s", out, &complaints)
			played := 0
			for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
				verdict, rest, _ := strings.Cut(lines.Text(), " ")
				scene, why, _ := strings.Cut(rest, " ")
				played++
				t.Run(scene, func(t *testing.T) {
					require.Equal(t, "ok", verdict, strings.ReplaceAll(why, " | ", "\n"))
				})
			}
			require.Equal(t, scenes, played, "%s\n%s", out, &complaints)
		})
	}
}
