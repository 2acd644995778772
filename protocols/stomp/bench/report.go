package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is all runs of one call, in the order in which they ran.
type Report struct {
	Time    time.Time `json:"time"`
	Host    string    `json:"host"`
	Results []Result  `json:"results"`
}

// Clean says that no run lost, doubled, damaged or reordered anything.
func (r Report) Clean() bool {
	return !slices.ContainsFunc(r.Results, func(x Result) bool { return !x.Verdict.Clean() })
}

// JSON writes the whole report.
func (r Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

var columns = []string{"scenario", "broker", "deliver/s", "publish/s", "p50", "p99", "max", "server CPU/msg", "client CPU/msg", "peak memory", "flushes/s", "verdict"}

// Table writes the medians for people.
func (r Report) Table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(columns, "\t"))
	for _, x := range r.medians() {
		fmt.Fprintln(t, strings.Join(x.cells(), "\t"))
	}
	return t.Flush()
}

// Markdown writes the medians to be shared.
func (r Report) Markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s\n\n", r.Host, r.Time.Format(time.RFC3339))
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, x := range r.medians() {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(x.cells(), " | "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// medians keeps, of all runs of a scenario against a broker, the one with the
// median rate of deliveries; one that is not clean wins over all that are.
func (r Report) medians() (out []Result) {
	type key struct{ scenario, target string }
	var order []key
	runs := map[key][]Result{}
	for _, x := range r.Results {
		k := key{x.Scenario.Name, x.Target}
		if runs[k] == nil {
			order = append(order, k)
		}
		runs[k] = append(runs[k], x)
	}
	for _, k := range order {
		all := runs[k]
		slices.SortStableFunc(all, func(a, b Result) int { return cmp.Compare(a.Deliver, b.Deliver) })
		pick := all[len(all)/2]
		if i := slices.IndexFunc(all, func(x Result) bool { return !x.Verdict.Clean() }); i >= 0 {
			pick = all[i]
		}
		out = append(out, pick)
	}
	return out
}

func (x Result) cells() []string {
	n := time.Duration(max(x.Verdict.Received, 1))
	return []string{
		x.Scenario.Name, x.Target, count(x.Deliver), count(x.Publish),
		short(x.Latency.P50), short(x.Latency.P99), short(x.Latency.Max),
		known(x.Usage.ServerCPU > 0, short(x.Usage.ServerCPU/n)), known(x.Usage.ClientCPU > 0, short(x.Usage.ClientCPU/n)),
		known(x.Usage.ServerMemory > 0, fmt.Sprintf("%d MiB", x.Usage.ServerMemory>>20)),
		count(float64(x.Usage.Flushes) / max(x.Usage.Elapsed.Seconds(), 1e-9)), x.Verdict.String(),
	}
}

// String is "clean", or what is wrong.
func (v Verdict) String() string {
	var parts []string
	for _, p := range []struct {
		name string
		n    int
	}{{"lost", v.Lost}, {"doubled", v.Doubled}, {"damaged", v.Damaged}, {"reordered", v.Reordered}, {"misrouted", v.Misrouted}} {
		if p.n != 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.name))
		}
	}
	if v.Problem != "" {
		parts = append(parts, v.Problem)
	}
	if len(parts) == 0 {
		parts = []string{"clean"}
	}
	if v.Repeated > 0 {
		parts = append(parts, fmt.Sprintf("%d repeated", v.Repeated))
	}
	return strings.Join(parts, ", ")
}

func known(ok bool, s string) string {
	if !ok {
		return "-"
	}
	return s
}

func count(f float64) string {
	switch {
	case f >= 10_000:
		return fmt.Sprintf("%.0f k", f/1000)
	case f >= 1000:
		return fmt.Sprintf("%.1f k", f/1000)
	}
	return fmt.Sprintf("%.0f", f)
}

func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.1f µs", float64(d)/1e3)
}
