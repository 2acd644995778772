package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-mq/sluice/protocols/pubsub/bench"
)

// benchHTTPFlags are those of `sluice bench http`.
type benchHTTPFlags struct {
	private   benchFlags
	target    bench.Target
	tokenFile string
	output    string
	repeat    int
	scenario  bench.Scenario
}

func benchHTTPCommand() *cobra.Command {
	var f benchHTTPFlags
	cmd := &cobra.Command{
		Use:   "http [SCENARIO...]",
		Short: "Measure an HTTP Pub/Sub service, and verify what it takes and gives",
		Long: "Measures the HTTP Pub/Sub API of this broker or another service. Every run verifies that no message is lost,\n" +
			"doubled, damaged, or out of the order of the connection that published it. Without a name all scenarios run:\n\n  " +
			strings.Join(httpScenarioNames(), "\n  ") + "\n\nFlags replace the scenario's own values.",
		Example:   "  sluice bench http publish --token-file data/pubsub.token --server-pid $(pgrep -x sluice)",
		ValidArgs: httpScenarioNames(),
		RunE:      func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	flags, s := cmd.Flags(), &f.scenario
	flags.StringVar(&f.target.URL, "address", "http://127.0.0.1:8085", "the service: http://HOST:PORT or https://HOST:PORT")
	flags.StringVar(&f.target.Token, "token", "", "token of a user who may make topics and subscriptions in the project; --token-file keeps it out of the list of processes")
	flags.StringVar(&f.tokenFile, "token-file", "", "file with the token")
	flags.StringVar(&f.target.Project, "project", "bench", "project to work in; made if it is not there")
	flags.StringVar(&f.target.Name, "name", "", "what to call the service in reports (default: its address)")
	flags.IntVar(&f.target.ServerPID, "server-pid", 0, "the service's process, if it is on this machine")
	flags.StringVar(&f.private.ca, "ca", "", "authorities' certificates in PEM, for https://")
	flags.StringVar(&f.private.certificate, "certificate", "", "certificate to show, in PEM")
	flags.StringVar(&f.private.key, "key", "", "its key")
	flags.StringVarP(&f.output, "output", "o", "table", "table or json")
	flags.IntVar(&f.repeat, "repeat", 1, "how often to run each scenario; the median is shown")
	flags.IntVar(&s.Messages, "messages", 0, "messages of all connections together")
	flags.IntVar(&s.Size, "size", 0, "bytes of a message's data, before base64")
	flags.IntVar(&s.Batch, "batch", 0, "messages of a request")
	flags.IntVar(&s.Connections, "connections", 0, "connections; where messages are pulled, each has a subscription")
	completeFlag(cmd, "output", "table", "json")
	return cmd
}

func httpScenarioNames() (names []string) {
	for _, s := range bench.Scenarios() {
		names = append(names, s.Name)
	}
	return names
}

// scenarios are those with the names, or all, with the values of flags that were given.
func (f *benchHTTPFlags) scenarios(cmd *cobra.Command, names []string) (out []bench.Scenario, err error) {
	all := bench.Scenarios()
	if len(names) == 0 {
		names = httpScenarioNames()
	}
	for _, name := range names {
		i := slices.IndexFunc(all, func(s bench.Scenario) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no scenario is called %q; there are %s", name, strings.Join(httpScenarioNames(), ", "))
		}
		s := all[i]
		for name, pair := range map[string][2]*int{
			"messages": {&s.Messages, &f.scenario.Messages}, "size": {&s.Size, &f.scenario.Size},
			"batch": {&s.Batch, &f.scenario.Batch}, "connections": {&s.Connections, &f.scenario.Connections},
		} {
			if cmd.Flags().Changed(name) {
				*pair[0] = *pair[1]
			}
		}
		if err := s.Validate(); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		out = append(out, s)
	}
	return out, nil
}

func (f *benchHTTPFlags) run(cmd *cobra.Command, names []string) error {
	if f.output != "table" && f.output != "json" {
		return fmt.Errorf("%q is not table or json", f.output)
	}
	scenarios, err := f.scenarios(cmd, names)
	if err != nil {
		return err
	}
	if f.target.TLS, err = f.private.tls(); err != nil {
		return err
	}
	if f.tokenFile != "" {
		text, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return err
		}
		f.target.Token = strings.TrimSpace(string(text))
	}
	if f.target.Name == "" {
		f.target.Name = f.target.URL
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	results, err := f.measure(ctx, scenarios)
	if err != nil {
		return err
	}
	if f.output == "json" {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(results)
	}
	return httpTable(cmd.OutOrStdout(), results)
}

// measure runs each scenario as often as was asked, and takes the run in the middle.
func (f *benchHTTPFlags) measure(ctx context.Context, scenarios []bench.Scenario) (results []bench.Result, err error) {
	for _, s := range scenarios {
		runs := make([]bench.Result, max(f.repeat, 1))
		for i := range runs {
			if runs[i], err = bench.Run(ctx, f.target, s); err != nil {
				return nil, fmt.Errorf("%s: %w", s.Name, err)
			}
		}
		slices.SortFunc(runs, func(a, b bench.Result) int { return int(a.Rate - b.Rate) })
		results = append(results, runs[len(runs)/2])
	}
	return results, nil
}

func httpTable(out io.Writer, results []bench.Result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tbytes\tper second\trequest p50\tp99\tservice's CPU each\tour CPU each\tflushes/s")
	for _, r := range results {
		each := func(d time.Duration) time.Duration {
			return (d / time.Duration(r.Scenario.Messages)).Round(100 * time.Nanosecond)
		}
		fmt.Fprintf(w, "%s\t%d\t%.0f\t%v\t%v\t%v\t%v\t%.0f\n", r.Scenario.Words, r.Scenario.Size, r.Rate, r.Request.P50.Round(10*time.Microsecond),
			r.Request.P99.Round(10*time.Microsecond), each(r.Usage.ServerCPU), each(r.Usage.ClientCPU), float64(r.Usage.Flushes)/r.Usage.Elapsed.Seconds())
	}
	return w.Flush()
}
