package admin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-mq/sluice/protocols/admin"
)

// operations say their name, and fail as they are told.
type operations struct{ fails error }

func (o *operations) say(w io.Writer, text string) error {
	fmt.Fprintln(w, text)
	return o.fails
}
func (o *operations) Drain(_ context.Context, w io.Writer) error    { return o.say(w, "draining") }
func (o *operations) Undrain(_ context.Context, w io.Writer) error  { return o.say(w, "undraining") }
func (o *operations) Status(_ context.Context, w io.Writer) error   { return o.say(w, "status") }
func (o *operations) SelfTest(_ context.Context, w io.Writer) error { return o.say(w, "testing") }

func (o *operations) Backup(_ context.Context, w io.Writer) error {
	return o.say(w, "\x00\xff")
}

func (o *operations) Restore(_ context.Context, r io.Reader, merge bool, w io.Writer) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return o.say(w, fmt.Sprintf("%s %v", b, merge))
}

func control(t *testing.T, dir string, ops admin.Operations) {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	c, err := admin.ListenControl(dir, ops, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- c.Serve() }()
	t.Cleanup(func() {
		require.NoError(t, c.Close())
		require.NoError(t, <-served)
	})
}

func TestOperationsAreAskedForThroughTheDataDirectory(t *testing.T) {
	for name, dir := range map[string]string{"short": t.TempDir(), "long": filepath.Join(t.TempDir(), strings.Repeat("long", 40))} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.MkdirAll(dir, 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "control.sock"), nil, 0o600), "left by a process that was killed")
			ops := &operations{}
			control(t, dir, ops)
			info, err := os.Stat(filepath.Join(dir, "control.sock"))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
			for operation, said := range map[string]string{"drain": "draining\n", "undrain": "undraining\n", "status": "status\n", "selftest": "testing\n", "backup": "\x00\xff\n"} {
				var out bytes.Buffer
				require.NoError(t, admin.Ask(t.Context(), dir, operation, &out))
				require.Equal(t, said, out.String())
			}
			for _, merge := range []bool{true, false} {
				var out bytes.Buffer
				require.NoError(t, admin.AskRestore(t.Context(), dir, strings.NewReader("a backup"), merge, &out))
				require.Equal(t, fmt.Sprintf("a backup %v\n", merge), out.String())
			}
			ops.fails = errors.New("no node takes shards: 100 % \n of them")
			var out bytes.Buffer
			require.EqualError(t, admin.Ask(t.Context(), dir, "drain", &out), ops.fails.Error())
			require.Equal(t, "draining\n", out.String())
			require.EqualError(t, admin.Ask(t.Context(), dir, "fly", &out), "the node in "+dir+" does not know how to fly")
		})
	}
}

func TestWhereNoNodeRunsThatIsSaid(t *testing.T) {
	dir := t.TempDir()
	require.ErrorContains(t, admin.Ask(t.Context(), dir, "drain", io.Discard), "no node runs in "+dir)
	require.ErrorContains(t, admin.Ask(t.Context(), filepath.Join(dir, "none"), "drain", io.Discard), "no such file or directory")
}
