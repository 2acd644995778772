package main

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// base is the cell the tables vary.
func base(model string, shards, queues int) cell {
	return cell{
		Test: "rate", Model: model, Shards: shards, Queues: queues, Existing: 6000, Replicas: 1,
		Trim: trimOf(model), Size: 1024, Window: 2000, Duration: 1500 * time.Millisecond,
	}
}

func trimOf(model string) string {
	if model == "J" {
		return "any"
	}
	return ""
}

type tableFunc func() []cell

func tables() map[string]tableFunc {
	return map[string]tableFunc{
		"first": func() []cell { return grid([]int{1, 1000}, []int{4}) },
		"backlog": func() []cell {
			var cells []cell
			for _, m := range []string{"S", "D", "J"} {
				c := base(m, 4, 10)
				c.Test, c.Backlog, c.Size = "backlog", 1_000_000, 256
				cells = append(cells, c)
			}
			return cells
		},
		"cut":   func() []cell { return []cell{probe("cut", 1, 1, 10_000, 256)} },
		"fence": func() []cell { return []cell{probe("fence", 1, 1, 0, 1), probe("fence", 3, 1, 0, 1)} },
		"read":  func() []cell { return []cell{probe("read", 1, 1, 200_000, 1024), probe("read", 1, 125, 200_000, 1024)} },
		"trim": func() []cell {
			a, b := probe("trim", 1, 10, 1_000_000, 256), probe("trim", 1, 10, 1_000_000, 256)
			b.Trim = "block"
			return []cell{a, b}
		},
		"replay": func() []cell {
			return []cell{probe("replay", 1, 1000, 1_000_000, 256), probe("replay", 1, 1000, 1_000_000, 1024)}
		},
		"takeover": takeovers,
		"r3":       func() []cell { return threes("D", "J") },
		"r3-S":     func() []cell { return threes("S") }, // slow: a Raft group per live queue
		"commit": func() []cell {
			var cells []cell
			for _, mode := range []string{"", "fdatasync", "syncfs"} {
				for _, n := range []int{1, 4, 8, 16} {
					c := base("J", n, 1000)
					c.Commit = mode
					cells = append(cells, c)
				}
				c := base("D", 4, 1000)
				c.Commit = mode
				cells = append(cells, c)
			}
			return cells
		},
		"variants": func() []cell {
			plain := base("J", 4, 1000)
			fence, one, block, many, fast := plain, plain, plain, plain, plain
			fence.Fence, one.OneSubject, block.Trim, many.Existing, fast.Fast = true, true, "block", 100_000, true
			manyOne := many
			manyOne.OneSubject = true
			r3, r3fence, r3fast := base("J", 1, 10), base("J", 1, 10), base("J", 1, 10)
			r3.Replicas, r3fence.Replicas, r3fast.Replicas, r3fence.Fence, r3fast.Fast = 3, 3, 3, true, true
			return []cell{plain, fence, one, block, fast, many, manyOne, r3, r3fence, r3fast}
		},
		"rate": func() []cell { return grid([]int{1, 10, 100, 1000}, []int{1, 4, 8}) },
	}
}

// threes are cells of three servers.
func threes(models ...string) []cell {
	var cells []cell
	for _, sync := range []bool{false, true} {
		for _, c := range grid([]int{1, 1000}, []int{1, 4}) {
			if slices.Contains(models, c.Model) && c.Shards < 32 {
				c.Replicas, c.SyncAlways = 3, sync
				cells = append(cells, c)
			}
		}
	}
	return cells
}

// takeovers are the ways to lose an owner.
func takeovers() []cell {
	var cells []cell
	for _, event := range []string{"stepdown", "shutdown"} {
		for _, sync := range []bool{false, true} {
			c := probe("takeover", 3, 10, 0, 1024)
			c.Event, c.SyncAlways, c.Fence = event, sync, true
			cells = append(cells, c)
		}
	}
	c := probe("takeover", 1, 10, 0, 1024)
	c.Event, c.Fence = "restart", true
	return append(cells, c)
}

// probe is a cell of one journal.
func probe(test string, replicas, queues, backlog, size int) cell {
	c := base("J", 1, queues)
	c.Test, c.Replicas, c.Backlog, c.Size = test, replicas, backlog, size
	return c
}

// grid is every model at every count of queues and shards; S also with 32 shards.
func grid(queues, shards []int) []cell {
	var cells []cell
	for _, q := range queues {
		for _, n := range shards {
			for _, m := range []string{"S", "D", "J"} {
				cells = append(cells, base(m, n, q))
			}
		}
		cells = append(cells, base("S", 32, q))
	}
	return cells
}

func tableNames() []string { return slices.Sorted(maps.Keys(tables())) }

func tableCells(name string) ([]cell, error) {
	f, ok := tables()[name]
	if !ok {
		return nil, fmt.Errorf("no table %q; there are %v", name, tableNames())
	}
	return f(), nil
}
