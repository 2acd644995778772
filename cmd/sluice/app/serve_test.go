package app

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

const (
	soon = 60 * time.Second
	poll = 5 * time.Millisecond
)

// asProgram, in the environment, makes the test binary be sluice.
const asProgram = "TEST_AS_SLUICE=1"

func TestMain(m *testing.M) {
	if os.Getenv("TEST_AS_SLUICE") == "1" {
		os.Exit(Main(os.Args[1:], Process{Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(), Exit: os.Exit}))
	}
	gatewaytest.Beside(3)
	os.Exit(m.Run())
}

// program is a sluice that runs.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan map[string]any // its log; closed when it ends
	seen  []map[string]any
	rest  bytes.Buffer // what was not a log line
	addr  map[string]string
}

// launch starts `sluice args...` in the current directory and environment.
func launch(t *testing.T, args ...string) *program {
	t.Helper()
	return launchWith(t, nil, args...)
}

// launchWith is launch with more in the environment, of which tests beside this one know nothing.
func launchWith(t *testing.T, environ []string, args ...string) *program {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	p := &program{t: t, cmd: exec.Command(self, args...), lines: make(chan map[string]any, 1000), addr: map[string]string{}}
	p.cmd.Env = append(append(os.Environ(), asProgram), environ...)
	stderr, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(p.lines)
		for s := bufio.NewScanner(stderr); s.Scan(); {
			var line map[string]any
			if json.Unmarshal(s.Bytes(), &line) == nil {
				p.lines <- line
				continue
			}
			p.rest.WriteString(s.Text() + "\n")
		}
	}()
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); <-read; _ = p.cmd.Wait() })
	return p
}

// await reads the log until a line has that message.
func (p *program) await(msg string) map[string]any {
	p.t.Helper()
	deadline := time.After(soon)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("ended before it said %q: %v\n%s", msg, p.seen, p.rest.String())
			}
			p.seen = append(p.seen, line)
			if line["msg"] == "listening" {
				p.addr[line["protocol"].(string)] = line["address"].(string)
			}
			if line["msg"] == msg {
				return line
			}
		case <-deadline:
			p.t.Fatalf("never said %q: %v", msg, p.seen)
		}
	}
}

// exit waits for the end and returns the exit code.
func (p *program) exit() int {
	p.t.Helper()
	deadline := time.After(soon)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				_ = p.cmd.Wait()
				return p.cmd.ProcessState.ExitCode()
			}
			p.seen = append(p.seen, line)
		case <-deadline:
			p.t.Fatal("did not end")
		}
	}
}

func (p *program) get(path string) (int, string) {
	p.t.Helper()
	client := http.Client{Timeout: soon, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + p.addr["admin"] + path)
	require.NoError(p.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(p.t, err)
	return res.StatusCode, string(body)
}

// free are the flags that put all doors on free ports.
func free(args ...string) []string {
	return append(args, "--listen", "stomp=127.0.0.1:0", "--listen", "nats=127.0.0.1:0", "--listen", "admin=127.0.0.1:0", "--listen", "pubsub=127.0.0.1:0")
}

func TestServeUntilASignal(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			p := launch(t, free("serve", "--dev")...)
			ready := p.await("ready")
			require.Equal(t, "n1", ready["node"])
			require.Equal(t, "./data", ready["data_dir"])
			require.DirExists(t, "data")
			status, body := p.get("/readyz?verbose")
			require.Equal(t, 200, status, body)
			require.Contains(t, body, "[+] node\n")
			status, _ = p.get("/startupz")
			require.Equal(t, 200, status)
			status, body = p.get("/metrics")
			require.Equal(t, 200, status)
			require.Contains(t, body, "sluice_ready 1\n")
			require.Contains(t, body, "sluice_build_info{")
			requireNamedWell(t, body)

			require.NoError(t, p.cmd.Process.Signal(signal))
			require.Equal(t, signal.String(), p.await("stopping")["signal"])
			require.Equal(t, 0, p.exit(), p.rest.String())
			require.Equal(t, "stopped", p.seen[len(p.seen)-1]["msg"])
			for protocol, address := range p.addr {
				_, err := net.DialTimeout("tcp", address, soon)
				require.Error(t, err, protocol)
			}
		})
	}
}

// requireNamedWell checks our metrics against Prometheus's rules.
func requireNamedWell(t *testing.T, metrics string) {
	t.Helper()
	problems, err := promlint.New(strings.NewReader(metrics)).Lint()
	require.NoError(t, err)
	for _, p := range problems {
		require.NotContains(t, p.Metric, "sluice_", p.Text)
	}
}

func TestStatusFollowsTheLifeOfTheNode(t *testing.T) {
	t.Chdir(t.TempDir())
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	require.NoError(t, err)
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", socket.LocalAddr().String())
	states := func() string {
		require.NoError(t, socket.SetReadDeadline(time.Now().Add(soon)))
		b := make([]byte, 100)
		n, err := socket.Read(b)
		require.NoError(t, err)
		return string(b[:n])
	}
	p := launch(t, free("serve", "--dev")...)
	require.Equal(t, "READY=1", states())
	p.await("ready")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, "STOPPING=1", states())
	require.Equal(t, 0, p.exit())
}

func TestServeByFileAndEnvironment(t *testing.T) {
	file := write(t, "node: n9\ndata_dir: here\nlog: {format: text}\nlisteners:\n- {protocol: admin, address: \"127.0.0.1:0\"}\n")
	t.Setenv("SLUICE_LOG_FORMAT", "json")
	t.Setenv("SLUICE_NONSENSE", "1")
	p := launch(t, "serve", "--config", file)
	require.Equal(t, "n9", p.await("ready")["node"])
	require.Equal(t, "environment variable SLUICE_NONSENSE means nothing", p.seen[0]["msg"])
	require.DirExists(t, "here")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 0, p.exit())
}

func TestAnAddressInUseEndsTheStartInWords(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	t.Chdir(t.TempDir())
	p := launch(t, "serve", "--dev", "--listen", "admin="+taken.Addr().String(), "--listen", "stomp=127.0.0.1:0", "--listen", "nats=127.0.0.1:0", "--listen", "pubsub=127.0.0.1:0")
	require.Equal(t, 1, p.exit())
	require.Contains(t, p.rest.String(), "sluice: serve: admin listener: listen on "+taken.Addr().String()+": ")
	require.Contains(t, p.rest.String(), "address already in use")

	p = launch(t, "serve", "--dev", "--listen", "admin=127.0.0.1:0", "--listen", "stomp=127.0.0.1:0", "--listen", "nats="+taken.Addr().String(), "--listen", "pubsub=127.0.0.1:0")
	require.Equal(t, 1, p.exit())
	require.Contains(t, p.rest.String(), "nats listener "+taken.Addr().String()+": nats: cannot listen on "+taken.Addr().String())
	require.Contains(t, p.rest.String(), "address already in use")
}

// ask sends STOMP frames over a connection of its own and reads until the answer
// holds the wanted text. It returns all that it has read.
func (p *program) ask(want string, frames ...string) string {
	p.t.Helper()
	c, err := net.DialTimeout("tcp", p.addr["stomp"], soon)
	require.NoError(p.t, err)
	defer c.Close()
	require.NoError(p.t, c.SetDeadline(time.Now().Add(soon)))
	_, err = io.WriteString(c, "CONNECT\naccept-version:1.2\nhost:x\n\n\x00"+strings.Join(frames, ""))
	require.NoError(p.t, err)
	var got []byte
	for b := make([]byte, 4096); !bytes.Contains(got, []byte(want)); {
		n, err := c.Read(b)
		require.NoError(p.t, err, "%q", got)
		got = append(got, b[:n]...)
	}
	return string(got)
}

// TestWhatHasAReceiptSurvives stops the node in the given ways, and looks whether
// the next one on the same data hands out what the first one took.
func TestWhatHasAReceiptSurvives(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{"stop": syscall.SIGTERM, "kill": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			p := launch(t, free("serve", "--dev")...)
			p.await("ready")
			p.ask("receipt-id:r1", "SEND\ndestination:/queue/a\npersistent:true\nreceipt:r1\n\nsaved "+name+"\x00")
			require.NoError(t, p.cmd.Process.Signal(signal))
			p.exit()

			p = launch(t, free("serve", "--dev")...)
			p.await("ready")
			p.ask("saved "+name, "SUBSCRIBE\nid:1\ndestination:/queue/a\nack:auto\n\n\x00")
			require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
			require.Equal(t, 0, p.exit(), p.rest.String())
		})
	}
}

func TestNATSClientsAreGreeted(t *testing.T) {
	t.Chdir(t.TempDir())
	p := launch(t, free("serve", "--dev")...)
	p.await("ready")
	c, err := net.DialTimeout("tcp", p.addr["nats"], soon)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(soon)))
	line, err := bufio.NewReader(c).ReadString('\n')
	require.NoError(t, err)
	require.Regexp(t, `^INFO \{.*"server_name":"n1"`, line)
}

func TestTwoNodesDoNotShareTheirData(t *testing.T) {
	t.Chdir(t.TempDir())
	p := launch(t, free("serve", "--dev")...)
	p.await("ready")
	other := launch(t, free("serve", "--dev")...)
	require.Equal(t, 1, other.exit())
	require.Equal(t, "sluice: serve: data directory ./data is in use by another process\n", other.rest.String())
}

// command runs Main in this process.
func command(environ []string, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = Main(args, Process{Stdout: &out, Stderr: &err, Environ: environ})
	return code, out.String(), err.String()
}

func TestCheckConfig(t *testing.T) {
	file := write(t, "durability: relaxed\n")
	code, out, errs := command([]string{"SLUICE_NODE=a.b"}, "check-config", file)
	require.Equal(t, 0, code)
	require.Equal(t, "c.yaml: ok\n", out)
	require.Equal(t, "c.yaml: warning: durability is \"relaxed\": a power cut may lose persistent messages whose receipts were sent\n", errs)

	file = write(t, "durability: disc\nnod: a\n")
	code, out, errs = command(nil, "check-config", file)
	require.Equal(t, 1, code)
	require.Empty(t, out)
	require.Equal(t, "c.yaml:1:13: durability: \"disc\" is not disk, quorum or relaxed, did you mean \"disk\"?\n"+
		"c.yaml:2:1: unknown key \"nod\", did you mean \"node\"?\n", errs)

	code, _, errs = command(nil, "check-config", "none.yaml")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "sluice: read the configuration: open none.yaml: ")
	code, _, _ = command(nil, "check-config")
	require.Equal(t, 1, code)
}

func TestConfigDefaultsIsAFileThatChecks(t *testing.T) {
	code, out, _ := command(nil, "config", "defaults")
	require.Equal(t, 0, code)
	code, said, _ := command(nil, "check-config", write(t, out))
	require.Equal(t, 0, code)
	require.Equal(t, "c.yaml: ok\n", said)
}

func TestVersion(t *testing.T) {
	code, out, _ := command(nil, "version")
	require.Equal(t, 0, code)
	require.Regexp(t, `^sluice \S+ \(go1\.\S+, \w+/\w+\)\n$`, out)
	code, out, _ = command(nil, "version", "-o", "json")
	require.Equal(t, 0, code)
	var b Build
	require.NoError(t, json.Unmarshal([]byte(out), &b))
	require.Equal(t, ReadBuild(), b)
	code, _, errs := command(nil, "version", "-o", "yaml")
	require.Equal(t, 1, code)
	require.Equal(t, "sluice: \"yaml\" is not text or json\n", errs)
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		code, out, _ := command(nil, "completion", shell)
		require.Equal(t, 0, code)
		require.Contains(t, out, "sluice", shell)
	}
	for args, want := range map[string]string{
		"serve --log-level":  "debug\ninfo\nwarn\nerror\n:4\n",
		"serve --log-format": "text\njson\nauto\n:4\n",
		"version -o":         "text\njson\n:4\n",
	} {
		_, out, _ := command(nil, append(strings.Fields("__complete "+args), "")...)
		require.Equal(t, want, out, args)
	}
}

func TestTheFileThatServeReads(t *testing.T) {
	require.Equal(t, "/x.yaml", findConfig([]string{"HOME=/", "SLUICE_CONFIG=/x.yaml"}))
	code, _, errs := command([]string{"SLUICE_CONFIG=/none/x.yaml"}, "serve")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "open /none/x.yaml: ")
	code, _, errs = command(nil, "serve", "--dev", "--config", "x.yaml")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "[config dev]")
}
