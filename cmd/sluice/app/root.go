package app

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Process is what the program takes from its surroundings, so that tests can
// be surroundings, too.
type Process struct {
	Stdout, Stderr io.Writer
	// Environ are "NAME=value" pairs.
	Environ []string
	// Exit ends the process at once; only a second signal does that.
	Exit func(code int)
}

// Main runs the command that the arguments name and returns the exit code: 0 is
// success, 1 is failure, and the reason was written to Stderr.
func Main(args []string, p Process) int {
	root := &cobra.Command{
		Use:   "sluice",
		Short: "A messaging gateway: STOMP and NATS clients on the same queues and topics",
		Long: "Sluice is a messaging gateway in one binary. Clients written for ActiveMQ connect over STOMP,\n" +
			"NATS clients connect natively, and an embedded JetStream keeps the messages.",
		Example:       "  sluice serve --dev\n  sluice serve --config /etc/sluice/sluice.yaml",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetArgs(args)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.AddCommand(serveCommand(p), checkConfigCommand(p), configCommand(p), benchCommand(), versionCommand(), aclCommand(p), userCommand())
	root.AddCommand(operateCommands(p)...)
	root.AddCommand(watchCommands(p)...)
	root.AddCommand(queueCommands(p)...)
	root.AddCommand(scheduleCommand(p), pubsubCommand(p))
	err := root.Execute()
	if err == nil {
		return 0
	}
	var problems Problems
	if errors.As(err, &problems) {
		fmt.Fprintln(p.Stderr, problems)
	} else {
		fmt.Fprintln(p.Stderr, "sluice:", err)
	}
	return 1
}
