package app

import (
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sluice-mq/sluice/protocols/admin"
)

// queueCommands are those about what waits in queues.
func queueCommands(p Process) []*cobra.Command {
	dlq := &cobra.Command{Use: "dlq", Short: "About dead messages"}
	dlq.AddCommand(selectingCommand(p, dlqRetry, &cobra.Command{
		Use: "retry QUEUE", Short: "Send dead messages back to where they were sent",
		Long: "Takes messages of a dead-letter queue back to the queues and topics that they were sent to, as the messages that they were; those of\n" +
			"durable subscriptions to these alone. Each is stored there before it leaves. What does not say where it comes from stays.",
		Example: "  sluice dlq retry /queue/ActiveMQ.DLQ\n  sluice dlq retry /queue/ActiveMQ.DLQ --selector \"site = 'CERN'\" --maximum 10",
		Args:    cobra.ExactArgs(1),
	}))
	queue := &cobra.Command{Use: "queue", Short: "About what waits in queues"}
	queue.AddCommand(selectingCommand(p, queuePurge, &cobra.Command{
		Use: "purge QUEUE", Short: "Remove what waits in a queue",
		Long:    "Removes messages that wait in a queue, for good. What a client has and has not acknowledged stays its own.",
		Example: "  sluice queue purge /queue/orders\n  sluice queue purge /queue/orders --message-id ID:n1-4711-1-0:1:1:1:1:5",
		Args:    cobra.ExactArgs(1),
	}), selectingCommand(p, queueMove, &cobra.Command{
		Use: "move QUEUE TO", Short: "Move what waits in a queue to another one",
		Long:    "Moves messages that wait in a queue behind those of another one. Each is stored there before it leaves. The other queue's limits do not count.",
		Example: "  sluice queue move /queue/orders /queue/orders.late --selector \"late = 'yes'\"",
		Args:    cobra.ExactArgs(2),
	}), browseCommand(p), listCommand(p))
	return []*cobra.Command{dlq, queue}
}

// selectingCommand completes a command whose operation is for some messages of a queue.
func selectingCommand(p Process, operation string, cmd *cobra.Command) *cobra.Command {
	var selector, id string
	var most int
	dataDir := nodeFlags(cmd, p)
	cmd.Flags().StringVar(&selector, "selector", "", "only messages that the JMS selector selects")
	cmd.Flags().StringVar(&id, "message-id", "", "only the message with this id")
	cmd.Flags().IntVar(&most, "maximum", 0, "so many messages at most; 0 is all that wait when it begins")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir, err := dataDir(cmd)
		if err != nil {
			return err
		}
		what := url.Values{destinationArgument: args[:1]}
		if len(args) > 1 {
			what.Set(toArgument, args[1])
		}
		if selector != "" {
			what.Set(selectorArgument, selector)
		}
		if id != "" {
			what.Set(messageIDArgument, id)
		}
		if most != 0 {
			what.Set(maximumArgument, strconv.Itoa(most))
		}
		return admin.Ask(cmd.Context(), dir, operation, what, nil, cmd.OutOrStdout())
	}
	return cmd
}
