package app

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/sluice-mq/sluice/jetstream"
)

// Status tells how the node and its cluster are.
func (d *duty) Status(ctx context.Context, w io.Writer) error {
	l := d.life
	state := "in service"
	for _, c := range l.health.Checks() {
		if c.Reason != "" {
			state = "not in service: " + c.Name + ": " + c.Reason
			break
		}
	}
	fmt.Fprintf(w, "node %s (%s): %s\n", l.cfg.Node, ReadBuild().Version, state)
	s := l.node.broker.Stats()
	fmt.Fprintf(w, "%d sessions, %d subscriptions; %d messages wait and %d are in flight in the queues of this node's shards\n", s.Sessions, s.Subscriptions, s.Waiting, s.InFlight)
	fmt.Fprintf(w, "of these %d wait for durable subscriptions and %d in temporary queues; %d more are scheduled, %d of topics are kept for who comes later\n",
		s.Of.Durable, s.Of.Temporary, s.Of.Scheduled, s.Of.Retained)
	if later := max(s.Delayed-s.Of.Scheduled, 0); later > 0 || s.Blocked > 0 { // the scheduled ones are delayed ones, and told already
		fmt.Fprintf(w, "%d were put off and come again later; %d wait, with their senders, for room in full queues\n", later, s.Blocked)
	}
	if l.cfg.Cluster == nil {
		return nil
	}
	fmt.Fprintf(w, "cluster %s: %s\n", l.cfg.Cluster.Name, majority(l.node.store.Current()))
	shards := make([]shardCopies, l.node.store.Shards())
	for i := range shards {
		shards[i].copies, shards[i].err = l.node.store.Copies(ctx, i)
	}
	return clusterTable(w, l.cfg.Node, l.node.store.Nodes(), shards)
}

// shardCopies are the copies of a shard, or why they are not known.
type shardCopies struct {
	copies []jetstream.Copy
	err    error
}

// clusterTable shows nodes and shards. What a node that is down said last of itself does not count any more; one that is known by its copies
// alone has not been heard of since this node, self, started.
func clusterTable(w io.Writer, self string, nodes []jetstream.Node, shards []shardCopies) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tLINK\tSHARDS\tLANGUAGE")
	known := map[string]bool{}
	for _, n := range nodes {
		known[n.Name] = true
		link, owns := "down", "-"
		switch {
		case n.Name == self:
			link = "this node"
		case n.Linked:
			link = "up"
		}
		if link != "down" && len(n.Owns) > 0 {
			owns = strings.Trim(fmt.Sprint(n.Owns), "[]")
		}
		if n.Leaving {
			link += ", leaving"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\n", n.Name, link, owns, n.Language)
	}
	for _, s := range shards {
		for _, c := range s.copies {
			if !known[c.Node] {
				known[c.Node] = true
				fmt.Fprintf(table, "%s\tdown\t-\t-\n", c.Node)
			}
		}
	}
	fmt.Fprintln(table, "SHARD\tLEADER\tCOPIES")
	for i, s := range shards {
		leader, text := "none", ""
		if s.err != nil {
			text = s.err.Error()
		}
		for _, c := range s.copies {
			if c.Leads {
				leader = c.Node
			}
			text += " " + c.Node
			if c.Offline {
				text += " (offline)"
			} else if c.Lag > 0 {
				text += fmt.Sprintf(" (%d behind)", c.Lag)
			}
		}
		fmt.Fprintf(table, "%d\t%s\t%s\n", i, leader, strings.TrimSpace(text))
	}
	return table.Flush()
}

func majority(current bool) string {
	if current {
		return "in touch with a majority of the nodes"
	}
	return "NOT in touch with a majority of the nodes"
}
