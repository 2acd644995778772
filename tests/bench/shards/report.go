package main

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// printRow prints the medians of one cell's runs.
func printRow(c cell, rs []result) {
	if len(rs) == 0 {
		fmt.Printf("%-46s failed\n", c.label())
		return
	}
	med := func(f func(result) float64) float64 {
		v := make([]float64, len(rs))
		for i, r := range rs {
			v[i] = f(r)
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	lost, doubled, flagged, reordered := 0, 0, 0, 0
	keys := map[string]bool{}
	for _, r := range rs {
		lost, doubled, flagged, reordered = lost+r.Lost, doubled+r.Doubled, flagged+r.Flagged, reordered+r.Reordered
		for k := range r.Extra {
			keys[k] = true
		}
	}
	var more []string
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		more = append(more, fmt.Sprintf("%s=%.6g", k, med(func(r result) float64 { return r.Extra[k] })))
	}
	fmt.Printf("%-46s %9.0f %7.1f %7.0f %7.0f %8.0f  %d/%d/%d/%d  %s\n", c.label(),
		med(func(r result) float64 { return r.Rate }), med(func(r result) float64 { return r.CPU }),
		med(func(r result) float64 { return r.HeapMB }), med(func(r result) float64 { return r.RSSMB }),
		med(func(r result) float64 { return r.SetupMS }), lost, doubled, flagged, reordered, strings.Join(more, " "))
}

// cpuTime is what the process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// memory returns the live heap after a collection and the resident set, in MB.
func memory() (heap, rss float64) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return float64(m.HeapAlloc) / 1e6, 0
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kb, _ := strconv.ParseFloat(f[1], 64)
			rss = kb / 1e3
		}
	}
	return float64(m.HeapAlloc) / 1e6, rss
}
