package admin_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-mq/sluice/protocols/admin"
)

const soon = 10 * time.Second

// node is a Health whose state a test sets.
type node struct {
	started  atomic.Bool
	draining atomic.Bool
	space    atomic.Bool
}

func (n *node) Started() bool { return n.started.Load() }

func (n *node) Checks() []admin.Check {
	checks := []admin.Check{{Name: "state"}, {Name: "store"}}
	switch {
	case !n.started.Load():
		checks[0].Reason = "starting"
	case n.draining.Load():
		checks[0].Reason = "draining"
	}
	if !n.space.Load() {
		checks[1].Reason = "no space"
	}
	return checks
}

type door struct {
	*admin.Server
	t      *testing.T
	cancel context.CancelFunc
	served chan error
	client *http.Client
}

func open(t *testing.T, cfg admin.Config) *door {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	cfg.Address = "127.0.0.1:0"
	s, err := admin.Listen(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	d := &door{Server: s, t: t, cancel: cancel, served: make(chan error, 1), client: &http.Client{Timeout: soon, Transport: &http.Transport{}}}
	stopped := make(chan struct{})
	go func() { defer close(stopped); d.served <- s.Serve(ctx) }()
	t.Cleanup(func() { d.client.CloseIdleConnections(); cancel(); <-stopped })
	return d
}

func (d *door) do(method, path string) (int, string, http.Header) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, "http://"+d.Addr().String()+path, nil)
	require.NoError(d.t, err)
	res, err := d.client.Do(req)
	require.NoError(d.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(d.t, err)
	return res.StatusCode, string(body), res.Header
}

func (d *door) requireAnswer(path string, status int, body string) {
	d.t.Helper()
	gotStatus, gotBody, _ := d.do(http.MethodGet, path)
	require.Equal(d.t, status, gotStatus, path)
	require.Equal(d.t, body, gotBody, path)
}

func TestProbesFollowTheNode(t *testing.T) {
	n := &node{}
	d := open(t, admin.Config{Health: n})
	d.requireAnswer("/livez", 200, "live\n")
	d.requireAnswer("/healthz", 200, "live\n")
	d.requireAnswer("/startupz", 503, "starting\n")
	d.requireAnswer("/readyz", 503, "not ready: state: starting; store: no space\n")
	d.requireAnswer("/readyz?verbose", 503, "[-] state: starting\n[-] store: no space\nnot ready: state: starting; store: no space\n")

	n.started.Store(true)
	n.space.Store(true)
	d.requireAnswer("/startupz", 200, "started\n")
	d.requireAnswer("/readyz", 200, "ready\n")
	d.requireAnswer("/readyz?verbose=1", 200, "[+] state\n[+] store\nready\n")

	n.draining.Store(true)
	d.requireAnswer("/readyz", 503, "not ready: state: draining\n")
	d.requireAnswer("/startupz", 200, "started\n")
	d.requireAnswer("/livez", 200, "live\n")
}

func TestOtherPathsAndMethodsAreAnsweredInWords(t *testing.T) {
	d := open(t, admin.Config{Health: &node{}})
	d.requireAnswer("/", 404, "there is nothing here; try /livez, /readyz (?verbose), /startupz and /metrics\n")
	d.requireAnswer("/admin/queues.jsp", 404, "there is nothing here; try /livez, /readyz (?verbose), /startupz and /metrics\n")
	status, body, header := d.do(http.MethodPost, "/readyz")
	require.Equal(t, 405, status)
	require.Equal(t, "only GET is possible here\n", body)
	require.Equal(t, "GET, HEAD", header.Get("Allow"))
	_, _, header = d.do(http.MethodGet, "/readyz")
	require.Equal(t, "no-store", header.Get("Cache-Control"))
	status, body, _ = d.do(http.MethodHead, "/livez")
	require.Equal(t, 200, status)
	require.Empty(t, body)
}

func TestMetricsShowTheCollectorsAlone(t *testing.T) {
	sent := prometheus.NewCounter(prometheus.CounterOpts{Name: "sluice_test_total", Help: "Counts."})
	sent.Add(3)
	d := open(t, admin.Config{Health: &node{}, Collectors: []prometheus.Collector{sent}})
	status, body, _ := d.do(http.MethodGet, "/metrics")
	require.Equal(t, 200, status)
	require.Equal(t, "# HELP sluice_test_total Counts.\n# TYPE sluice_test_total counter\nsluice_test_total 3\n", body)
	problems, err := promlint.New(bytes.NewBufferString(body)).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
}

func TestOneMetricTwiceIsRefused(t *testing.T) {
	a := prometheus.NewCounter(prometheus.CounterOpts{Name: "sluice_test_total", Help: "Counts."})
	b := prometheus.NewCounter(prometheus.CounterOpts{Name: "sluice_test_total", Help: "Counts."})
	_, err := admin.Listen(admin.Config{Address: "127.0.0.1:0", Health: &node{}, Collectors: []prometheus.Collector{a, b}})
	require.ErrorContains(t, err, "register metrics: ")
}

func TestAddressInUseIsSaidInWords(t *testing.T) {
	d := open(t, admin.Config{Health: &node{}})
	_, err := admin.Listen(admin.Config{Address: d.Addr().String(), Health: &node{}})
	require.ErrorContains(t, err, "listen on "+d.Addr().String()+": ")
}

func TestDrainEndsServeCleanly(t *testing.T) {
	d := open(t, admin.Config{Health: &node{}})
	d.requireAnswer("/livez", 200, "live\n")
	require.NoError(t, d.Drain(t.Context()))
	require.NoError(t, <-d.served)
	_, err := net.DialTimeout("tcp", d.Addr().String(), soon)
	require.Error(t, err)
}

func TestCancelEndsServe(t *testing.T) {
	d := open(t, admin.Config{Health: &node{}})
	d.cancel()
	require.ErrorIs(t, <-d.served, context.Canceled)
}

func TestConnectionsAboveTheLimitAreClosed(t *testing.T) {
	d := open(t, admin.Config{Health: &node{}, MaxConnections: 1})
	dial := func() net.Conn {
		c, err := net.DialTimeout("tcp", d.Addr().String(), soon)
		require.NoError(t, err)
		require.NoError(t, c.SetDeadline(time.Now().Add(soon)))
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	first := dial()
	ask := func(c net.Conn) (string, error) {
		_, _ = io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
		b := make([]byte, 12)
		n, err := io.ReadFull(c, b)
		return string(b[:n]), err
	}
	got, err := ask(first)
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 200", got)
	_, err = ask(dial())
	require.Error(t, err, "no room")
	require.NoError(t, first.Close())
	require.Eventually(t, func() bool {
		_, err := ask(dial())
		return err == nil
	}, soon, time.Millisecond)
}
