package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
)

// conn is a connection that is kept open: a client that costs as little as it can, so that what is measured is the service. Only answers with
// a Content-Length, or in chunks, are understood. It is for one goroutine.
type conn struct {
	net.Conn
	read *bufio.Reader
	tail string // of a request's head, after its path
	out  []byte
	body []byte
}

// dial connects to a target.
func dial(ctx context.Context, t Target) (*conn, error) {
	u, err := url.Parse(t.URL)
	if err != nil {
		return nil, err
	}
	var c net.Conn
	switch u.Scheme {
	case "http":
		c, err = (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	case "https":
		c, err = (&tls.Dialer{Config: t.TLS}).DialContext(ctx, "tcp", u.Host)
	default:
		return nil, fmt.Errorf("%q is not http://HOST:PORT or https://HOST:PORT", t.URL)
	}
	if err != nil {
		return nil, err
	}
	tail := " HTTP/1.1\r\nHost: " + u.Host + "\r\nContent-Type: application/json\r\nx-api-key: " + t.Token + "\r\nContent-Length: "
	return &conn{Conn: c, read: bufio.NewReaderSize(c, 64<<10), tail: tail}, nil
}

// do makes a request. The answer is good until the next one.
func (c *conn) do(method, path string, body []byte) (status int, answer []byte, err error) {
	c.out = append(append(append(append(c.out[:0], method...), " /v1"...), path...), c.tail...)
	c.out = append(strconv.AppendInt(c.out, int64(len(body)), 10), "\r\n\r\n"...)
	c.out = append(c.out, body...)
	if _, err := c.Write(c.out); err != nil {
		return 0, nil, err
	}
	line, err := c.read.ReadSlice('\n')
	if err != nil {
		return 0, nil, err
	}
	if len(line) < 12 || string(line[:7]) != "HTTP/1." {
		return 0, nil, fmt.Errorf("no answer of HTTP/1: %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, fmt.Errorf("no answer of HTTP/1: %q", line)
	}
	length, err := c.length()
	if err != nil {
		return 0, nil, err
	}
	if length < 0 {
		return status, c.body, c.chunks()
	}
	c.body = grown(c.body, length)
	_, err = io.ReadFull(c.read, c.body)
	return status, c.body, err
}

// length reads the rest of the head, and returns how long the body is, -1 if it comes in chunks.
func (c *conn) length() (n int, err error) {
	for {
		line, err := c.read.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return n, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch value = bytes.TrimSpace(value); {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if n, err = strconv.Atoi(string(value)); err != nil || n < 0 {
				return 0, fmt.Errorf("a Content-Length that is none: %q", value)
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			n = -1
		}
	}
}

// chunks reads a body in chunks.
func (c *conn) chunks() error {
	c.body = c.body[:0]
	for {
		line, err := c.read.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 31)
		if err != nil {
			return fmt.Errorf("a chunk that is none: %q", line)
		}
		at := len(c.body)
		c.body = grown(c.body, at+int(n)+2) // with the end of its line
		if _, err := io.ReadFull(c.read, c.body[at:]); err != nil {
			return err
		}
		c.body = c.body[:at+int(n)]
		if n == 0 {
			return nil
		}
	}
}

func grown(b []byte, n int) []byte {
	if cap(b) >= n {
		return b[:n]
	}
	return append(b, make([]byte, n-len(b))...)
}
