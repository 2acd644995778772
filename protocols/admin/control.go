package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
)

// Operations are what an operator can have a node do while it runs. Each writes to w what it does, line
// by line as it goes, and returns what ended it in words. They may be called concurrently; those that exclude one another say so.
type Operations interface {
	// Drain takes the node out of service, and returns when its clients have gone and its shards are with other
	// nodes. The process goes on.
	Drain(ctx context.Context, w io.Writer) error
	// Undrain takes it back into service.
	Undrain(ctx context.Context, w io.Writer) error
	// Status tells how the node and its cluster are.
	Status(ctx context.Context, w io.Writer) error
	// SelfTest sends, receives and acknowledges through every shard.
	SelfTest(ctx context.Context, w io.Writer) error
	// Backup writes a backup of all queues to w, and nothing else.
	Backup(ctx context.Context, w io.Writer) error
	// Restore takes the messages of a backup into the queues. Unless merge is set it wants them to be empty. It
	// writes nothing before it has read all of r.
	Restore(ctx context.Context, r io.Reader, merge bool, w io.Writer) error
}

const (
	// controlSocket is the name of the socket in the data directory. Whoever may write there may use it.
	controlSocket = "control.sock"
	// failure is the trailer that says what went wrong; ended is there if the answer is whole.
	failure = "Sluice-Error"
	ended   = "Sluice-Ended"
	// merging is the query parameter that lets Restore add to what is there.
	merging = "merge"
)

// Control serves Operations on a socket in the node's data directory, over HTTP: a POST to the operation's name.
type Control struct {
	socket net.Listener
	http   *http.Server
	close  func() error
}

// ListenControl takes the socket. What an earlier process left of it is removed: the data directory is locked by ours.
func ListenControl(dataDir string, ops Operations, log *slog.Logger) (*Control, error) {
	dir, path, err := inside(dataDir)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(filepath.Join(dataDir, controlSocket)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), dir.Close())
	}
	socket, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(filepath.Join(dataDir, controlSocket), 0o600)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), dir.Close())
	}
	c := &Control{socket: socket}
	c.close = sync.OnceValue(func() error { return errors.Join(c.http.Close(), dir.Close()) })
	// Whoever asked may go away meanwhile: what changes the node comes to its end all the same.
	whole := func(do func(context.Context, io.Writer) error) func(context.Context, io.Writer) error {
		return func(ctx context.Context, w io.Writer) error { return do(context.WithoutCancel(ctx), w) }
	}
	mux := http.NewServeMux()
	for name, do := range map[string]func(context.Context, io.Writer) error{
		"drain": whole(ops.Drain), "undrain": whole(ops.Undrain), "status": ops.Status, "selftest": ops.SelfTest, "backup": ops.Backup,
	} {
		mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) { answer(w, r, do) })
	}
	mux.HandleFunc("POST /restore", func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, func(ctx context.Context, w io.Writer) error {
			return ops.Restore(ctx, r.Body, r.URL.Query().Has(merging), w)
		})
	})
	c.http = &http.Server{
		Handler: mux, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	return c, nil
}

// inside opens a directory and returns a path of the socket in it that is short enough for the system, however
// long the directory's own is. The path counts as long as the directory is open.
func inside(dataDir string) (*os.File, string, error) {
	dir, err := os.Open(dataDir)
	if err != nil {
		return nil, "", fmt.Errorf("control socket: %w", err)
	}
	path := filepath.Join(dataDir, controlSocket)
	if len(path) >= 100 {
		path = fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), controlSocket)
	}
	return dir, path, nil
}

// answer carries out an operation; what it writes goes out at once.
func answer(w http.ResponseWriter, r *http.Request, do func(context.Context, io.Writer) error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Trailer", failure+", "+ended)
	err := do(r.Context(), prompt{w, http.NewResponseController(w)})
	if err != nil {
		w.Header().Set(failure, url.QueryEscape(err.Error()))
	}
	w.Header().Set(ended, "true")
}

// prompt writes without delay.
type prompt struct {
	io.Writer
	control *http.ResponseController
}

func (p prompt) Write(b []byte) (int, error) {
	n, err := p.Writer.Write(b)
	if err == nil {
		err = p.control.Flush()
	}
	return n, err
}

// Serve answers until Close, and then returns nil.
func (c *Control) Serve() error {
	if err := c.http.Serve(c.socket); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the control socket: %w", err)
	}
	return nil
}

// Close ends what is under way and removes the socket. A second Close does nothing.
func (c *Control) Close() error { return c.close() }

// AskRestore is Ask for Restore, with the backup.
func AskRestore(ctx context.Context, dataDir string, backup io.Reader, merge bool, w io.Writer) error {
	path := "restore"
	if merge {
		path += "?" + merging
	}
	return ask(ctx, dataDir, path, backup, w)
}

// Ask has the node of a data directory carry out an operation and copies what it says to w. Its error is the operation's own, or says
// that no node answers.
func Ask(ctx context.Context, dataDir, operation string, w io.Writer) error {
	return ask(ctx, dataDir, operation, http.NoBody, w)
}

func ask(ctx context.Context, dataDir, operation string, body io.Reader, w io.Writer) error {
	dir, path, err := inside(dataDir)
	if err != nil {
		return err
	}
	defer dir.Close()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://node/"+operation, body)
	if err != nil {
		return err
	}
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return fmt.Errorf("no node runs in %s: %w", dataDir, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the node in %s does not know how to %s", dataDir, operation)
	}
	if _, err := io.Copy(w, res.Body); err != nil {
		return fmt.Errorf("the node's answer broke off: %w", err)
	}
	if text, err := url.QueryUnescape(res.Trailer.Get(failure)); err != nil || text != "" {
		return errors.New(text)
	}
	if res.Trailer.Get(ended) == "" {
		return errors.New("the node's answer broke off")
	}
	return nil
}
