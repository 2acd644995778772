// Nodes measures a cluster of three nodes on this machine, beside native JetStream with three replicas and sync always
// in the same run. Every run verifies what was delivered. It prints Markdown.
//
//	go run ./tests/bench/nodes -sluice bin/sluice
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/sluice-mq/sluice/protocols/stomp/bench"
)

func main() {
	sluice := flag.String("sluice", "bin/sluice", "our binary")
	dir := flag.String("dir", os.TempDir(), "where the nodes keep their data; the disk matters")
	runs := flag.Int("runs", 3, "runs of each row; the median is shown")
	only := flag.String("only", "", "measure nothing but the `part`: queues, spread or takeover")
	native := flag.String("native", "", "be a native server: name,data,client port,route ports ...")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := error(nil)
	if *native != "" {
		err = serveNative(ctx, *native)
	} else {
		err = measure(ctx, *sluice, *dir, *only, *runs)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "nodes:", err)
		os.Exit(1)
	}
}

// row is something that is measured again and again.
type row struct {
	words string
	once  func(ctx context.Context) (float64, error)
	base  *row // what the ratio is to; nil has none
	rates []float64
}

func (r *row) ratio() string {
	if r.base == nil {
		return ""
	}
	return fmt.Sprintf("%.2f", r.median()/r.base.median())
}

func (r *row) median() float64 {
	sorted := slices.Sorted(slices.Values(r.rates))
	return sorted[len(sorted)/2]
}

func measure(ctx context.Context, sluice, dir, only string, runs int) (err error) {
	if sluice, err = filepath.Abs(sluice); err != nil {
		return err
	}
	if dir, err = os.MkdirTemp(dir, "sluice-nodes-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, part := range []struct {
		name string
		rows func(ctx context.Context, sluice, dir string, runs int) ([]*row, error)
	}{{"queues", queues}, {"spread", spread}} {
		if only != "" && only != part.name {
			continue
		}
		rows, err := part.rows(ctx, sluice, filepath.Join(dir, part.name), runs)
		if err != nil {
			return err
		}
		show(rows, runs)
	}
	if only != "" && only != "takeover" {
		return nil
	}
	return takeovers(ctx, sluice, dir)
}

func show(rows []*row, runs int) {
	fmt.Printf("| 1 KiB, deliveries/s, medians of %d | messages/s | ratio |\n|---|---|---|\n", runs)
	for _, r := range rows {
		fmt.Printf("| %s | %.0f | %s |\n", r.words, r.median(), r.ratio())
	}
	fmt.Println()
}

func takeovers(ctx context.Context, sluice, dir string) error {
	fmt.Printf("| a shard with %d messages of %d bytes | first message after | receipt of a new one after | came again | memory before | memory at most |\n|---|---|---|---|---|---|\n",
		backlog, backlogBody)
	if err := takeover(ctx, sluice, dir, "killed", killed); err != nil {
		return err
	}
	return takeover(ctx, sluice, dir, "drained", drained)
}

// turns runs all rows in turn.
func turns(ctx context.Context, rows []*row, runs int) error {
	for range runs {
		for _, r := range rows {
			rate, err := r.once(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", r.words, err)
			}
			fmt.Fprintf(os.Stderr, "%-70s %8.0f/s\n", r.words, rate)
			r.rates = append(r.rates, rate)
		}
	}
	return nil
}

// queues compares one queue of a cluster of one shard, by way of its owner and of other nodes, with a native stream.
func queues(ctx context.Context, sluice, dir string, runs int) ([]*row, error) {
	c, err := startCluster(ctx, sluice, dir, 1)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	n, err := startNative(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer n.stop()
	owner, err := c.owner()
	if err != nil {
		return nil, err
	}
	at := func(i int) string { return c.address((owner + i) % size) }
	rows := []*row{
		{words: "native JetStream R3, sync always: publish with up to 4,096 PubAcks outstanding, consume and ack", once: n.once},
		{words: "queue 1->1 persistent, both clients on the owner", once: c.run("persistent", at(0))},
		{words: "the same, both on another node", once: c.run("persistent", at(1))},
		{words: "the same, producer on one and consumer on the other of the nodes that do not own it", once: c.run("persistent", at(1)+","+at(2))},
	}
	for _, r := range rows {
		r.base = rows[0]
	}
	return rows, turns(ctx, rows, runs)
}

// spread compares what goes over all nodes with a single node.
func spread(ctx context.Context, sluice, dir string, runs int) ([]*row, error) {
	single, err := startSingle(ctx, sluice, dir)
	if err != nil {
		return nil, err
	}
	defer single.stop()
	c, err := startCluster(ctx, sluice, dir, 0)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	all := c.address(0) + "," + c.address(1) + "," + c.address(2)
	rows := []*row{
		{words: "topic 1->100, one node that is alone", once: single.run("topic-1-to-100", single.address(0))},
		{words: "topic 1->100 over three nodes", once: c.run("topic-1-to-100", all)},
		{words: "1,000 busy queues over three nodes", once: c.run("persistent-1000-queues", all)},
		{words: "100 queues, each 1 producer and 1 consumer, over three nodes", once: c.run("persistent-100-queues", all)},
		{words: "10 producers with one receipt outstanding each, over three nodes", once: c.run("persistent-10-producers-window-1", all)},
	}
	rows[0].base, rows[1].base = rows[0], rows[0]
	return rows, turns(ctx, rows, runs)
}

// run measures a scenario against addresses.
func (c *cluster) run(name, addresses string) func(context.Context) (float64, error) {
	all := bench.Scenarios()
	s := all[slices.IndexFunc(all, func(s bench.Scenario) bool { return s.Name == name })]
	t := bench.Target{Name: "sluice", Address: addresses, Dialect: bench.Dialects()["activemq"]}
	return func(ctx context.Context) (float64, error) {
		r, err := bench.Run(ctx, t, s, bench.Options{Patience: time.Minute, Settle: 100 * time.Millisecond})
		if err == nil && !r.Verdict.Clean() {
			err = fmt.Errorf("%v", r.Verdict)
		}
		if r.Verdict.Repeated != 0 {
			fmt.Fprintf(os.Stderr, "%s: %d came again, marked\n", name, r.Verdict.Repeated)
		}
		return r.Deliver, err
	}
}
