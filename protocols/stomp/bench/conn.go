package bench

import (
	"context"
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
	// Address is where connections go: one, or several between commas, which are taken in turn, consumers first.
	Address         string
	Dialect         Dialect
	Login, Passcode string
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
	d := net.Dialer{Timeout: loginTime}
	all := strings.Split(t.Address, ",")
	address := all[n%len(all)]
	nc, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc}
	c.frames = newReader(c, maxBody+1<<10)
	_ = nc.SetDeadline(time.Now().Add(loginTime))
	login := "CONNECT\naccept-version:1.1\nhost:/\nheart-beat:0,0\n"
	if t.Login != "" {
		login += "login:" + t.Login + "\npasscode:" + t.Passcode + "\n"
	}
	if len(all) > 1 { // nodes of a cluster must not take two of us for one client
		login += fmt.Sprintf("client-id:bench-%d-%d-%x\n", os.Getpid(), n, time.Now().UnixNano())
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
