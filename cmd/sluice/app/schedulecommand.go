package app

import (
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-mq/sluice/protocols/admin"
)

// scheduleCommand is about what waits for its time.
func scheduleCommand(p Process) *cobra.Command {
	schedule := &cobra.Command{Use: "schedule", Short: "About messages that are to be sent later"}
	schedule.AddCommand(
		chosenCommand(p, scheduleList, &cobra.Command{
			Use: "list", Short: "List what waits for its time",
			Long: "Lists the messages that wait for their time, of all nodes, with their jobs' names, where they go and when they come next. Messages to\n" +
				"destinations that the caller may not manage are only counted.",
			Example: "  sluice schedule list\n  sluice schedule list --destination '/queue/orders.>' --within 1h",
			Args:    cobra.NoArgs,
		}),
		chosenCommand(p, scheduleRemove, &cobra.Command{
			Use: "remove [JOB...]", Short: "Remove what waits for its time",
			Long: "Removes messages that wait for their time, for good: those that are named, as sluice schedule list names them, or all that a flag chooses.\n" +
				"What is sent at the same moment is not called back, but does not come again.",
			Example: "  sluice schedule remove ID:n1-4711-1-0:1:-1:1:5\n  sluice schedule remove --destination /queue/orders --within 10m",
			Args:    cobra.ArbitraryArgs,
		}),
	)
	return schedule
}

// chosenCommand completes a command whose operation is for some of what waits for its time.
func chosenCommand(p Process, operation string, cmd *cobra.Command) *cobra.Command {
	var destination string
	var within time.Duration
	dataDir := nodeFlags(cmd, p)
	cmd.Flags().StringVar(&destination, "destination", "", "only what goes to this queue or topic, or to those that it matches")
	cmd.Flags().DurationVar(&within, "within", 0, "only what comes next within this time")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir, err := dataDir(cmd)
		if err != nil {
			return err
		}
		what := url.Values{jobArgument: args}
		if destination != "" {
			what.Set(destinationArgument, destination)
		}
		if cmd.Flags().Changed("within") {
			what.Set(withinArgument, within.String())
		}
		return admin.Ask(cmd.Context(), dir, operation, what, nil, cmd.OutOrStdout())
	}
	return cmd
}
