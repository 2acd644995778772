package app

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
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
	if s.Delayed > 0 || s.Blocked > 0 {
		fmt.Fprintf(w, "%d messages come later; %d wait, with their senders, for room in full queues\n", s.Delayed, s.Blocked)
	}
	if l.cfg.Cluster == nil {
		return nil
	}
	fmt.Fprintf(w, "cluster %s: %s\n", l.cfg.Cluster.Name, majority(l.node.store.Current()))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tLINK\tSHARDS\tLANGUAGE")
	for _, n := range l.node.store.Nodes() {
		link := "down"
		switch {
		case n.Name == l.cfg.Node:
			link = "this node"
		case n.Linked:
			link = "up"
		}
		if n.Leaving {
			link += ", leaving"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\n", n.Name, link, strings.Trim(fmt.Sprint(n.Owns), "[]"), n.Language)
	}
	fmt.Fprintln(table, "SHARD\tLEADER\tCOPIES")
	for i := range l.node.store.Shards() {
		leader, text := "none", ""
		copies, err := l.node.store.Copies(ctx, i)
		if err != nil {
			text = err.Error()
		}
		for _, c := range copies {
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
