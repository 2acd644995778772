package dispatch

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// rounds is how many runs of events one schedule has; each is some 30 events long.
const rounds = 5

// enough events for the pairs to be asked for.
const enough = 10_000

// coverage counts events and pairs of consecutive ones over all schedules.
type coverage struct {
	names []string
	once  map[string]int
	pairs map[[2]string]int
	total int
}

// TestModel: whatever happens to a queue, in whatever order, it does what the
// model does. The schedules themselves must have been worth running: no event,
// and hardly a pair of events, may be missing.
//
// SLUICE_MODEL_STEPS is how many events there must be, of which then every 16th is followed by a look at everything: 10000000 take an hour.
func TestModel(t *testing.T) {
	cover := coverage{once: map[string]int{}, pairs: map[[2]string]int{}}
	steps, _ := strconv.Atoi(os.Getenv("SLUICE_MODEL_STEPS"))
	for again := true; again && !t.Failed(); again = cover.total < steps {
		rapid.Check(t, func(t *rapid.T) { cover.schedule(t, steps > 0) })
		t.Logf("%d events", cover.total)
	}
	if t.Failed() {
		return
	}
	t.Log("\n" + cover.table())
	cover.require(t)
}

// schedule runs one schedule of random events.
func (c *coverage) schedule(t *rapid.T, long bool) {
	m := newModel(t)
	m.seldom = long
	before := ""
	actions := map[string]func(*rapid.T){"": m.check}
	c.names = c.names[:0]
	for i, event := range m.events() {
		c.names = append(c.names, event.name)
		// The number keeps the order, which is by key.
		actions[fmt.Sprintf("%02d %s", i, event.name)] = func(t *rapid.T) {
			event.apply(t) // does not return if it is skipped
			c.count(before, event.name)
			before = event.name
		}
	}
	if rapid.IntRange(0, 7).Draw(t, "backlog of 8") == 7 {
		m.flood(t)
	}
	for range rounds {
		t.Repeat(actions)
	}
	m.drain(t)
}

func (c *coverage) count(before, name string) {
	c.total++
	c.once[name]++
	if before != "" {
		c.pairs[[2]string{before, name}]++
	}
}

// require fails if the schedules left out too much.
func (c *coverage) require(t *testing.T) {
	for _, name := range c.names {
		require.Positive(t, c.once[name], "%q never happened", name)
	}
	possible, seen := 0, 0
	var missing []string
	for _, a := range c.names {
		for _, b := range c.names {
			n := c.pairs[[2]string{a, b}]
			if cannotFollow(a, b) {
				require.Zero(t, n, "%q was said never to follow %q", b, a)
				continue
			}
			possible++
			if n > 0 {
				seen++
			} else {
				missing = append(missing, a+" > "+b)
			}
		}
	}
	t.Logf("%d events, %d of %d possible pairs; missing: %s", c.total, seen, possible, strings.Join(missing, ", "))
	if c.total >= enough {
		require.GreaterOrEqual(t, 100*seen, 95*possible, "too few pairs of events happened")
	}
}

// table shows how often each event happened and each column's event after each row's.
func (c *coverage) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-17s %6s", "", "once")
	for i := range c.names {
		fmt.Fprintf(&b, " %4d", i)
	}
	for i, row := range c.names {
		fmt.Fprintf(&b, "\n%2d %-14s %6d", i, row, c.once[row])
		for _, column := range c.names {
			if n := c.pairs[[2]string{row, column}]; n > 0 || !cannotFollow(row, column) {
				fmt.Fprintf(&b, " %4d", n)
			} else {
				b.WriteString("    -")
			}
		}
	}
	return b.String()
}
