package interop

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	stomp "github.com/go-stomp/stomp/v3"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/node"
)

// The programs of the EGEE messaging tutorial as they were published, but for the
// address of the broker, which was cut from them.
var (
	//go:embed testdata/producer.pl
	perlProducer string
	//go:embed testdata/consumer.pl
	perlConsumer string
	//go:embed testdata/telnet.txt
	telnetSession string
)

// perl prepares a program of the tutorial.
func perl(t *testing.T, n *node.Node, program string) *exec.Cmd {
	t.Helper()
	host, port, err := net.SplitHostPort(n.Addr("stomp"))
	require.NoError(t, err)
	program = strings.NewReplacer("hostname => ''", "hostname => '"+host+"'", "'6163'", "'"+port+"'").Replace(program)
	require.Contains(t, program, port)
	file := filepath.Join(t.TempDir(), "program.pl")
	require.NoError(t, os.WriteFile(file, []byte(program), 0o600))
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, "perl", file)
}

func TestPerlTutorial(t *testing.T) {
	node.Needs(t, "libnet-stomp-perl", "perl", "-MNet::Stomp", "-e", "1")
	n := node.Start(t)
	const queue = "/queue/site.heartbeat"
	produce := func() {
		t.Helper()
		out, err := perl(t, n, perlProducer).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Empty(t, string(out))
	}
	produce()
	produce()

	consumer := perl(t, n, perlConsumer)
	stderr, err := consumer.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, consumer.Start())
	lines := bufio.NewReader(stderr)
	seen := func() {
		t.Helper()
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(line, "test message at "), line)
	}
	seen()
	seen() // with a prefetch of one it has acknowledged the first
	produce()
	seen() // it waits for more, and got it
	require.NoError(t, consumer.Process.Kill())
	_, _ = io.Copy(io.Discard, lines)
	require.Error(t, consumer.Wait())

	rest := drained(t, n, queue)
	require.LessOrEqual(t, len(rest), 1, "what was acknowledged came back: %v", bodies(rest))
	for _, m := range rest {
		require.Equal(t, "true", m.Header.Get("redelivered"))
	}
}

// The transcript's ^@ is what a terminal sends as a NUL. Windows' telnet ends lines with CRLF.
func TestTelnetTutorial(t *testing.T) {
	n := node.Start(t)
	for name, end := range map[string]string{"LF": "\n", "CRLF": "\r\n"} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", n.Addr("stomp"))
			require.NoError(t, err)
			defer c.Close()
			require.NoError(t, c.SetDeadline(time.Now().Add(soon)))
			session := strings.ReplaceAll(strings.ReplaceAll(telnetSession, "^@", "\x00"), "\n", end)
			_, err = io.WriteString(c, session)
			require.NoError(t, err)
			answer, err := bufio.NewReader(c).ReadBytes(0)
			require.NoError(t, err)
			require.True(t, bytes.HasPrefix(answer, []byte("CONNECTED\n")), "%q", answer)

			d := dial(t, n)
			s, err := d.Subscribe("/queue/a", stomp.AckAuto)
			require.NoError(t, err)
			require.Equal(t, "hello queue a"+end, string(receive(t, s).Body))
			unsubscribe(t, s)
		})
	}
}
