// Shards measures how queues should live in JetStream streams: work-queue
// streams with a consumer per queue (S) or per shard (D), or limits streams that
// their owner uses as journals (J). docs/decisions/0002 holds its figures.
//
// Every cell runs in a process of its own, so that memory and CPU are its own;
// cells of one table alternate and the medians are printed.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// cell is one point of a table.
type cell struct {
	Test       string        // rate, backlog, replay, takeover, fence, read, trim or cut
	Model      string        // S, D or J
	Shards     int           // streams
	Queues     int           // busy queues
	Existing   int           // queues that had a message once
	Replicas   int           // 1 or 3 servers, all in this process
	SyncAlways bool          // server option
	Commit     string        // "", "syncfs" or "fdatasync": group commit after PubAcks (R1)
	Fence      bool          // J: every append expects the last sequence
	Trim       string        // J: "block" or "any": where the front may be cut
	Fast       bool          // J: appends by fast-ingest publishing
	OneSubject bool          // J: all records of a shard have one subject
	Size       int           // message bytes
	Window     int           // sends without a receipt, over all shards
	Backlog    int           // messages of the unread queue or of the replayed journal
	Duration   time.Duration // how long to publish
	Event      string        // takeover: stepdown or shutdown
	Dir        string        // store directory; empty is a temporary one
}

// result is what a cell measured; unused fields stay zero.
type result struct {
	Rate      float64 // messages per second, published until gone
	CPU       float64 // microseconds of process CPU per message
	HeapMB    float64
	RSSMB     float64
	SetupMS   float64
	Extra     map[string]float64 // figures of one test only
	Lost      int
	Doubled   int // delivered again without being flagged
	Flagged   int // delivered again and flagged
	Reordered int
}

func main() {
	one := flag.String("cell", "", "run one cell given as JSON and print its result")
	table := flag.String("table", "rate", "table to measure: "+strings.Join(tableNames(), ", "))
	runs := flag.Int("runs", 3, "runs per cell; the median is printed")
	dir := flag.String("dir", "", "directory for stores (default: temporary)")
	flag.Parse()
	var err error
	if *one != "" {
		err = runOne(*one)
	} else {
		err = runTable(*table, *runs, *dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "shards:", err)
		os.Exit(1)
	}
}

func runOne(text string) error {
	var c cell
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return fmt.Errorf("cell: %w", err)
	}
	dir, err := os.MkdirTemp(c.Dir, "shards-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c.Dir = dir
	r, err := c.run()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func (c *cell) run() (result, error) {
	switch c.Test {
	case "rate":
		return runRate(c)
	case "backlog":
		return runBacklog(c)
	case "replay":
		return runReplay(c)
	case "takeover":
		return runTakeover(c)
	case "fence":
		return runFence(c)
	case "read":
		return runRead(c)
	case "cut":
		return runCut(c)
	case "trim":
		return runTrim(c)
	}
	return result{}, fmt.Errorf("unknown test %q", c.Test)
}

// runTable measures a table's cells in turn, several times over, and prints one line per cell.
func runTable(name string, runs int, dir string) error {
	cells, err := tableCells(name)
	if err != nil {
		return err
	}
	all := make([][]result, len(cells))
	for range runs {
		for i, c := range cells {
			c.Dir = dir
			r, err := spawn(c)
			if err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", c.label(), err)
				continue
			}
			all[i] = append(all[i], r)
		}
	}
	fmt.Printf("%-46s %9s %7s %7s %7s %8s  lost/doubled/flagged/reordered  more (medians of %d)\n",
		name, "msg/s", "cpu us", "heap MB", "RSS MB", "setup ms", runs)
	for i, c := range cells {
		printRow(c, all[i])
	}
	return nil
}

// spawn runs a cell in a process of its own.
func spawn(c cell) (result, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return result{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return result{}, err
	}
	cmd := exec.Command(self, "-cell", string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return result{}, err
	}
	var r result
	if err := json.Unmarshal(out, &r); err != nil {
		return result{}, fmt.Errorf("result %q: %w", out, err)
	}
	return r, nil
}

func (c *cell) label() string {
	parts := []string{c.Model, "R" + strconv.Itoa(c.Replicas), strconv.Itoa(c.Shards) + "sh", strconv.Itoa(c.Queues) + "q"}
	if c.SyncAlways {
		parts = append(parts, "sync")
	}
	for _, s := range []string{c.Commit, c.Event, c.Trim} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if c.Fast {
		parts = append(parts, "fast")
	}
	if c.OneSubject {
		parts = append(parts, "1subj")
	}
	if c.Existing != 6000 {
		parts = append(parts, "existing="+strconv.Itoa(c.Existing))
	}
	if c.Fence {
		parts = append(parts, "fence")
	}
	if c.Backlog > 0 {
		parts = append(parts, "backlog="+strconv.Itoa(c.Backlog))
	}
	return strings.Join(parts, " ")
}
