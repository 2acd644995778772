package browser

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/node"
)

// soon is the deadline of what ought to happen at once on an idle machine. Chromium starts slowly on others.
const soon = 2 * time.Minute

func TestMain(m *testing.M) {
	code := node.Run(m)
	if err := exampleFolder(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

var (
	// example is the installed page, in a folder of its own, for all tests.
	example = sync.OnceValues(install)
	// folder is where it is.
	folder = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "sluice-browser-") })
)

// exampleFolder removes what install left.
func exampleFolder() error {
	dir, err := folder()
	if err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// install does what the example's README says, in a copy.
func install() (string, error) {
	dir, err := folder()
	if err != nil {
		return "", err
	}
	if err := os.CopyFS(dir, os.DirFS("../../deploy/examples/browser")); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--omit=dev")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm install: %w\n%s", err, out)
	}
	return dir, nil
}

// site serves the example and returns its origin.
func site(t *testing.T) string {
	t.Helper()
	node.Needs(t, "chromium", "chromium", "--version")
	node.Needs(t, "npm", "npm", "--version")
	dir, err := example()
	if err != nil {
		node.Missing(t, "the example cannot be installed: %v", err)
	}
	s := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(s.Close)
	return s.URL
}

// configuration is that of a node that lets pages of an origin in.
func configuration(origin string) string {
	return fmt.Sprintf(`listeners:
  - {protocol: stomp, address: "127.0.0.1:0"}
  - {protocol: websocket, address: "127.0.0.1:0", origins: [%q]}
  - {protocol: nats, address: "127.0.0.1:0"}
  - {protocol: admin, address: "127.0.0.1:0"}
`, origin)
}

// browser starts a Chromium that reaches loopback alone.
func browser(t *testing.T) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"), chromedp.UserDataDir(filepath.Join(t.TempDir(), "profile")),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, release := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		cancel()
		release()
		chromedp.FromContext(ctx).Allocator.Wait()
	})
	watchdog := time.AfterFunc(soon, cancel)
	require.NoError(t, chromedp.Do(ctx))
	require.True(t, watchdog.Stop(), "Chromium does not start")
	return ctx
}

// page is the example in a tab of its own.
type page struct {
	*testing.T
	tab context.Context
}

// open shows the example. What it does not catch fails the test.
func open(t *testing.T, browser context.Context, origin string) *page {
	t.Helper()
	tab, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	p := &page{t, tab}
	var mu sync.Mutex
	var exceptions []string
	require.NoError(t, chromedp.Do(tab))
	require.NoError(t, chromedp.Listen(tab, func(event any) {
		if e, ok := event.(*runtime.EventExceptionThrown); ok {
			mu.Lock()
			defer mu.Unlock()
			exceptions = append(exceptions, fmt.Sprintf("%s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
		}
	}))
	t.Cleanup(func() {
		if t.Failed() && tab.Err() == nil {
			t.Logf("the page says %q, work %v, chat %q, outbox %q, errors %q", p.text("state"), p.work(), p.lines("chat"), p.lines("outbox"), p.lines("errors"))
		}
		mu.Lock()
		defer mu.Unlock()
		for _, e := range exceptions {
			t.Errorf("the page did not catch: %s", e)
		}
	})
	ctx, done := context.WithTimeout(tab, soon)
	defer done()
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(origin+"/")))
	return p
}

// run has the page evaluate an expression.
func run[T any](p *page, expression string, args ...any) T {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.tab, soon)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](fmt.Sprintf(expression, args...)))
	require.NoError(p, err, expression)
	return v
}

// quote makes a text one of JavaScript.
func quote(s string) string { return strconv.QuoteToASCII(s) }

// fill writes into a field, and click presses a button; both as a user does: what is disabled or hidden cannot be.
func (p *page) fill(id, text string) {
	p.Helper()
	run[bool](p, `(() => { const f = document.getElementById(%s); f.focus(); f.value = %s; return true })()`, quote(id), quote(text))
}

func (p *page) click(selector string) {
	p.Helper()
	require.True(p, run[bool](p, `(() => {
		const b = document.querySelector(%s);
		if (!b || b.disabled || !b.checkVisibility()) return false;
		b.click();
		return true;
	})()`, quote(selector)), "no button %s", selector)
}

func (p *page) text(id string) string {
	p.Helper()
	return run[string](p, `document.getElementById(%s).textContent`, quote(id))
}

func (p *page) state() string {
	p.Helper()
	return run[string](p, `document.getElementById("state").dataset.state`)
}

// lines are the entries of a list.
func (p *page) lines(id string) []string {
	p.Helper()
	return run[[]string](p, `[...document.querySelectorAll("#" + %s + " li")].map((e) => e.firstChild.textContent.trim())`, quote(id))
}

// work is what the page has to do, without what it is about to settle.
func (p *page) work() []string {
	p.Helper()
	return run[[]string](p, `[...document.querySelectorAll("#work li:has(button:enabled)")].map((e) => e.firstChild.textContent.trim())`)
}

// await polls until something holds.
func (p *page) await(what string, holds func() bool) {
	p.Helper()
	for deadline := time.Now().Add(soon); !holds(); time.Sleep(20 * time.Millisecond) {
		require.False(p, time.Now().After(deadline), "never: %s", what)
	}
}

// connect presses Connect and waits for the first of these nodes.
func (p *page) connect(nodes ...*node.Node) {
	p.Helper()
	var urls []string
	for _, n := range nodes {
		urls = append(urls, url(n))
	}
	p.fill("urls", strings.Join(urls, ", "))
	p.click("#connect")
	p.connected(nodes[0])
}

// connected waits until the page is, to one of these nodes.
func (p *page) connected(nodes ...*node.Node) {
	p.Helper()
	var any []string
	for _, n := range nodes {
		any = append(any, "connected to "+url(n))
	}
	p.await(strings.Join(any, " or "), func() bool { return slices.Contains(any, p.text("state")) })
}

func (p *page) say(text string) {
	p.Helper()
	p.fill("text", text)
	p.click("#say button")
}

func (p *page) give(pieces ...string) {
	p.Helper()
	for _, piece := range pieces {
		p.fill("piece", piece)
		p.click("#give button")
	}
}

// stored waits until everything that was sent has its receipt.
func (p *page) stored() {
	p.Helper()
	p.await("everything is stored", func() bool { return len(p.lines("outbox")) == 0 })
}

// settle presses the button of a piece of work and waits until it is gone. Another one with the same text may stay.
func (p *page) settle(body, button string) {
	p.Helper()
	require.True(p, run[bool](p, `(() => {
		window.settling = [...document.querySelectorAll("#work li:has(button:enabled)")].find((e) => e.dataset.body === %s);
		const b = window.settling && [...window.settling.querySelectorAll("button")].find((b) => b.textContent === %s);
		if (!b) return false;
		b.click();
		return true;
	})()`, quote(body), quote(button)), "%s cannot be pressed for %s", button, body)
	p.await(button+" of "+body, func() bool { return !run[bool](p, `window.settling.isConnected`) })
}

func (p *page) hears(texts ...string) {
	p.Helper()
	p.await(fmt.Sprintf("the chat is %q", texts), func() bool { return slices.Equal(p.lines("chat"), texts) })
}

func (p *page) has(pieces ...string) {
	p.Helper()
	p.await(fmt.Sprintf("the work is %q", pieces), func() bool { return slices.Equal(p.work(), pieces) })
}

// url is where a page reaches a node.
func url(n *node.Node) string {
	host, port, err := net.SplitHostPort(n.Addr("websocket"))
	if err != nil {
		panic(err)
	}
	return "ws://" + net.JoinHostPort(host, port) + "/"
}
