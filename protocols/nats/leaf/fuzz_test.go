package leaf

import (
	"bufio"
	"bytes"
	"io"
	"testing"
)

// Whatever comes, reading ends with it, and all that is said is PONG.
func FuzzRead(f *testing.F) {
	for _, s := range []string{"PING\r\nPING\r\n", "LS+ _INBOX.x\r\nLMSG a 3\r\nabc\r\n-ERR 'x'\r\n", "HMSG a 2 99999999999\r\n", "INFO {}\r\n\r\n\n", "LMSG  \r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		var out bytes.Buffer
		c := &Conn{out: bufio.NewWriter(&out)}
		if err := c.read(bufio.NewReaderSize(bytes.NewReader(said), 16)); err == nil {
			t.Fatal("it ended without an error")
		}
		if n := bytes.Count(said, []byte("PING")); out.Len() > n*len("PONG\r\n") || len(bytes.ReplaceAll(out.Bytes(), []byte("PONG\r\n"), nil)) > 0 {
			t.Fatalf("%q was answered with %q", said, out.Bytes())
		}
		rest := bufio.NewReader(bytes.NewReader(said))
		if line, err := readLine(rest); err == nil && bytes.ContainsAny(line, "\n") {
			t.Fatalf("%q holds a line's end", line)
		}
		_, _ = io.Copy(io.Discard, rest)
	})
}
