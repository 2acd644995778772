package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/statistics"
	"github.com/sluice-mq/sluice/protocols/admin"
)

const queueList = "queue-list"

// listCommand is sluice queue list.
func listCommand(p Process) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list [PATTERN]", Short: "List queues: how much waits, who consumes",
		Long: "Lists the queues of all nodes that a pattern matches, by name, at most 1,024: how many messages each holds, how many of these consumers have and\n" +
			"have not acknowledged, how many consumers there are, and what came, went and expired since the owner's start. Queues that are empty and unused are\n" +
			"left out, and so are those of a shard that is changing its owner. The right to manage each queue is needed.",
		Example: "  sluice queue list\n  sluice queue list '/queue/site.>' --json",
		Args:    cobra.MaximumNArgs(1),
	}
	dataDir := nodeFlags(cmd, p)
	cmd.Flags().BoolVar(&asJSON, "json", false, "a JSON object for each queue")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir, err := dataDir(cmd)
		if err != nil {
			return err
		}
		what := url.Values{destinationArgument: append(args, "/queue/>")[:1]}
		if asJSON {
			what.Set(jsonArgument, "")
		}
		return admin.Ask(cmd.Context(), dir, queueList, what, nil, cmd.OutOrStdout())
	}
	return cmd
}

// ListQueues lists the queues that a pattern matches and that whoever asks may manage.
func (d *duty) ListQueues(_ context.Context, c admin.Call, w io.Writer) error {
	pattern := gateway.Destination{Kind: gateway.KindQueue, Name: ">"}
	if text := c.Arguments.Get(destinationArgument); text != "" {
		var err error
		if pattern, err = destination(text); err != nil {
			return err
		}
	}
	if pattern.Kind != gateway.KindQueue {
		return fmt.Errorf("%s is not about queues", pattern)
	}
	var all []statistics.OfDestination
	for _, q := range d.life.node.broker.Numbers(pattern) {
		if c.Rights.May(gateway.Manage, gateway.Destination{Kind: gateway.KindQueue, Name: numbered(q)}) == nil {
			all = append(all, q)
		}
	}
	if c.Arguments.Has(jsonArgument) {
		lines := json.NewEncoder(w)
		for _, q := range all {
			if err := lines.Encode(q); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "QUEUE\tMESSAGES\tIN FLIGHT\tCONSUMERS\tIN\tOUT\tEXPIRED\tOWNER")
	for _, q := range all {
		fmt.Fprintf(table, "/queue/%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", numbered(q), q.Size, q.InFlight, q.Consumers, q.Enqueued, q.Dequeued, q.Expired, q.Broker)
	}
	return table.Flush()
}

// numbered is the name of a queue whose numbers these are.
func numbered(q statistics.OfDestination) string { return strings.TrimPrefix(q.Name, "queue://") }
