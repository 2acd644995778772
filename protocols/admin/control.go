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

	"golang.org/x/sys/unix"

	"github.com/sluice-mq/sluice/gateway"
)

// controlSocket is the name of the socket in the data directory. Whoever may write there may use it.
const controlSocket = "control.sock"

// Control serves operations on a socket in the node's data directory, over HTTP: a POST to the operation's name.
type Control struct {
	socket net.Listener
	http   *http.Server
	close  func() error
}

// ControlConfig says what a control socket offers.
type ControlConfig struct {
	// DataDir is where the socket is. What an earlier process left of it is removed: the directory is locked by ours.
	DataDir    string
	Operations []Operation
	// Auditor hears of each operation; nil is nobody.
	Auditor gateway.Auditor
	Logger  *slog.Logger
}

// ListenControl takes the socket.
func ListenControl(cfg ControlConfig) (*Control, error) {
	dir, path, err := inside(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(filepath.Join(cfg.DataDir, controlSocket)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), dir.Close())
	}
	socket, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(filepath.Join(cfg.DataDir, controlSocket), 0o600)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), dir.Close())
	}
	c := &Control{socket: socket}
	c.close = sync.OnceValue(func() error { return errors.Join(c.http.Close(), dir.Close()) })
	mux := http.NewServeMux()
	for _, o := range cfg.Operations {
		mux.HandleFunc("POST /"+o.Name, func(w http.ResponseWriter, r *http.Request) {
			who, _ := r.Context().Value(caller{}).(gateway.Principal)
			o.serve(w, r, Call{Principal: who, Rights: everything{}}, cfg.Auditor, gateway.Event{Protocol: "control"})
		})
	}
	c.http = &http.Server{
		Handler: mux, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ConnContext: introduce,
		ErrorLog: slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn),
	}
	return c, nil
}

// caller is where a request's context has the principal.
type caller struct{}

// introduce finds out which user of this machine asks.
func introduce(ctx context.Context, c net.Conn) context.Context {
	who := gateway.Principal{Method: "socket"}
	if u, ok := c.(*net.UnixConn); ok {
		if raw, err := u.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) {
				if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
					who.Name = fmt.Sprintf("uid %d", cred.Uid)
				}
			})
		}
	}
	return context.WithValue(ctx, caller{}, who)
}

// everything are the rights of whoever may write to the data directory.
type everything struct{}

func (everything) May(gateway.Action, gateway.Destination) error { return nil }
func (everything) All(gateway.Action, gateway.Destination) bool  { return true }
func (everything) Operate(string) error                          { return nil }

func record(a gateway.Auditor, e *gateway.Event) {
	if a != nil {
		a.Record(e)
	}
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

// Serve answers until Close, and then returns nil.
func (c *Control) Serve() error {
	if err := c.http.Serve(c.socket); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the control socket: %w", err)
	}
	return nil
}

// Close ends what is under way and removes the socket. A second Close does nothing.
func (c *Control) Close() error { return c.close() }

// Ask has the node of a data directory carry out an operation, which gets the arguments and the body (which may be nil), and copies what
// it says to w. Its error is the operation's own, or says that no node answers.
func Ask(ctx context.Context, dataDir, operation string, arguments url.Values, body io.Reader, w io.Writer) error {
	if body == nil {
		body = http.NoBody
	}
	dir, path, err := inside(dataDir)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("no node runs in %s: there is no such directory; --data-dir or --config says where the node has its data", dataDir)
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://node/"+operation+"?"+arguments.Encode(), body)
	if err != nil {
		return err
	}
	res, err := (&http.Client{Transport: transport}).Do(req)
	var refused *net.OpError
	if errors.As(err, &refused) && (errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED)) {
		return fmt.Errorf("no node runs in %s: %w", dataDir, refused.Err)
	}
	if err != nil {
		return fmt.Errorf("the node in %s did not answer: %w", dataDir, errors.Unwrap(err)) // without the address that nobody asked for
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the node in %s does not know how to %s", dataDir, operation)
	}
	if _, err := io.Copy(w, res.Body); err != nil {
		return fmt.Errorf("the node's answer broke off: %w", err)
	}
	return outcome(res.Trailer)
}
