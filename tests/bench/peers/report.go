package main

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-mq/sluice/protocols/stomp/bench"
)

const intro = `# Benchmarks

Written by ` + "`make bench-peers`" + `: this gateway beside ActiveMQ and RabbitMQ on one machine, the load generator (` + "`sluice bench`" + `) on the same machine.
Bodies are 1 KiB unless it says otherwise; messages to queues are persistent and acknowledged by their consumers, in batches where there are many. Figures are medians of %d runs of at least some 4 s, with the least and the most; the runs alternate between the brokers, each of which begins in turn, and which
have all had load before. Every run verifies that no message is lost, doubled, damaged or misrouted, and that each producer's order is kept; a fault would
stand in place of the figure. Machines differ and have neighbours: read ratios.

| | |
|---|---|
| date | %s |
| machine | %s, %d processors, %d GiB, Linux %s |
| data on | %s |
%s
To repeat: ` + "`apt-get install activemq rabbitmq-server`" + ` (their own services need not run), then ` + "`make bench-peers`" + `; ` + "`ARGS=\"-only latency,topic\"`" + ` measures a
part. One broker alone: ` + "`sluice bench --address HOST:PORT`" + `.

`

func (m *measurement) report() string {
	var b strings.Builder
	var versions strings.Builder
	for _, x := range m.brokers {
		fmt.Fprintf(&versions, "| %s | %s; %s |\n", x.name, x.version, x.settings)
	}
	fmt.Fprintf(&b, intro, m.runs, m.started.Format(time.DateOnly), processor(), runtime.NumCPU(), memoryGiB(), kernel(), fileSystem(m.dir), versions.String())
	m.rates(&b)
	m.costs(&b)
	m.latency(&b)
	m.backlog(&b)
	m.idle(&b)
	if m.many != nil {
		m.many.report(&b)
	}
	return b.String()
}

// table writes a row of cells, and the line below if it is the first.
func table(b *strings.Builder, head bool, cells ...string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
	if head {
		fmt.Fprintf(b, "|%s\n", strings.Repeat("---|", len(cells)))
	}
}

func (m *measurement) names() (names []string) {
	for _, b := range m.brokers {
		names = append(names, b.name)
	}
	return names
}

// floods are the scenarios that are about rates.
func (m *measurement) floods() (out []entry) {
	for _, e := range plan {
		if m.results[e.name] != nil && e.name != "latency" && e.name != "backlog" {
			out = append(out, e)
		}
	}
	return out
}

func (m *measurement) rates(b *strings.Builder) {
	if len(m.floods()) == 0 {
		return
	}
	b.WriteString("## Deliveries per second\n\nThe last column is what the same client reaches against a relay that keeps nothing: its ceiling.\n\n")
	table(b, true, append(append([]string{""}, m.names()...), "to the better peer", "client's ceiling")...)
	deliver := func(r bench.Result) float64 { return r.Deliver }
	for _, e := range m.floods() {
		row := []string{e.words}
		for _, name := range m.names() {
			row = append(row, spread(m.results[e.name][name], deliver, rate))
		}
		ceiling := "-"
		if all := m.results[e.name]["relay"]; len(all) > 0 {
			ceiling = rate(middle(all, deliver))
		}
		table(b, false, append(row, m.ratio(e.name, deliver, true), ceiling)...)
	}
	b.WriteString("\n")
}

func (m *measurement) costs(b *strings.Builder) {
	if len(m.floods()) == 0 {
		return
	}
	b.WriteString("## What it took\n\nProcessor time of the broker for each message that was delivered, and flushes that the disk finished in a second, by the kernel's count (`/proc/diskstats`): what fsync comes\n" +
		"down to. Where each message has a receipt (the rows with receipts outstanding), a broker that flushes next to never has not put on disk what it receipts: RabbitMQ does not write what a\n" +
		"consumer with automatic acknowledgement takes at once. Where there is one receipt at the end, one flush is enough. The client's time is that of the runs against Sluice.\n\n")
	head := []string{""}
	for _, name := range m.names() {
		head = append(head, name+", CPU", "flushes/s")
	}
	table(b, true, append(head, "client, CPU")...)
	for _, e := range m.floods() {
		row := []string{e.words}
		for _, name := range m.names() {
			all := m.results[e.name][name]
			if len(all) == 0 {
				row = append(row, "-", "-")
				continue
			}
			row = append(row, micros(middle(all, func(r bench.Result) float64 { return perMessage(r, r.Usage.ServerCPU) })), rate(middle(all, flushes)))
		}
		table(b, false, append(row, micros(middle(m.results[e.name][m.names()[0]], func(r bench.Result) float64 { return perMessage(r, r.Usage.ClientCPU) })))...)
	}
	b.WriteString("\n")
}

func (m *measurement) latency(b *strings.Builder) {
	if m.results["latency"] == nil {
		return
	}
	b.WriteString("## Latency\n\nFrom when a message was due to be sent to when its consumer had it, at 1,000 persistent messages a second.\n\n")
	table(b, true, append(append([]string{"ms"}, m.names()...), "to the better peer")...)
	for _, q := range []struct {
		name string
		of   func(bench.Result) float64
	}{
		{"p50", func(r bench.Result) float64 { return float64(r.Latency.P50) }},
		{"p99", func(r bench.Result) float64 { return float64(r.Latency.P99) }},
		{"p99.9", func(r bench.Result) float64 { return float64(r.Latency.P999) }},
	} {
		row := []string{q.name}
		for _, name := range m.names() {
			row = append(row, spread(m.results["latency"][name], q.of, millis))
		}
		table(b, false, append(row, m.ratio("latency", q.of, false))...)
	}
	b.WriteString("\n")
}

func (m *measurement) backlog(b *strings.Builder) {
	if m.results["backlog"] == nil {
		return
	}
	b.WriteString("## A backlog\n\n1,000,000 persistent messages of 256 bytes are published before the first consumer comes; then they are drained, each 100 with an ACK. The broker is started for each run.\n\n")
	table(b, true, append(append([]string{""}, m.names()...), "to the better peer")...)
	for _, q := range []struct {
		name   string
		more   bool // is better
		of     func(bench.Result) float64
		format func(float64) string
	}{
		{"published/s", true, func(r bench.Result) float64 { return r.Publish }, rate},
		{"drained/s", true, func(r bench.Result) float64 { return r.Deliver }, rate},
		{"most memory, MiB", false, func(r bench.Result) float64 { return float64(r.Usage.ServerMemory) / (1 << 20) }, whole},
	} {
		row := []string{q.name}
		for _, name := range m.names() {
			row = append(row, spread(m.results["backlog"][name], q.of, q.format))
		}
		table(b, false, append(row, m.ratio("backlog", q.of, q.more))...)
	}
	b.WriteString("\n")
}

func (m *measurement) idle(b *strings.Builder) {
	if len(m.connections) == 0 {
		return
	}
	fmt.Fprintf(b, "## Connections\n\n%d connections to a broker that was just started, 16 being opened at a time, each logged in and with a subscription.\n\n", idleConnections)
	table(b, true, append([]string{""}, m.names()...)...)
	row, memory := []string{"connects/s"}, []string{"memory of each, KiB"}
	for _, name := range m.names() {
		row = append(row, spreadOf(m.connections[name], func(c bench.Connections) float64 { return c.PerSecond }, rate))
		memory = append(memory, spreadOf(m.connections[name], func(c bench.Connections) float64 { return float64(c.Memory) / 1024 }, whole))
	}
	table(b, false, row...)
	table(b, false, memory...)
	b.WriteString("\n")
}

func (q *manyQueues) report(b *strings.Builder) {
	fmt.Fprintf(b, "## Thousands of queues\n\n%d queues hold a message each, and the broker was killed with SIGKILL and started again. Then other queues are live: each has a producer and a consumer, over 20 connections.\n\n",
		existingQueues)
	table(b, true, "", "Sluice")
	table(b, false, "from start to the first connection", q.start.Round(time.Millisecond).String())
	table(b, false, fmt.Sprintf("messages/s over %d live queues", liveQueues), fmt.Sprintf("%s, %s", rate(q.flood.Deliver), q.flood.Verdict))
	table(b, false, fmt.Sprintf("most memory at %s messages/s over %d live queues", rate(pace), fewQueues), fmt.Sprintf("%d MiB", q.few>>20))
	table(b, false, fmt.Sprintf("the same over %d live queues", lotsOfQueues), fmt.Sprintf("%d MiB: %d KiB for each", q.many>>20, q.perQueue>>10))
	b.WriteString("\n")
}

// ratio of ours to the better peer's, of those whose runs had no fault.
func (m *measurement) ratio(scenario string, of func(bench.Result) float64, more bool) string {
	ours := m.ours()
	if ours == nil || !clean(m.results[scenario][ours.name]) {
		return "-"
	}
	best := 0.0
	for _, b := range m.brokers {
		if b == ours || !clean(m.results[scenario][b.name]) {
			continue
		}
		if v := middle(m.results[scenario][b.name], of); best == 0 || more == (v > best) {
			best = v
		}
	}
	if best == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2g ×", middle(m.results[scenario][ours.name], of)/best)
}

// clean says that there were runs, and none had a fault.
func clean(all []bench.Result) bool {
	return len(all) > 0 && !slices.ContainsFunc(all, func(r bench.Result) bool { return !r.Verdict.Clean() })
}

func middle[T any](all []T, of func(T) float64) float64 {
	if len(all) == 0 {
		return 0
	}
	v := values(all, of)
	return v[len(v)/2]
}

func values[T any](all []T, of func(T) float64) []float64 {
	v := make([]float64, len(all))
	for i, x := range all {
		v[i] = of(x)
	}
	slices.SortFunc(v, cmp.Compare)
	return v
}

// spread is the median and the range of runs, or what went wrong in one.
func spread(all []bench.Result, of func(bench.Result) float64, format func(float64) string) string {
	for _, r := range all {
		if !r.Verdict.Clean() {
			return r.Verdict.String()
		}
	}
	return spreadOf(all, of, format)
}

func spreadOf[T any](all []T, of func(T) float64, format func(float64) string) string {
	if len(all) == 0 {
		return "-"
	}
	v := values(all, of)
	return fmt.Sprintf("%s (%s–%s)", format(v[len(v)/2]), format(v[0]), format(v[len(v)-1]))
}

func perMessage(r bench.Result, d time.Duration) float64 {
	return float64(d) / float64(max(r.Verdict.Received, 1))
}

func flushes(r bench.Result) float64 { return float64(r.Usage.Flushes) / r.Usage.Elapsed.Seconds() }

func rate(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2f M", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.0f k", v/1e3)
	case v >= 1e3:
		return fmt.Sprintf("%.1f k", v/1e3)
	}
	return fmt.Sprintf("%.0f", v)
}

func whole(v float64) string  { return fmt.Sprintf("%.0f", v) }
func millis(v float64) string { return fmt.Sprintf("%.2f", v/1e6) }
func micros(v float64) string { return fmt.Sprintf("%.1f µs", v/1e3) }

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func memoryGiB() int {
	var kib int
	text, _ := os.ReadFile("/proc/meminfo")
	_, _ = fmt.Sscanf(string(text), "MemTotal: %d", &kib)
	return (kib + 1<<19) >> 20
}

func kernel() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.TrimSpace(string(text))
}

func fileSystem(dir string) string {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return "an unknown file system"
	}
	if name, ok := map[int64]string{0xEF53: "ext4", 0x58465342: "XFS", 0x9123683E: "btrfs", 0x01021994: "tmpfs (nothing is durable)", 0x794C7630: "overlayfs"}[int64(s.Type)]; ok {
		return name
	}
	return fmt.Sprintf("file system type %#x", s.Type)
}
