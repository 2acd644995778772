package admin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/admin"
)

// operations say their name, and fail as they are told.
type operations struct{ fails error }

func (o *operations) table() (all []admin.Operation) {
	for name, said := range spoken {
		all = append(all, admin.Operation{Name: name, Do: func(_ context.Context, _ admin.Call, w io.Writer) error {
			fmt.Fprintln(w, said)
			return o.fails
		}})
	}
	return append(all, admin.Operation{Name: "restore", Do: func(_ context.Context, c admin.Call, w io.Writer) error {
		b, err := io.ReadAll(c.Body)
		fmt.Fprintf(w, "%s %s %v\n", b, c.Arguments.Get("merge"), c.Rights.Operate("restore"))
		return err
	}})
}

var spoken = map[string]string{"drain": "draining", "undrain": "undraining", "status": "status", "selftest": "testing", "backup": "\x00\xff"}

// book is an Auditor.
type book struct {
	mu     sync.Mutex
	events []gateway.Event
}

func (b *book) Record(e *gateway.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, *e)
}

func (b *book) Commands() bool { return false }

func (b *book) last() gateway.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.events[len(b.events)-1]
}

func control(t *testing.T, dir string, ops *operations) *book {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	audit := &book{}
	c, err := admin.ListenControl(admin.ControlConfig{DataDir: dir, Operations: ops.table(), Auditor: audit, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- c.Serve() }()
	t.Cleanup(func() {
		require.NoError(t, c.Close())
		require.NoError(t, <-served)
	})
	return audit
}

func TestOperationsAreAskedForThroughTheDataDirectory(t *testing.T) {
	for name, dir := range map[string]string{"short": t.TempDir(), "long": filepath.Join(t.TempDir(), strings.Repeat("long", 40))} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.MkdirAll(dir, 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "control.sock"), nil, 0o600), "left by a process that was killed")
			ops := &operations{}
			audit := control(t, dir, ops)
			info, err := os.Stat(filepath.Join(dir, "control.sock"))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
			for operation, said := range spoken {
				var out bytes.Buffer
				require.NoError(t, admin.Ask(t.Context(), dir, operation, nil, nil, &out))
				require.Equal(t, said+"\n", out.String())
			}
			var restored bytes.Buffer
			require.NoError(t, admin.Ask(t.Context(), dir, "restore", url.Values{"merge": {"a&b"}}, strings.NewReader("a backup"), &restored))
			require.Equal(t, "a backup a&b <nil>\n", restored.String())
			require.Eventually(t, func() bool { return audit.last().Operation == `restore merge="a&b"` }, soon, time.Millisecond)
			require.Equal(t, gateway.Principal{Name: fmt.Sprintf("uid %d", os.Getuid()), Method: "socket"}, audit.last().Principal)
			ops.fails = errors.New("no node takes shards: 100 % \n of them")
			var out bytes.Buffer
			require.EqualError(t, admin.Ask(t.Context(), dir, "drain", nil, nil, &out), ops.fails.Error())
			require.Equal(t, "draining\n", out.String())
			require.EqualError(t, admin.Ask(t.Context(), dir, "fly", nil, nil, &out), "the node in "+dir+" does not know how to fly")
		})
	}
}

func TestWhereNoNodeRunsThatIsSaid(t *testing.T) {
	dir := t.TempDir()
	require.ErrorContains(t, admin.Ask(t.Context(), dir, "drain", nil, nil, io.Discard), "no node runs in "+dir)
	require.ErrorContains(t, admin.Ask(t.Context(), filepath.Join(dir, "none"), "drain", nil, nil, io.Discard), "there is no such directory; --data-dir or --config says where")
}

// A node that dies while it is asked is told from one that is not there.
func TestANodeThatGoesAwayIsTold(t *testing.T) {
	dir := t.TempDir()
	socket, err := net.Listen("unix", filepath.Join(dir, "control.sock"))
	require.NoError(t, err)
	defer socket.Close()
	go func() {
		for {
			c, err := socket.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	err = admin.Ask(t.Context(), dir, "restore", nil, strings.NewReader("a backup"), io.Discard)
	require.ErrorContains(t, err, "the node in "+dir+" did not answer: ")
	require.NotContains(t, err.Error(), "http://")
}
