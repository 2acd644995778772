package leaf

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

const (
	// bufferSize is how much is collected before it goes out without a Flush.
	bufferSize = 64 << 10
	// longestLine bounds what the server may write without a line's end.
	longestLine = 1 << 20
	// helloWithin bounds the time until the server has let us in.
	helloWithin = 10 * time.Second
)

// ErrTooLarge is the error for messages that the server would not take.
var ErrTooLarge = errors.New("the message is larger than the server allows")

// ErrSubject is the error for messages whose subjects hold blanks or control characters: the server
// would take them for the ends of words or lines, and close the connection.
var ErrSubject = errors.New("a subject holds a blank or a control character")

// Login is where a leaf node connects and as whom.
type Login struct {
	Addr, User, Password string
}

// Conn is a connection. Its methods may be called concurrently.
type Conn struct {
	conn net.Conn
	most int // bytes of a message
	done chan struct{}

	mu   sync.Mutex
	out  *bufio.Writer
	line []byte
	err  error // the first one
	// sent counts messages, asked are the counts at the pings that the server has not answered, and
	// taken is how many messages it has surely taken.
	sent, taken uint64
	asked       []uint64
	// closed: from this side.
	closed bool
}

// Dial connects. lost is called when the connection ends by itself, from a goroutine of its own.
func Dial(l Login, lost func(error)) (*Conn, error) {
	conn, err := net.DialTimeout("tcp", l.Addr, helloWithin)
	if err != nil {
		return nil, err
	}
	c := &Conn{conn: conn, done: make(chan struct{}), out: bufio.NewWriterSize(conn, bufferSize)}
	in := bufio.NewReader(conn)
	if err := c.hello(in, l); err != nil {
		return nil, errors.Join(fmt.Errorf("leaf node: %w", err), conn.Close())
	}
	go func() {
		defer close(c.done)
		err := c.read(in)
		c.mu.Lock()
		mine := c.closed
		_ = c.fail(err)
		c.mu.Unlock()
		if !mine {
			lost(err)
		}
	}()
	return c, nil
}

// hello logs in, and returns when the server has said yes.
func (c *Conn) hello(in *bufio.Reader, l Login) error {
	if err := c.conn.SetDeadline(time.Now().Add(helloWithin)); err != nil {
		return err
	}
	text, err := readLine(in)
	if err != nil {
		return err
	}
	info, ok := bytes.CutPrefix(text, []byte("INFO "))
	var server struct {
		MaxPayload int `json:"max_payload"`
	}
	if !ok || json.Unmarshal(info, &server) != nil {
		return fmt.Errorf("this is no NATS server: %.40q", text)
	}
	c.most = server.MaxPayload
	login, err := json.Marshal(map[string]any{"user": l.User, "pass": l.Password, "name": "sluice", "headers": true, "protocol": 1})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c.conn, "CONNECT %s\r\nPING\r\n", login); err != nil {
		return err
	}
	for {
		text, err := readLine(in)
		switch {
		case err != nil:
			return err
		case bytes.HasPrefix(text, []byte("-ERR")):
			return fmt.Errorf("the server refuses: %s", text)
		case string(text) == "PONG":
			return c.conn.SetDeadline(time.Time{})
		}
		if err := c.heed(in, text); err != nil {
			return err
		}
	}
}

// read heeds what the server says, until the connection ends.
func (c *Conn) read(in *bufio.Reader) error {
	for {
		text, err := readLine(in)
		if err != nil {
			return err
		}
		if bytes.HasPrefix(text, []byte("-ERR")) {
			return fmt.Errorf("the server says: %s", text)
		}
		if err := c.heed(in, text); err != nil {
			return err
		}
	}
}

// heed answers pings and passes over messages. All else, above all what clients
// subscribe to, is of no interest.
func (c *Conn) heed(in *bufio.Reader, text []byte) error {
	switch {
	case string(text) == "PONG":
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.asked) > 0 {
			c.taken, c.asked = c.asked[0], c.asked[1:]
		}
	case string(text) == "PING":
		c.mu.Lock()
		defer c.mu.Unlock()
		_, err := c.out.WriteString("PONG\r\n")
		return errors.Join(err, c.out.Flush())
	case bytes.HasPrefix(text, []byte("LMSG ")), bytes.HasPrefix(text, []byte("HMSG ")):
		n, err := strconv.ParseUint(string(text[bytes.LastIndexByte(text, ' ')+1:]), 10, 31)
		if err != nil {
			return fmt.Errorf("a message of unknown size: %.40q", text)
		}
		_, err = io.CopyN(io.Discard, in, int64(n)+2)
		return err
	}
	return nil
}

// readLine reads a line without its end. It is good until the next read.
func readLine(in *bufio.Reader) ([]byte, error) {
	var whole []byte
	for {
		part, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		if whole == nil && err == nil {
			return bytes.TrimRight(part, "\r\n"), nil
		}
		if whole = append(whole, part...); len(whole) > longestLine {
			return nil, errors.New("a line without an end")
		}
		if err == nil {
			return bytes.TrimRight(whole, "\r\n"), nil
		}
	}
}

// Message is what a client gets.
type Message struct {
	// To is the inbox that it goes to.
	To string
	// Subject is what the receiver sees as its subject, if there is an Ack.
	Subject string
	// Ack is the subject to acknowledge it by; empty is none.
	Ack string
	// Header is a whole header, from its first line to the empty one.
	Header, Body []byte
}

// Send sends a message. It goes out with the next Flush at the latest. The slices are not kept.
func (c *Conn) Send(m Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	size := len(m.Header) + len(m.Body)
	switch {
	case c.err != nil:
		return c.err
	case !isWord(m.To) || m.Ack != "" && (!isWord(m.Ack) || !isWord(m.Subject)):
		return ErrSubject
	case size > c.most:
		return ErrTooLarge
	}
	c.line = append(append(c.line[:0], "HMSG "...), m.To...)
	c.line = append(c.line, ' ')
	if m.Ack != "" {
		c.line = append(append(append(append(c.line, m.Ack...), '@'), m.Subject...), ' ')
	}
	c.line = strconv.AppendInt(c.line, int64(len(m.Header)), 10)
	c.line = strconv.AppendInt(append(c.line, ' '), int64(size), 10)
	c.line = append(c.line, "\r\n"...)
	for _, part := range [...][]byte{c.line, m.Header, m.Body, []byte("\r\n")} {
		if _, err := c.out.Write(part); err != nil {
			return c.fail(err)
		}
	}
	c.sent++
	return nil
}

// isWord reports whether the server reads a subject as one word.
func isWord(subject string) bool {
	for i := range len(subject) {
		if b := subject[i]; b <= ' ' || b == 0x7f {
			return false
		}
	}
	return subject != ""
}

// Sent is how many messages were sent, and Taken how many of them the server has surely
// taken: when the connection is lost, the others may or may not have reached their clients.
func (c *Conn) Sent() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent
}

// Taken is described with Sent.
func (c *Conn) Taken() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.taken
}

// mostAsked bounds the pings that are on their way.
const mostAsked = 64

// Flush sends what has collected.
func (c *Conn) Flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	last := c.taken
	if n := len(c.asked); n > 0 {
		last = c.asked[n-1]
	}
	if c.sent > last && len(c.asked) < mostAsked {
		if _, err := c.out.WriteString("PING\r\n"); err != nil {
			return c.fail(err)
		}
		c.asked = append(c.asked, c.sent)
	}
	if err := c.out.Flush(); err != nil {
		return c.fail(err)
	}
	return nil
}

// fail keeps the first error, and ends the connection. The lock is held.
func (c *Conn) fail(err error) error {
	if c.err == nil {
		c.err = err
	}
	_ = c.conn.Close()
	return err
}

// Close sends what has collected and ends the connection. A nil one is closed already.
func (c *Conn) Close() {
	if c == nil {
		return
	}
	c.mu.Lock()
	c.closed = true
	if c.err == nil {
		_ = c.conn.SetWriteDeadline(time.Now().Add(time.Second))
		_ = c.out.Flush()
		_ = c.fail(net.ErrClosed)
	}
	c.mu.Unlock()
	_ = c.conn.Close()
	<-c.done
}
