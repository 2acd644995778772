package websocket

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	coder "github.com/coder/websocket"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/internal/listen"
)

const (
	// maxRequest bounds the request with all its headers: tokens fit, floods do not.
	maxRequest = 16 << 10
	// idleBuffer is what each connection keeps for reading, and readBuffer what one has that sends more than a little.
	idleBuffer = 512
	readBuffer = 4 << 10
	// libraryReads is as little as the library may hold; the inbox has the rest.
	libraryReads = 16
	// writeBuffer holds a control frame, which so comes to the outbox whole.
	writeBuffer = 144
	// answerTime is how long a client may take to read why it is turned away.
	answerTime  = time.Second
	answerDrain = 64 << 10

	wordsRequest = "this port speaks STOMP within WebSocket"
)

// denial is why a request does not become a WebSocket.
type denial struct {
	status int
	words  string
}

func (d *denial) Error() string { return d.words }

// upgrade agrees on WebSocket with a client. It returns nil if that failed; the client was told why.
func (s *Server) upgrade(nc *listen.Conn) *Conn {
	// Whoever has not come as far when the server stops is not waited for.
	unhurried := context.AfterFunc(s.stopping, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer unhurried()
	_ = nc.SetDeadline(nc.LoginBy())
	if s.stopping.Err() != nil {
		return nil
	}
	r, br, err := readRequest(nc)
	if err == nil {
		err = s.check(r)
	}
	if err != nil {
		s.deny(nc, err)
		return nil
	}
	c := s.newConn(nc, br)
	if err := c.accept(r); err != nil {
		s.listener.TurnedAway("no WebSocket could be agreed on", nc.RemoteAddr(), err)
		parting(nc)
		return nil
	}
	if !unhurried() {
		c.over()
		return nil
	}
	_ = nc.SetDeadline(time.Time{})
	return c
}

// readRequest reads a request within its limit. What follows it is in the reader.
func readRequest(from io.Reader) (*http.Request, *bufio.Reader, error) {
	limited := &limitedReader{from: from, left: maxRequest}
	br := bufio.NewReaderSize(limited, readBuffer)
	r, err := http.ReadRequest(br)
	switch {
	case err == nil:
		return r, br, nil
	case limited.err != nil: // nobody is there to be told
		return nil, nil, limited.err
	case limited.left <= 0:
		return nil, nil, &denial{http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("the request is longer than %d bytes", maxRequest)}
	}
	return nil, nil, &denial{http.StatusBadRequest, wordsRequest}
}

// limitedReader ends after so many bytes, and keeps the error of what it reads from.
type limitedReader struct {
	from io.Reader
	left int
	err  error
}

func (l *limitedReader) Read(p []byte) (n int, err error) {
	if l.left <= 0 {
		return 0, io.EOF
	}
	n, l.err = l.from.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, l.err
}

// check looks at everything of a request but what only WebSocket's own rules say.
func (s *Server) check(r *http.Request) error {
	switch {
	case r.Host == "":
		return &denial{http.StatusBadRequest, "the request does not say for which host it is"}
	case s.cfg.Path != "" && r.URL.Path != s.cfg.Path:
		return &denial{http.StatusNotFound, "nothing is served here: the path is " + s.cfg.Path}
	case r.Method != http.MethodGet:
		return &denial{http.StatusMethodNotAllowed, wordsRequest + ": the method has to be GET"}
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		return &denial{http.StatusBadRequest, "a request for a WebSocket has no body"}
	case !hasToken(r.Header, "Connection", "upgrade") || !hasToken(r.Header, "Upgrade", "websocket"):
		return &denial{http.StatusUpgradeRequired, wordsRequest + ": connect with a WebSocket client"}
	}
	if err := s.origins.check(r); err != nil {
		return &denial{http.StatusForbidden, err.Error()}
	}
	return nil
}

// hasToken reports whether a header's list has a word.
func hasToken(h http.Header, name, word string) bool {
	for _, v := range h[name] {
		for item := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(item), word) {
				return true
			}
		}
	}
	return false
}

// deny tells a client why it is turned away, if anybody is there to be told.
func (s *Server) deny(nc *listen.Conn, err error) {
	// A probe that only connects is not worth a line, and who speaks TLS where there is none was told so already.
	if s.stopping.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, listen.ErrOtherProtocol) {
		return
	}
	s.listener.TurnedAway("no WebSocket could be agreed on", nc.RemoteAddr(), err)
	var d *denial
	if errors.As(err, &d) {
		answer(nc, d)
		parting(nc)
	}
}

// answer writes a denial as HTTP has it.
func answer(c net.Conn, d *denial) {
	_ = c.SetDeadline(time.Now().Add(answerTime))
	more := ""
	switch d.status {
	case http.StatusUpgradeRequired:
		more = "Upgrade: websocket\r\nConnection: Upgrade, close\r\n"
	case http.StatusMethodNotAllowed:
		more = "Allow: GET\r\nConnection: close\r\n"
	default:
		more = "Connection: close\r\n"
	}
	_, _ = fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nContent-Length: %d\r\n%s\r\n%s\n",
		d.status, http.StatusText(d.status), len(d.words)+1, more, d.words)
}

// parting lets the client read the last words before the connection goes away.
func parting(nc *listen.Conn) {
	_ = nc.SetDeadline(time.Now().Add(answerTime))
	if nc.CloseWrite() == nil {
		_ = nc.SetReadDeadline(time.Now().Add(answerTime))
		_, _ = io.CopyN(io.Discard, nc, answerDrain)
	}
}

// refuse tells a client that does not get as far as a request why.
func refuse(c net.Conn, why string) {
	answer(c, &denial{http.StatusServiceUnavailable, why})
}

// introduce adds what a request says of the client to what its connection does.
func introduce(known gateway.Introduction, h http.Header) gateway.Introduction {
	if scheme, token, ok := strings.Cut(h.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "bearer") {
		known.Credentials.Token = strings.TrimSpace(token)
	}
	known.Library = h.Get("User-Agent")
	return known
}

// accept answers a request with "switching protocols".
func (c *Conn) accept(r *http.Request) error {
	mode := coder.CompressionDisabled
	if c.server.cfg.Compression {
		mode = coder.CompressionNoContextTakeover // a window for each connection would be too much
	}
	w := &responder{c: c, header: http.Header{}}
	ws, err := coder.Accept(w, r, &coder.AcceptOptions{
		Subprotocols:       []string{"v12.stomp", "v11.stomp", "v10.stomp", "stomp"},
		InsecureSkipVerify: true, // the origin was checked
		CompressionMode:    mode,
	})
	if err != nil {
		return err
	}
	ws.SetReadLimit(unknownMessage)
	c.ws = ws
	c.compressed = w.header.Get("Sec-WebSocket-Extensions") != ""
	c.knows = introduce(c.nc.Introduction(), r.Header)
	return nil
}

// responder is the http.ResponseWriter of one answer.
type responder struct {
	c      *Conn
	header http.Header
	status int
}

// Header implements http.ResponseWriter.
func (w *responder) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *responder) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	if status != http.StatusSwitchingProtocols {
		w.header.Set("Connection", "close")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = w.header.Write(&b)
	b.WriteString("\r\n")
	_, _ = io.WriteString(w.c.nc, b.String())
}

// Write implements http.ResponseWriter.
func (w *responder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.c.nc.Write(p)
}

// Hijack implements http.Hijacker.
func (w *responder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	under := &below{w.c}
	w.c.br = bufio.NewReaderSize(under, libraryReads)
	return under, bufio.NewReadWriter(w.c.br, bufio.NewWriterSize(under, writeBuffer)), nil
}
