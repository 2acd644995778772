package app

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sluice-mq/sluice/protocols/stomp/bench"
)

func benchConnectionsCommand() *cobra.Command {
	var f benchFlags
	var n, atOnce int
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
			c, err := bench.Connect(cmd.Context(), target, n, atOnce)
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
		Dialect: bench.Dialects()["activemq"], ServerPID: c.Process.Pid}, end, nil
}
