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
		"rate":  func() []cell { return grid([]int{1, 10, 100, 1000}, []int{1, 4, 8}) },
	}
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
