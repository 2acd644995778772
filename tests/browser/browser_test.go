package browser

import (
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

// left reads a queue up to a last message that it sends itself, and returns what else was there.
func left(t *testing.T, n *node.Node, queue string, options ...func(*stomp.Conn) error) (rest []*stomp.Message) {
	t.Helper()
	c, err := stomp.Dial("tcp", n.Addr("stomp"), options...)
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Disconnect()) }()
	require.NoError(t, c.Send(queue, "text/plain", []byte("the last one"), stomp.SendOpt.Receipt, stomp.SendOpt.Header("persistent", "true")))
	s, err := c.Subscribe(queue, stomp.AckAuto)
	require.NoError(t, err)
	for {
		select {
		case m := <-s.C:
			require.NoError(t, m.Err)
			if string(m.Body) == "the last one" {
				return rest
			}
			rest = append(rest, m)
		case <-time.After(soon):
			require.FailNow(t, "the last message never came")
		}
	}
}

func TestTwoPagesChat(t *testing.T) {
	origin := site(t)
	n := node.StartConfigured(t, configuration(origin))
	b := browser(t)
	alice, bob := open(t, b, origin), open(t, b, origin)
	alice.connect(n)
	bob.connect(n)
	alice.say("Hello, Bob: \u00fc \u4e16")
	for _, p := range []*page{alice, bob} {
		p.hears("Hello, Bob: \u00fc \u4e16")
	}
	bob.say(`<img src=x onerror="alert(1)">`) // text is text
	for _, p := range []*page{alice, bob} {
		p.hears("Hello, Bob: \u00fc \u4e16", `<img src=x onerror="alert(1)">`)
		require.Zero(t, run[int](p, `document.querySelectorAll("img").length`))
	}
	alice.stored()
	bob.click("#disconnect")
	require.Equal(t, "off", bob.state())
	bob.say("later") // without a connection it waits
	require.Equal(t, []string{"later"}, bob.lines("outbox"))
	bob.connect(n)
	alice.await("what waited is sent", func() bool { return len(alice.lines("chat")) == 3 })
	bob.stored()
	require.Empty(t, append(alice.lines("errors"), bob.lines("errors")...))
}

func TestWorkIsAcknowledgedPieceByPiece(t *testing.T) {
	origin := site(t)
	n := node.StartConfigured(t, configuration(origin))
	p := open(t, browser(t), origin)
	p.connect(n)
	p.give("one", "two", "three", "four")
	p.stored()
	p.has("one", "two", "three", "four")
	p.settle("three", "Done")
	p.settle("two", "Refuse")
	p.has("one", "four")
	p.click("#disconnect")
	p.has()
	p.connect(n)
	p.has("one (again)", "four (again)")
	p.settle("one", "Done")
	p.click("#disconnect")
	p.connect(n)
	p.has("four (again)")
	p.click("#disconnect")

	rest := left(t, n, "/queue/work")
	require.Len(t, rest, 1)
	require.Equal(t, "four", string(rest[0].Body))
	dead := left(t, n, "/queue/ActiveMQ.DLQ")
	require.Len(t, dead, 1)
	require.Equal(t, "two", string(dead[0].Body))
	require.Equal(t, "/queue/work", dead[0].Header.Get("original-destination"))
	require.Empty(t, p.lines("errors"))
}

func TestAPageOfAnotherOriginDoesNotGetIn(t *testing.T) {
	origin, foreign := site(t), site(t)
	n := node.StartConfigured(t, configuration(origin))
	b := browser(t)
	p := open(t, b, foreign)
	p.fill("urls", url(n))
	p.click("#connect")
	n.AwaitLog("web pages of this origin may not connect")
	p.await("the page is told nothing but that there is no way", func() bool {
		return p.text("state") == "the node is away; trying the next one"
	})
	open(t, b, origin).connect(n)
	require.Equal(t, "away", p.state())
}

func TestWhatIsRefusedIsShown(t *testing.T) {
	origin := site(t)
	n := node.StartConfigured(t, strings.Replace(configuration(origin), "  - {protocol: nats, address: \"127.0.0.1:0\"}\n", "", 1)+`auth:
  users:
    - {name: alice, password: wonderland}
  acl:
    - {users: [alice], allow: [read], on: ["/topic/>"]}
    - {users: [alice], allow: [read, write, create], on: ["/queue/>"]}
`)
	p := open(t, browser(t), origin)
	p.fill("urls", url(n))
	p.fill("login", "alice")
	p.fill("passcode", "wrong")
	p.click("#connect")
	p.await("the page says why", func() bool { return p.text("state") == "User name [alice] or password is invalid." })
	require.Equal(t, "refused", p.state())

	p.fill("passcode", "wonderland")
	p.connect(n)
	p.say("Hello?")
	p.give("one")
	p.has("one")
	p.stored()
	require.Equal(t, []string{
		"User name [alice] or password is invalid.",
		"User alice is not authorized to write to: topic://chat: Hello?",
	}, p.lines("errors"))
	require.Empty(t, p.lines("chat"))
	require.Equal(t, "connected", p.state())

	p.fill("login", "") // a page without a login is nobody
	p.click("#connect")
	p.await("the page says why", func() bool { return p.text("state") == "User name [null] or password is invalid." })
}

// The gateway takes what the README says.
func TestTheReadmesListener(t *testing.T) {
	readme, err := os.ReadFile("../../deploy/examples/browser/README.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(readme), "```yaml\n")
	require.True(t, found)
	yaml, _, _ := strings.Cut(rest, "```")
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	require.NoError(t, os.WriteFile(file, []byte(yaml), 0o600))
	out, err := exec.Command(node.Binary(t), "check-config", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
}
