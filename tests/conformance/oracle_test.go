package conformance

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/node"
)

// oracleVariable says what is done with the probes:
//
//	""       Sluice is asked and compared with what ActiveMQ answered when it was recorded
//	adopt    the same, and our answers become those of differences.txt; read them before they are committed
//	record   ActiveMQ is started and asked, and its answers are written down
//	compare  ActiveMQ is started and asked, and has to answer as it did
const oracleVariable = "SLUICE_ORACLE"

// oracleAddrVariable names an ActiveMQ that runs already, with the configuration in testdata/activemq.
const oracleAddrVariable = "SLUICE_ORACLE_ADDR"

// oracleOnlyVariable is a regular expression of the names of the probes that are asked; the tables are not held against the others.
const oracleOnlyVariable = "SLUICE_ORACLE_ONLY"

// atOnce is how many probes are asked side by side.
const atOnce = 120

// guarded is the configuration of the node that is asked: the people, rights and policies of testdata/activemq.
const guarded = `
policies:
- {on: [/queue/prioritized.>], priorities: true}
- {on: [/queue/exclusive.>], exclusive: true}
- {on: [/queue/individual.>], dead_letter: {queue: "DLQ.{name}"}}
- {on: [/topic/individual.>], dead_letter: {queue: "DLQ.Topic.{name}"}}
- {on: [/queue/all.dead.>], dead_letter: {queue: "DLQ.{name}", keep_non_persistent: true}}
- {on: [/queue/expired.dropped.>], dead_letter: {queue: "DLQ.{name}", drop_expired: true}}
- {on: [/queue/none.dead.>], dead_letter: {off: true}}
- {on: [/topic/lastimage.>], retain: {messages: 1}}
- {on: [/topic/fixedcount.>], retain: {messages: 3}}
- {on: [/topic/always.fixedcount.>], retain: {messages: 3, always: true}}
- {on: [/topic/slow.>], pending: 2, advisories: [slow, discarded]}
- {on: [/queue/advised.>], advisories: [delivered, consumed]}
- {on: [/topic/advised.>], advisories: [delivered, consumed, slow, no_consumers]}
listeners:
- {protocol: stomp, address: "127.0.0.1:0"}
- {protocol: admin, address: "127.0.0.1:0"}
auth:
  anonymous: true
  users:
  - {name: guest, password: guest, groups: [guests, everybody]}
  - {name: poor, password: poor, groups: [paupers]}
  acl:
  - {groups: [paupers], allow: [all], on: [/queue/poor.>]}
  - {groups: [paupers], allow: [read, create], on: [/queue/readonly.>]}
  - {groups: [paupers], allow: [write, create], on: [/queue/writeonly.>]}
  - {groups: [paupers], deny: [all], on: [/queue/>, /topic/>, /temp-queue/>, /temp-topic/>]}
  - {groups: [everybody], allow: [all], on: [/admin/status]}
  - {groups: ["*"], allow: [all], on: [/queue/>, /topic/>, /temp-queue/>, /temp-topic/>]}
`

func TestOracle(t *testing.T) {
	probes, err := readProbes()
	require.NoError(t, err)
	tables, err := readTables(probes)
	require.NoError(t, err)
	only := regexp.MustCompile(os.Getenv(oracleOnlyVariable))
	probes = slices.DeleteFunc(probes, func(p probe) bool { return !only.MatchString(p.name) })
	mode := os.Getenv(oracleVariable)
	require.True(t, mode == "" || mode == "compare" || only.String() == "", "what is written down is written of all probes")
	switch mode {
	case "", "adopt":
		require.NotEmpty(t, probes)
		addr := node.StartConfigured(t, guarded).Addr("stomp")
		answers := ask(t, addr, probes, tables.manner, atOnce)
		askAgain(t, addr, tables, probes, answers)
		judge(t, tables, probes, answers, mode == "adopt")
	case "record", "compare":
		addr := os.Getenv(oracleAddrVariable)
		if addr == "" {
			addr = startActiveMQ(t)
		}
		answers := ask(t, addr, probes, patiently(20*time.Second), 8)
		var late []probe // what was lost in the others' noise is asked again, in silence
		var places []int
		for i, a := range answers {
			if waited(a) {
				late, places = append(late, probes[i]), append(places, i)
			}
		}
		for i, a := range ask(t, addr, late, patiently(8*time.Second), 1) {
			answers[places[i]] = a
		}
		if mode == "record" {
			require.NoError(t, writeGolden(probes, answers))
		}
		compare(t, tables, probes, answers, mode == "record")
	default:
		t.Fatalf("%s=%s: adopt, record or compare", oracleVariable, mode)
	}
}

// manner sets how a player asks a probe.
type manner func(probe, *player)

// patiently is how ActiveMQ is asked, which takes its time on a busy machine.
func patiently(waits time.Duration) manner {
	return func(_ probe, p *player) { p.waits, p.quiet = waits, time.Second }
}

// manner is how we are asked: of what is pending no more than is needed to see that it is.
func (t *tables) manner(of probe, p *player) {
	p.waits, p.quiet = 10*time.Second, 250*time.Millisecond
	switch d := t.differences[of.name]; {
	case d == nil:
	case waited(d.ours): // nothing comes, and that is the difference
		p.waits = 2 * time.Second
	case !strings.Contains(strings.Join(d.ours, "\n"), "(silent)"): // something comes where ActiveMQ is silent
		p.quiet = p.waits
	}
	if _, waits := t.pending[of.name]; waits {
		p.waits = time.Second
		golden, seen := t.golden[of.name], map[string]bool{}
		p.goesOn = func(so []string) bool {
			ours := t.without(spoken(so), seen)
			return len(ours) <= len(golden) && slices.Equal(golden[:len(ours)], ours)
		}
	}
}

// ask asks all probes, many at once, and returns their transcripts in the same order.
func ask(t *testing.T, addr string, probes []probe, manner manner, atOnce int) [][]string {
	t.Helper()
	began := time.Now()
	answers, failures := make([][]string, len(probes)), make([]error, len(probes))
	run := strings.ToLower(fmt.Sprintf("o%x", began.UnixNano()/1e6%0xffffff))
	locks := map[string]*sync.Mutex{}
	for _, p := range probes {
		for _, name := range p.locks {
			locks[name] = &sync.Mutex{}
		}
	}
	turns := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, p := range probes {
		all.Go(func() {
			for _, name := range p.locks { // in the order of the script, which is the alphabet's where there are several
				locks[name].Lock()
				defer locks[name].Unlock()
			}
			turns <- struct{}{}
			defer func() { <-turns }()
			name := fmt.Sprintf("%sx%03d", run, i)
			player := &player{t: t, addr: addr, name: name, veil: newVeil(name)}
			manner(p, player)
			start := time.Now()
			answers[i], failures[i] = player.play(p)
			if took := time.Since(start); took > 5*time.Second {
				t.Logf("%s took %v", p.name, took.Round(time.Millisecond))
			}
		})
	}
	all.Wait()
	for i, err := range failures {
		require.NoError(t, err, probes[i].name)
	}
	nc, err := net.DialTimeout("tcp", addr, 10*time.Second)
	require.NoError(t, err, "the broker is gone")
	_ = nc.Close()
	t.Logf("%d probes in %v", len(probes), time.Since(began).Round(time.Millisecond))
	return answers
}

// askAgain asks those probes again, alone, whose answers are not the expected ones: on a busy machine a delay of 200 ms
// may be over before the next step of a probe is read. What differs for another reason differs again; and more than
// a few are no accident.
func askAgain(t *testing.T, addr string, tables *tables, probes []probe, answers [][]string) {
	t.Helper()
	const most = 12
	var odd []probe
	var places []int
	added := map[string]bool{}
	for i, p := range probes {
		_, waits := tables.pending[p.name]
		want, ours := tables.golden[p.name], spoken(answers[i])
		if d := tables.differences[p.name]; d != nil {
			want = spoken(d.ours)
		} else {
			ours = tables.without(ours, added)
		}
		if slices.Equal(want, ours) == waits {
			odd, places = append(odd, p), append(places, i)
			t.Logf("%s is asked again; among the others it said\n%s", p.name, sideBySide(want, ours))
		}
	}
	if len(odd) == 0 || len(odd) > most {
		return
	}
	for i, a := range ask(t, addr, odd, tables.manner, 1) {
		answers[places[i]] = a
	}
}

// judge holds our answers against ActiveMQ's and against the tables.
func judge(t *testing.T, tables *tables, probes []probe, answers [][]string, adopt bool) {
	t.Helper()
	var equal, different, pending int
	added := map[string]bool{}
	for i, p := range probes {
		golden, ours := tables.golden[p.name], spoken(answers[i])
		feature, waits := tables.pending[p.name]
		declared := tables.differences[p.name]
		if declared == nil {
			ours = tables.without(ours, added)
		}
		same := slices.Equal(golden, ours)
		t.Run(p.name, func(t *testing.T) {
			switch {
			case len(golden) == 0 || !slices.Equal(asked(golden), asked(scripted(p))) && !waited(golden):
				t.Errorf("the script of %s is not the one that was recorded: make oracle", p.name)
			case waits && same:
				t.Errorf("%s answers as ActiveMQ does: take it from pending.txt (it waited for: %s)", p.name, feature)
			case waits:
				pending++
			case declared != nil && same:
				t.Errorf("%s answers as ActiveMQ does: take it from differences.txt", p.name)
			case declared != nil && adopt:
				declared.ours = answers[i]
				different++
			case declared != nil && !slices.Equal(spoken(declared.ours), ours):
				t.Errorf("%s differs from ActiveMQ, but not as differences.txt says\n%s", p.name, sideBySide(spoken(declared.ours), ours))
			case declared != nil:
				different++
			case !same:
				t.Errorf("%s (%s) differs from ActiveMQ\n%s", p.name, p.title, sideBySide(golden, ours))
			default:
				equal++
			}
		})
	}
	for name := range tables.added {
		if !added[name] && os.Getenv(oracleOnlyVariable) == "" {
			t.Errorf("the header %s is nowhere: take it from differences.txt", name)
		}
	}
	if adopt {
		require.NoError(t, tables.writeDifferences(probes))
	}
	fmt.Printf("oracle: %d probes: %d equal, %d different on purpose, %d pending\n", len(probes), equal, different, pending)
}

// compare holds ActiveMQ's answers against what it answered when it was recorded.
func compare(t *testing.T, tables *tables, probes []probe, answers [][]string, recorded bool) {
	t.Helper()
	var changed int
	for i, p := range probes {
		golden, now := tables.golden[p.name], spoken(answers[i])
		if waited(now) {
			t.Errorf("%s: ActiveMQ gave no answer: the script waits for what does not come\n%s", p.name, strings.Join(now, "\n"))
		}
		if slices.Equal(golden, now) {
			continue
		}
		changed++
		if !recorded {
			t.Errorf("%s: ActiveMQ has changed its answer\n%s", p.name, sideBySide(golden, now))
		}
	}
	fmt.Printf("oracle: %d probes asked of ActiveMQ, %d answers are others than were recorded\n", len(probes), changed)
}

// scripted is a transcript without answers.
func scripted(p probe) (lines []string) {
	for _, s := range p.steps {
		lines = append(lines, "> "+s.text)
	}
	return lines
}

// asked is what a transcript says that was asked.
func asked(transcript []string) (lines []string) {
	for _, l := range transcript {
		if strings.HasPrefix(l, "> ") {
			lines = append(lines, l)
		}
	}
	return lines
}

// spoken is a transcript without remarks.
func spoken(transcript []string) (lines []string) {
	for _, l := range transcript {
		if !strings.HasPrefix(l, "#") {
			lines = append(lines, l)
		}
	}
	return lines
}

// sideBySide marks the lines of two transcripts that differ.
func sideBySide(golden, ours []string) string {
	var b strings.Builder
	for i := range max(len(golden), len(ours)) {
		var g, o string
		if i < len(golden) {
			g = golden[i]
		}
		if i < len(ours) {
			o = ours[i]
		}
		if g == o {
			fmt.Fprintf(&b, "    %s\n", g)
			continue
		}
		fmt.Fprintf(&b, "  - %s\n  + %s\n", g, o)
	}
	return b.String()
}

// writeGolden writes what ActiveMQ answered, a file per room.
func writeGolden(probes []probe, answers [][]string) error {
	rooms := map[string]*strings.Builder{}
	for i, p := range probes {
		b := rooms[p.room]
		if b == nil {
			b = &strings.Builder{}
			rooms[p.room] = b
			fmt.Fprintf(b, "# What ActiveMQ 5.17.2 answers to ../probes/%s.txt, written by make oracle: do not edit.\n", p.room)
		}
		fmt.Fprintf(b, "\n## %s  %s\n%s\n", p.name, p.title, strings.Join(answers[i], "\n"))
	}
	for room, b := range rooms {
		if err := os.WriteFile(filepath.Join(goldenIs, room+".txt"), []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
