package doors

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheWebSocketOfNode drives the door with a client that somebody else wrote, as browsers have it.
func TestTheWebSocketOfNode(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node")
	}
	if exec.Command(node, "--experimental-websocket", "-e", "new WebSocket('ws://127.0.0.1:1').onerror = () => {}").Run() != nil {
		t.Skip("this node has no WebSocket")
	}
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	out, err := exec.CommandContext(ctx, node, "--experimental-websocket", "testdata/browser.mjs", "ws://"+w.doors["ws"].Addr().String()+"/stomp").CombinedOutput()
	require.NoError(t, err, "%s", out)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	require.Contains(t, lines, "protocol v12.stomp")
	require.Contains(t, lines, "kinds text text binary")
	require.Contains(t, lines, "closed 1000")
}
