package app

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-mq/sluice/protocols/stomp/bench"
)

func benchConnectionsCommand() *cobra.Command {
	var f benchFlags
	var n, atOnce int
	var hold, heartBeat time.Duration
	cmd := &cobra.Command{
		Use:   "connections",
		Short: "Measure connects per second, and the memory that an idle connection takes",
		Long: "Opens connections, each logged in and subscribed to a topic on which nothing comes, and closes them\n" +
			"all. Memory is shown with --server-pid: by how much the server's resident memory grew.",
		Example: "  sluice bench connections --count 5000 --server-pid $(pgrep -x sluice)",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			target, err := f.broker()
			if err != nil {
				return err
			}
			if n < 1 || atOnce < 1 {
				return fmt.Errorf("count and at-once must be at least 1")
			}
			target.HeartBeat = heartBeat
			c, err := bench.Connect(cmd.Context(), target, n, atOnce, hold)
			if err != nil {
				return err
			}
			switch f.output {
			case "json":
				return json.NewEncoder(cmd.OutOrStdout()).Encode(c)
			case "table":
				memory := "not known without --server-pid"
				if c.Memory != 0 {
					memory = fmt.Sprintf("%.1f KiB", float64(c.Memory)/1024)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d connections, %.0f connects/s, memory of each: %s\n", c.Count, c.PerSecond, memory)
				return err
			}
			return fmt.Errorf("%q is not table or json", f.output)
		},
	}
	f.target(cmd)
	cmd.Flags().StringVarP(&f.output, "output", "o", "table", "table or json")
	cmd.Flags().IntVar(&n, "count", 1000, "connections to open")
	cmd.Flags().IntVar(&atOnce, "at-once", 16, "connections being opened at a time")
	cmd.Flags().DurationVar(&hold, "hold", 0, "how long to hold them all open before memory is looked at")
	cmd.Flags().DurationVar(&heartBeat, "heart-beat", 0, "heart-beats both ways; 0 is none")
	completeFlag(cmd, "output", "table", "json")
	return cmd
}

func benchStormCommand() *cobra.Command {
	var f benchFlags
	var n, perSecond, users int
	cmd := &cobra.Command{
		Use:   "storm",
		Short: "Connect and leave again and again, and measure how long clients wait to be let in",
		Long: "Connects at a fixed rate, whatever becomes of the clients before, and leaves each time. Waiting counts from the moment that a\n" +
			"connect was due. The exit code is 1 if a connect failed.",
		Example: "  sluice bench storm --rate 300 --count 9000 --users 20 --login user%d --passcode secret",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			target, err := f.broker()
			if err != nil {
				return err
			}
			if n < 1 || perSecond < 1 || users < 0 {
				return errors.New("count and rate must be at least 1")
			}
			s := bench.Reconnect(cmd.Context(), target, n, perSecond, users)
			switch f.output {
			case "json":
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(s)
			case "table":
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d connects, %.0f a second, %d failed; CONNECTED after p50 %v, p99 %v, longest %v\n", s.Count, s.PerSecond, s.Failed, s.P50, s.P99, s.Max)
			default:
				return fmt.Errorf("%q is not table or json", f.output)
			}
			if err == nil && s.Failed > 0 {
				err = fmt.Errorf("%d connects failed, the first: %s", s.Failed, s.First)
			}
			return err
		},
	}
	f.target(cmd)
	cmd.Flags().StringVarP(&f.output, "output", "o", "table", "table or json")
	cmd.Flags().IntVar(&n, "count", 3000, "connects")
	cmd.Flags().IntVar(&perSecond, "rate", 300, "connects a second")
	cmd.Flags().IntVar(&users, "users", 0, "users that take turns: %d in --login is their number")
	completeFlag(cmd, "output", "table", "json")
	return cmd
}

func benchRelayCommand() *cobra.Command {
	var address string
	cmd := &cobra.Command{
		Use:   "relay",
		Short: "Run a relay that keeps nothing, to measure clients against",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := bench.NewRelay(address)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), r.Address())
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return r.Serve(ctx)
		},
	}
	cmd.Flags().StringVar(&address, "address", "127.0.0.1:0", "where to listen; port 0 takes a free one and prints it")
	return cmd
}

// startRelay runs a relay in a process of its own, so that its CPU is not the client's.
func startRelay(ctx context.Context) (bench.Target, func(), error) {
	self, err := os.Executable()
	if err != nil {
		return bench.Target{}, nil, err
	}
	c := exec.CommandContext(ctx, self, "bench", "relay")
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		return bench.Target{}, nil, err
	}
	if err := c.Start(); err != nil {
		return bench.Target{}, nil, err
	}
	end := func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Wait()
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		end()
		return bench.Target{}, nil, fmt.Errorf("the relay did not start: %w", err)
	}
	return bench.Target{Name: "relay (the client's ceiling)", Address: strings.TrimSpace(address),
		Dialect: bench.RelayDialect(), ServerPID: c.Process.Pid}, end, nil
}
