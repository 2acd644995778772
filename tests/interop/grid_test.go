package interop

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
	"github.com/sluice-mq/sluice/tests/node"
)

// The scenes below are played by clients of our own that do, frame by frame, what programs of the grids do; the
// names are those of the programs. All play at three nodes at once.

// pending are the scenes that cannot be played yet, and the feature that each waits for. One of them that can is a failure:
// then its line has to go.
var pending = map[string]string{}

// scenes are what is played. Those of last change what others need, and come one after the other.
func scenes() (together, last map[string]func(*play)) {
	return map[string]func(*play){
			"diracConnector":           diracConnector,
			"diracSimpleQueue":         inPython("dirac_simple_queue"),
			"diracSimpleTopic":         inPython("dirac_simple_topic"),
			"hermes":                   hermes,
			"kronosChunks":             inPython("kronos_chunks"),
			"kronosVirtualTopic":       inPython("kronos_virtual_topic"),
			"receiver":                 inPython("receiver"),
			"panda":                    inPython("panda"),
			"pandaRemovers":            inPython("panda_removers"),
			"idds":                     inPython("idds"),
			"iddsAcksWithTheMessageID": inPython("idds_acks_with_the_message_id"),
			"iddsSelectors":            inPython("idds_selectors"),
			"cms":                      inPython("cms"),
			"cmsTransaction":           inPython("cms_transaction"),
			"fts":                      fts,
			"ftsConsumer":              ftsConsumer,
			"ftsDurable":               ftsDurable,
			"phpDurable":               phpDurable,
			"activemqComposite":        activemqComposite,
			"queueWildcards":           queueWildcards,
			"temporaryQueue":           temporaryQueue,
			"browser":                  browser,
			"operators":                operators,
			"mixedAnswers":             mixedAnswers,
			"shoveler":                 shoveler,
		}, map[string]func(*play){
			"shovelerLosesANode": shovelerLosesANode,
		}
}

func TestGrid(t *testing.T) {
	node.Needs(t, "python3-stomp", python, "-c", "import stomp")
	t.Parallel()
	c := node.StartCluster(t)
	together, last := scenes()
	t.Run("together", func(t *testing.T) {
		for name, scene := range together {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				perform(t, c, name, scene)
			})
		}
	})
	for name, scene := range last {
		t.Run(name, func(t *testing.T) { perform(t, c, name, scene) })
	}
	for name := range pending {
		require.True(t, together[name] != nil || last[name] != nil, "there is no scene %s", name)
	}
}

// perform plays a scene and says what became of it.
func perform(t *testing.T, c *node.Cluster, name string, scene func(*play)) {
	feature, waits := pending[name]
	p := &play{TB: t, cluster: c, soon: soon}
	if waits {
		p.soon = 5 * time.Second
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		scene(p)
	}()
	<-over
	failures := p.failures.String()
	if !waits {
		require.Empty(t, failures)
		return
	}
	require.NotEmpty(t, failures, "it waits for %s no more: take its line out of pending", feature)
	require.Contains(t, failures, feature+" are not supported by this version", "it fails for another reason than that it waits for %s", feature)
	t.Logf("waits for %s", feature)
}

// play is a scene while it is played, for one goroutine. A failure ends it, and is written down: whether the test fails is for perform
// to say.
type play struct {
	testing.TB
	cluster  *node.Cluster
	soon     time.Duration // how long anything may take
	failures strings.Builder
}

// Errorf writes a failure down.
func (p *play) Errorf(format string, args ...any) { fmt.Fprintf(&p.failures, format+"\n", args...) }

// FailNow ends the scene.
func (p *play) FailNow() { runtime.Goexit() }

// Fatalf writes a failure down and ends the scene.
func (p *play) Fatalf(format string, args ...any) {
	p.Errorf(format, args...)
	p.FailNow()
}

// Fatal writes a failure down and ends the scene.
func (p *play) Fatal(args ...any) { p.Fatalf("%s", fmt.Sprintln(args...)) }

// at is where a node speaks STOMP.
func (p *play) at(i int) string { return p.cluster.Nodes[i].Addr("stomp") }

// inPython is a scene of testdata/grid.py.
func inPython(scene string) func(*play) {
	return func(p *play) { require.Equal(p, "ok", p.python(scene)) }
}

// python has grid.py play a scene and returns what it says.
func (p *play) python(scene string) string {
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	arguments := []string{"testdata/grid.py", scene, strconv.FormatFloat(p.soon.Seconds(), 'f', -1, 64)}
	for i := range p.cluster.Nodes {
		arguments = append(arguments, p.at(i))
	}
	cmd := exec.CommandContext(ctx, python, arguments...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	require.NoError(p, err, "%s\n%s", out, &complaints)
	said := strings.TrimSpace(string(out))
	if said != "ok" {
		said += "\n" + complaints.String()
	}
	return said
}

// hermes sends and does not look back. What it sent before it went is there.
func hermes(p *play) {
	require.Equal(p, "ok", p.python("hermes"))
	c := raw.Login(p, p.at(0), "1.2")
	c.Ask("SUBSCRIBE", "", "id:1", "destination:/queue/rucio.events", "ack:auto")
	seen := map[string]int{}
	for len(seen) < 900 {
		m := c.Expect("MESSAGE")
		require.Equal(p, "transfer-done", m.Get("event_type"))
		require.Equal(p, "true", m.Get("persistent"))
		seen[m.Body]++
		require.Equal(p, 1, seen[m.Body], m.Body)
	}
	c.Ask("UNSUBSCRIBE", "", "id:1")
}
