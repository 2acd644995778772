package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-mq/sluice/protocols/stomp/bench"
)

// benchFlags are those of `sluice bench`.
type benchFlags struct {
	address, dialect, login, passcode, name, output string
	ca, certificate, key                            string
	pid, repeat                                     int
	ceiling                                         bool
	patience                                        time.Duration
	scenario                                        bench.Scenario // what replaces a named scenario's own values
}

var benchOutputs = []string{"table", "json", "markdown"}

func benchCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench [SCENARIO...]",
		Short: "Measure a broker over STOMP, and verify what it delivers",
		Long: "Measures this broker or another over STOMP. Every run verifies that no message is lost, doubled,\n" +
			"damaged, or out of its producer's order, and the exit code is 1 if one is. Without a name all\n" +
			"scenarios run:\n\n  " + strings.Join(scenarioNames(), "\n  ") + "\n\n" +
			"Flags replace the scenario's own values. CPU and memory of a server on this machine are shown with\n" +
			"--server-pid; disk flushes are those of the whole machine. With --ceiling each scenario also runs\n" +
			"against a relay that keeps nothing, which shows what this client can do.",
		Example: "  sluice bench persistent --server-pid $(pgrep -x sluice)\n" +
			"  sluice bench latency --rate 5000 --address broker:61613 --output markdown\n" +
			"  sluice bench topic non-persistent --dialect rabbitmq --login guest --passcode guest --repeat 5",
		ValidArgs: scenarioNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, args)
		},
	}
	f.target(cmd)
	cmd.Flags().StringVarP(&f.output, "output", "o", "table", "table, json or markdown")
	cmd.Flags().IntVar(&f.repeat, "repeat", 1, "how often to run each scenario; the median is shown")
	cmd.Flags().BoolVar(&f.ceiling, "ceiling", false, "run each scenario against a relay as well")
	cmd.Flags().DurationVar(&f.patience, "patience", 10*time.Second, "how long nothing may arrive before the rest counts as lost")
	f.scenarioFlags(cmd)
	completeFlag(cmd, "output", benchOutputs...)
	cmd.AddCommand(benchConnectionsCommand(), benchStormCommand(), benchRelayCommand(), benchHTTPCommand())
	return cmd
}

func (f *benchFlags) target(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.address, "address", "127.0.0.1:61613", "the broker's STOMP address, or tls://, ws:// or wss:// and where; several between commas are taken in turn, consumers first")
	cmd.Flags().StringVar(&f.ca, "ca", "", "authorities' certificates in PEM, for tls:// and wss://")
	cmd.Flags().StringVar(&f.certificate, "certificate", "", "certificate to show, in PEM")
	cmd.Flags().StringVar(&f.key, "key", "", "its key")
	cmd.Flags().StringVar(&f.dialect, "dialect", "activemq", "activemq (ours, too) or rabbitmq")
	cmd.Flags().StringVar(&f.login, "login", "", "login")
	cmd.Flags().StringVar(&f.passcode, "passcode", "", "passcode")
	cmd.Flags().StringVar(&f.name, "name", "", "what to call the broker in reports (default: its address)")
	cmd.Flags().IntVar(&f.pid, "server-pid", 0, "the broker's process, if it is on this machine")
	completeFlag(cmd, "dialect", "activemq", "rabbitmq")
}

func (f *benchFlags) scenarioFlags(cmd *cobra.Command) {
	s, flags := &f.scenario, cmd.Flags()
	flags.IntVar(&s.Messages, "messages", 0, "messages of all producers together")
	flags.IntVar(&s.Size, "size", 0, "bytes of a body")
	flags.IntVar(&s.Destinations, "destinations", 0, "queues or topics")
	flags.IntVar(&s.Producers, "producers", 0, "producers, each with a connection")
	flags.IntVar(&s.Consumers, "consumers", 0, "consumers, each with a connection")
	flags.BoolVar(&s.Persistent, "persistent", false, "whether messages are persistent")
	flags.IntVar(&s.Window, "window", 0, "receipts that a producer lets be outstanding; 0 asks for one at the end")
	flags.IntVar(&s.Rate, "rate", 0, "messages per second of all producers; 0 is as fast as they can")
	flags.StringVar(&s.Ack, "ack", "", "auto, client or client-individual")
	flags.IntVar(&s.Prefetch, "prefetch", 0, "unacknowledged messages that a consumer takes; 0 leaves it to the broker")
	completeFlag(cmd, "ack", "auto", "client", "client-individual")
}

// replace puts the values of flags that were given into a scenario.
func (f *benchFlags) replace(cmd *cobra.Command, s bench.Scenario) bench.Scenario {
	given, with := cmd.Flags().Changed, f.scenario
	for name, pair := range map[string][2]*int{
		"messages": {&s.Messages, &with.Messages}, "size": {&s.Size, &with.Size},
		"destinations": {&s.Destinations, &with.Destinations}, "producers": {&s.Producers, &with.Producers},
		"consumers": {&s.Consumers, &with.Consumers}, "window": {&s.Window, &with.Window},
		"rate": {&s.Rate, &with.Rate}, "prefetch": {&s.Prefetch, &with.Prefetch},
	} {
		if given(name) {
			*pair[0] = *pair[1]
		}
	}
	if given("persistent") {
		s.Persistent = with.Persistent
	}
	if given("ack") {
		s.Ack = with.Ack
	}
	return s
}

func (f *benchFlags) broker() (bench.Target, error) {
	d, ok := bench.Dialects()[f.dialect]
	if !ok {
		return bench.Target{}, fmt.Errorf("%q is not activemq or rabbitmq", f.dialect)
	}
	name := f.name
	if name == "" {
		name = f.address
	}
	private, err := f.tls()
	if err != nil {
		return bench.Target{}, err
	}
	return bench.Target{Name: name, Address: f.address, Dialect: d, TLS: private, Login: f.login, Passcode: f.passcode, ServerPID: f.pid}, nil
}

// tls is what the files say about whom to trust and who we are.
func (f *benchFlags) tls() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.ca != "" {
		text, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s has no certificate in PEM", f.ca)
		}
	}
	if f.certificate != "" || f.key != "" {
		pair, err := tls.LoadX509KeyPair(f.certificate, f.key)
		if err != nil {
			return nil, err
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

func (f *benchFlags) run(cmd *cobra.Command, names []string) error {
	if !slices.Contains(benchOutputs, f.output) {
		return fmt.Errorf("%q is not table, json or markdown", f.output)
	}
	target, err := f.broker()
	if err != nil {
		return err
	}
	scenarios, err := findScenarios(names)
	if err != nil {
		return err
	}
	for i, s := range scenarios {
		scenarios[i] = f.replace(cmd, s)
		if err := scenarios[i].Validate(); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	targets := []bench.Target{target}
	if f.ceiling {
		relay, end, err := startRelay(ctx)
		if err != nil {
			return err
		}
		defer end()
		targets = append(targets, relay)
	}
	report, err := f.measure(ctx, cmd, targets, scenarios)
	if len(report.Results) > 0 {
		err = errors.Join(f.write(cmd, report), err)
	}
	if err == nil && !report.Clean() {
		return errors.New("messages were lost, doubled, damaged or reordered")
	}
	return err
}

// measure runs every scenario against each target in turn, as often as was asked.
func (f *benchFlags) measure(ctx context.Context, cmd *cobra.Command, targets []bench.Target, scenarios []bench.Scenario) (bench.Report, error) {
	host, _ := os.Hostname()
	report := bench.Report{Time: time.Now().UTC().Truncate(time.Second), Host: host}
	for _, s := range scenarios {
		for range max(f.repeat, 1) {
			for i, t := range targets {
				if i > 0 && !t.Dialect.Can(s) {
					continue // a relay does not do everything
				}
				res, err := bench.Run(ctx, t, s, bench.Options{Patience: f.patience, Settle: 100 * time.Millisecond,
					Progress: func(received, expected int) {
						fmt.Fprintf(cmd.ErrOrStderr(), "\r%s against %s: %d of %d  ", s.Name, t.Name, received, expected)
					}})
				fmt.Fprint(cmd.ErrOrStderr(), "\r\033[K")
				if err != nil {
					return report, fmt.Errorf("%s against %s: %w", s.Name, t.Name, err)
				}
				report.Results = append(report.Results, res)
			}
		}
	}
	return report, nil
}

func (f *benchFlags) write(cmd *cobra.Command, r bench.Report) error {
	switch f.output {
	case "json":
		return r.JSON(cmd.OutOrStdout())
	case "markdown":
		return r.Markdown(cmd.OutOrStdout())
	}
	return r.Table(cmd.OutOrStdout())
}

func scenarioNames() (names []string) {
	for _, s := range bench.Scenarios() {
		names = append(names, s.Name)
	}
	return names
}

func findScenarios(names []string) ([]bench.Scenario, error) {
	all := bench.Scenarios()
	if len(names) == 0 {
		return all, nil
	}
	var out []bench.Scenario
	for _, name := range names {
		i := slices.IndexFunc(all, func(s bench.Scenario) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no scenario is called %q; there are %s", name, strings.Join(scenarioNames(), ", "))
		}
		out = append(out, all[i])
	}
	return out, nil
}
