package bench

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6455 has it so
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net"
	"net/http"
	"strings"
)

const (
	acceptSalt  = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	finBinary   = 0x82
	finPong     = 0x8a
	opcodePing  = 0x9
	opcodeClose = 0x8
)

// webSocket is a client's WebSocket as a stream of bytes that costs little more than the TCP connection below it: it reads
// much at once, each Write is one message, and one mask serves them all, which only a client's
// adversaries would mind. Deadlines are those of the connection below.
type webSocket struct {
	net.Conn
	in   *bufio.Reader
	left uint64 // of the payload of the present frame
	out  []byte
	key  uint32
}

// upgrade makes a connection to a URL a WebSocket.
func upgrade(ctx context.Context, nc net.Conn, address string) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer stop()
	var nonce [16]byte
	_, _ = rand.Read(nonce[:])
	key := base64.StdEncoding.EncodeToString(nonce[:])
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.Replace(address, "ws", "http", 1), nil)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key,
		"Sec-WebSocket-Protocol": "v11.stomp",
	} {
		r.Header.Set(name, value)
	}
	if err := r.Write(nc); err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(nc, mostBuffer)
	a, err := http.ReadResponse(in, r)
	if err != nil {
		return nil, err
	}
	if a.StatusCode != http.StatusSwitchingProtocols {
		words, _ := io.ReadAll(io.LimitReader(a.Body, 1<<10))
		return nil, fmt.Errorf("no WebSocket: %s: %s", a.Status, words)
	}
	sum := sha1.Sum([]byte(key + acceptSalt)) //nolint:gosec // see above
	if a.Header.Get("Sec-WebSocket-Accept") != base64.StdEncoding.EncodeToString(sum[:]) {
		return nil, errors.New("no WebSocket: the answer does not fit the request")
	}
	return &webSocket{Conn: nc, in: in, key: binary.LittleEndian.Uint32(nonce[:])}, nil
}

// Read reads the payloads of data frames, one after the other: as many as have come.
func (c *webSocket) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if c.left == 0 {
			if n > 0 && c.in.Buffered() < 10 { // a header might not be there
				break
			}
			if err := c.frame(); err != nil {
				return n, err
			}
			continue
		}
		if n > 0 && c.in.Buffered() == 0 {
			break
		}
		m, err := c.in.Read(p[n:min(uint64(len(p)), uint64(n)+c.left)])
		n += m
		c.left -= uint64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// frame reads a header, and answers control frames.
func (c *webSocket) frame() error {
	var b [8]byte
	if _, err := io.ReadFull(c.in, b[:2]); err != nil {
		return err
	}
	first, size := b[0], uint64(b[1])
	switch size {
	case 126:
		if _, err := io.ReadFull(c.in, b[:2]); err != nil {
			return err
		}
		size = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		if _, err := io.ReadFull(c.in, b[:]); err != nil {
			return err
		}
		size = binary.BigEndian.Uint64(b[:])
	}
	if first&opcodeClose == 0 {
		c.left = size
		return nil
	}
	if size > 125 {
		return fmt.Errorf("a control frame of %d bytes", size)
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(c.in, payload); err != nil {
		return err
	}
	switch first & 0xf {
	case opcodeClose:
		return fmt.Errorf("the server ended the WebSocket: %q", payload[min(2, size):])
	case opcodePing:
		_, err := c.Conn.Write(c.seal(nil, finPong, payload))
		return err
	}
	return nil
}

// Write sends p as one message.
func (c *webSocket) Write(p []byte) (int, error) {
	c.out = c.seal(c.out[:0], finBinary, p)
	if _, err := c.Conn.Write(c.out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// seal appends a frame.
func (c *webSocket) seal(b []byte, first byte, payload []byte) []byte {
	switch n := len(payload); {
	case n < 126:
		b = append(b, first, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, first, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, first, 0x80|127), uint64(n))
	}
	b = binary.LittleEndian.AppendUint32(b, c.key)
	begin := len(b)
	b = append(b, payload...)
	masked, key := b[begin:], c.key
	for wide := uint64(key)<<32 | uint64(key); len(masked) >= 8; masked = masked[8:] {
		binary.LittleEndian.PutUint64(masked, binary.LittleEndian.Uint64(masked)^wide)
	}
	for i := range masked {
		masked[i] ^= byte(key)
		key = bits.RotateLeft32(key, -8)
	}
	return b
}
