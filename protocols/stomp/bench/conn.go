package bench

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// Target is a broker.
type Target struct {
	// Name is for reports.
	Name string
	// Address is where connections go: one, or several between commas, which are taken in turn, consumers first. Each is
	// host:port, or tls://host:port, ws://host:port/path or wss://host:port/path.
	Address string
	// TLS is for tls:// and wss://; nil trusts the machine's authorities.
	TLS             *tls.Config
	Dialect         Dialect
	Login, Passcode string
	// HeartBeat is promised and asked for by connections that Connect opens; 0 is none.
	HeartBeat time.Duration
	// ServerPID is the broker's process, whose CPU and memory are read from
	// /proc; 0 leaves them out.
	ServerPID int
}

// loginTime bounds connecting and subscribing.
const loginTime = 30 * time.Second

// conn is a STOMP 1.1 connection without heart-beats that costs little itself. Reading
// is for one goroutine.
type conn struct {
	net.Conn
	frames *reader
	// flush, if set, sends what was gathered, before a read that may block.
	flush func() error
	read  time.Time // when the last read returned
}

// Read is for the frame reader.
func (c *conn) Read(b []byte) (int, error) {
	if c.flush != nil {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	n, err := c.Conn.Read(b)
	c.read = time.Now()
	return n, err
}

// dial opens connection n of a run.
func dial(ctx context.Context, t Target, n, maxBody int) (*conn, error) {
	client := ""
	if strings.Contains(t.Address, ",") { // nodes of a cluster must not take two of us for one client
		client = fmt.Sprintf("bench-%d-%d-%x", os.Getpid(), n, time.Now().UnixMicro())
	}
	return dialAs(ctx, t, n, maxBody, client)
}

// dialAs opens connection n of a run with a client-id, unless it is empty.
func dialAs(ctx context.Context, t Target, n, maxBody int, client string) (*conn, error) {
	all := strings.Split(t.Address, ",")
	address := all[n%len(all)]
	nc, err := t.open(ctx, address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc}
	c.frames = newReader(c, maxBody+1<<10)
	_ = nc.SetDeadline(time.Now().Add(loginTime))
	login := fmt.Sprintf("CONNECT\naccept-version:1.1\nhost:/\nheart-beat:%[1]d,%[1]d\n", t.HeartBeat.Milliseconds())
	if t.Login != "" {
		login += "login:" + t.Login + "\npasscode:" + t.Passcode + "\n"
	}
	if client != "" {
		login += "client-id:" + client + "\n"
	}
	if err := c.ask(login+"\n\x00", "CONNECTED"); err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("log in to %s: %w", address, err)
	}
	_ = nc.SetDeadline(time.Time{})
	return c, nil
}

// ask sends a frame and awaits the answer.
func (c *conn) ask(question, answer string) error {
	if _, err := c.Write([]byte(question)); err != nil {
		return err
	}
	var f frame
	return c.next(&f, answer)
}

// next reads a frame, which has to be of the command.
func (c *conn) next(f *frame, command string) error {
	if err := c.frames.next(f); err != nil {
		return err
	}
	if string(f.command) != command {
		return fmt.Errorf("%s %q where %s was due", f.command, f.field(lineMessage), command)
	}
	return nil
}
