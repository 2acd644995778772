package bench

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestLedgerTellsWhatIsWrong(t *testing.T) {
	queue := Scenario{Destinations: 1, Producers: 1, Consumers: 2, Messages: 3}
	topic := queue
	topic.Topic = true
	type entry struct {
		consumer    int
		number      uint64
		redelivered bool
	}
	for name, c := range map[string]struct {
		scenario Scenario
		got      []entry
		want     Verdict
	}{
		"all well, shared":         {queue, []entry{{0, 0, false}, {1, 1, false}, {0, 2, false}}, Verdict{Expected: 3, Received: 3}},
		"one lost":                 {queue, []entry{{0, 0, false}, {1, 2, false}}, Verdict{Expected: 3, Received: 2, Lost: 1}},
		"doubled at one":           {queue, []entry{{0, 0, false}, {0, 0, false}, {0, 1, false}, {0, 2, false}}, Verdict{Expected: 3, Received: 3, Doubled: 1}},
		"doubled at two":           {queue, []entry{{0, 0, false}, {1, 0, false}, {0, 1, false}, {0, 2, false}}, Verdict{Expected: 3, Received: 3, Doubled: 1}},
		"repeated, and said so":    {queue, []entry{{0, 0, false}, {0, 0, true}, {0, 1, false}, {0, 2, false}}, Verdict{Expected: 3, Received: 3, Repeated: 1}},
		"reordered":                {queue, []entry{{0, 1, false}, {0, 0, false}, {0, 2, false}}, Verdict{Expected: 3, Received: 3, Reordered: 1}},
		"nobody sent it":           {queue, []entry{{0, 0, false}, {0, 1, false}, {0, 2, false}, {0, 3, false}}, Verdict{Expected: 3, Received: 3, Damaged: 1}},
		"a topic is due to all":    {topic, []entry{{0, 0, false}, {0, 1, false}, {0, 2, false}, {1, 0, false}, {1, 2, false}}, Verdict{Expected: 6, Received: 5, Lost: 1}},
		"a topic's copies are two": {topic, []entry{{0, 0, false}, {0, 1, false}, {0, 2, false}, {1, 0, false}, {1, 1, false}, {1, 2, false}}, Verdict{Expected: 6, Received: 6}},
	} {
		t.Run(name, func(t *testing.T) {
			ledgers := []*ledger{newLedger(c.scenario), newLedger(c.scenario)}
			for _, e := range c.got {
				ledgers[e.consumer].enter(stamp{number: e.number}, e.redelivered)
			}
			got := judge(c.scenario, ledgers)
			require.Equal(t, c.want, got)
			require.Equal(t, strings.HasPrefix(name, "all well") || strings.Contains(name, "said so") || strings.Contains(name, "are two"), got.Clean())
		})
	}
}

// One changed byte anywhere in a body is seen.
func TestStampSeesDamage(t *testing.T) {
	z := newSealer(7)
	rapid.Check(t, func(t *rapid.T) {
		body := make([]byte, rapid.IntRange(MinSize, 200).Draw(t, "size"))
		fill(body, 3)
		want := stamp{7, 3, rapid.Uint64().Draw(t, "number"), rapid.Int64().Draw(t, "due")}
		z.seal(body, want.flow, want.number, want.due)
		got, err := z.open(body, len(body))
		require.NoError(t, err)
		require.Equal(t, want, got)
		body[rapid.IntRange(0, len(body)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "change"))
		_, err = z.open(body, len(body))
		require.Error(t, err)
		_, err = z.open(body[:len(body)-1], len(body))
		require.ErrorContains(t, err, "bytes where")
	})
}

func TestMessagesOfAnotherRunAreStrangers(t *testing.T) {
	body := make([]byte, MinSize)
	newSealer(1).seal(body, 0, 0, 0)
	_, err := newSealer(2).open(body, MinSize)
	require.ErrorContains(t, err, "another run")
}

// A report shows the median run, but never hides one that went wrong.
func TestReportShowsMedianUnlessARunWentWrong(t *testing.T) {
	run := func(rate float64, lost int) Result {
		return Result{Target: "b", Scenario: Scenario{Name: "s"}, Deliver: rate, Verdict: Verdict{Lost: lost}}
	}
	r := Report{Host: "h", Results: []Result{run(30_000, 0), run(10_000, 0), run(20_000, 0)}}
	require.True(t, r.Clean())
	var md bytes.Buffer
	require.NoError(t, r.Markdown(&md))
	require.Contains(t, md.String(), "| s | b | 20 k |")
	require.Contains(t, md.String(), "clean")
	r.Results = append(r.Results, run(90_000, 4))
	require.False(t, r.Clean())
	var table bytes.Buffer
	require.NoError(t, r.Table(&table))
	require.Contains(t, table.String(), "4 lost")
	var js bytes.Buffer
	require.NoError(t, r.JSON(&js))
	var back Report
	require.NoError(t, json.Unmarshal(js.Bytes(), &back))
	require.Equal(t, r, back)
}

func TestScenarioRefusesWhatCannotRun(t *testing.T) {
	good := Scenarios()[0]
	require.NoError(t, good.Validate())
	for want, change := range map[string]func(*Scenario){
		"producers is 0":          func(s *Scenario) { s.Producers = 0 },
		"size is 27":              func(s *Scenario) { s.Size = MinSize - 1 },
		"cannot be negative":      func(s *Scenario) { s.Window = -1 },
		`"none" is not auto`:      func(s *Scenario) { s.Ack = "none" },
		"wildcards are for":       func(s *Scenario) { s.Wildcard = true },
		"each destination needs":  func(s *Scenario) { s.Messages, s.Destinations = 1, 2 },
		"each producer and":       func(s *Scenario) { s.Messages, s.Producers = 1, 2 },
		"are for topics":          func(s *Scenario) { s.Durable = true },
		"all messages are taken":  func(s *Scenario) { s.Selected = 2 },
		"a backlog is for queues": func(s *Scenario) { s.Topic, s.Backlog = true, true },
	} {
		s := good
		change(&s)
		require.ErrorContains(t, s.Validate(), want)
	}
}
