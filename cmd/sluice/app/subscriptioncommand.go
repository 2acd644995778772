package app

import (
	"net/url"

	"github.com/spf13/cobra"

	"github.com/sluice-mq/sluice/protocols/admin"
)

// The names of the operations, and the argument of the one that deletes.
const (
	subscriptionsList  = "subscriptions"
	subscriptionDelete = "subscription-delete"
	nameArgument       = "name"
)

func subscriptionsCommand(p Process) *cobra.Command {
	cmd := operateCommand(p, subscriptionsList, "List durable subscriptions and what virtual topics feed",
		"Lists the durable subscriptions, as client-id:name, and the queues that collect what is sent to topics, of all nodes: what they are for, how much\n"+
			"waits there and for how many consumers. A queue with {topic} in its name stands for one for each topic.")
	remove := &cobra.Command{
		Use: "delete NAME", Short: "End a durable subscription, or what a virtual topic feeds",
		Long: "Ends a durable subscription, which sluice subscriptions lists, and drops what was kept for it; or has a topic feed a queue no more. What is in use is\n" +
			"not ended.",
		Example: "  sluice subscriptions delete client-1:orders\n  sluice subscriptions delete /queue/Consumer.audit.orders",
		Args:    cobra.ExactArgs(1),
	}
	dataDir := nodeFlags(remove, p)
	remove.RunE = func(cmd *cobra.Command, args []string) error {
		dir, err := dataDir(cmd)
		if err != nil {
			return err
		}
		return admin.Ask(cmd.Context(), dir, subscriptionDelete, url.Values{nameArgument: args}, nil, cmd.OutOrStdout())
	}
	cmd.AddCommand(remove)
	return cmd
}
