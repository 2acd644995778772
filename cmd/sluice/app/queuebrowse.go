package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/admin"
)

const (
	// jsonArgument has messages shown as JSON, and bodiesArgument with their bodies.
	jsonArgument = "json"
	// browseUsually is how many messages the command shows if nobody says.
	browseUsually = 100
	// browseRows is how many rows have columns of the same width, and browseBody how much of a body is in a row, in bytes.
	browseRows = 100
	browseBody = 1 << 10
)

// browseCommand is sluice queue browse.
func browseCommand(p Process) *cobra.Command {
	var selector, id string
	var count int
	var asJSON, bodies bool
	cmd := &cobra.Command{
		Use: "browse QUEUE", Short: "Show what is in a queue, and change nothing",
		Long: "Shows the messages of a queue in order: those that wait, that consumers have and have not acknowledged, and that come later. A line each; with\n" +
			"--json it is an object with the whole header. The right to manage the queue is needed, and the audit says who looked.",
		Example: "  sluice queue browse /queue/orders\n  sluice queue browse /queue/ActiveMQ.DLQ --selector \"site = 'CERN'\" --count 0 --json --body",
		Args:    cobra.ExactArgs(1),
	}
	dataDir := nodeFlags(cmd, p)
	cmd.Flags().StringVar(&selector, "selector", "", "only messages that the JMS selector selects")
	cmd.Flags().StringVar(&id, "message-id", "", "only the message with this id")
	cmd.Flags().IntVar(&count, "count", browseUsually, "so many messages at most; 0 is all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "a JSON object for each message")
	cmd.Flags().BoolVar(&bodies, "body", false, "with the body; in a line up to 1 KiB of it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir, err := dataDir(cmd)
		if err != nil {
			return err
		}
		what := url.Values{destinationArgument: args}
		for name, value := range map[string]string{selectorArgument: selector, messageIDArgument: id} {
			if value != "" {
				what.Set(name, value)
			}
		}
		if count != 0 {
			what.Set(maximumArgument, strconv.Itoa(count))
		}
		for name, said := range map[string]bool{jsonArgument: asJSON, bodiesArgument: bodies} {
			if said {
				what.Set(name, "")
			}
		}
		return admin.Ask(cmd.Context(), dir, queueBrowse, what, nil, cmd.OutOrStdout())
	}
	return cmd
}

// BrowseQueue shows what is in a queue.
func (d *duty) BrowseQueue(ctx context.Context, c admin.Call, w io.Writer) error {
	queue, which, err := selectionOf(c)
	if err != nil {
		return err
	}
	most := which.Most
	if most > 0 {
		which.Most++ // so that it is known whether there are more
	}
	as, shown := d.reloads.Load(), 0
	show, end := browseTable(w, c.Arguments.Has(bodiesArgument))
	if c.Arguments.Has(jsonArgument) {
		show, end = browseLines(w, c.Arguments.Has(bodiesArgument))
	}
	err = d.life.node.broker.Look(ctx, queue, which, func(m *gateway.Message, redeliveries uint32) error {
		if now := d.reloads.Load(); now != as {
			as = now
			rights, err := c.Now(queueBrowse)
			if err == nil {
				err = rights.May(gateway.Manage, queue)
			}
			if err != nil {
				return err
			}
		}
		if shown++; most > 0 && shown > most {
			return nil
		}
		return show(m, redeliveries)
	})
	if err != nil {
		return err
	}
	return end(most > 0 && shown > most)
}

// browsed is a message as it is written.
type browsed struct {
	Message      string      `json:"message_id"`
	Destination  string      `json:"destination"`
	Sent         time.Time   `json:"time"`
	Expires      *time.Time  `json:"expires,omitempty"`
	Priority     uint8       `json:"priority"`
	Persistent   bool        `json:"persistent"`
	Redeliveries uint32      `json:"redeliveries"`
	Header       [][2]string `json:"header"`
	Size         int         `json:"size"`
	Body         string      `json:"body,omitempty"`
	Base64       []byte      `json:"body_base64,omitempty"`
}

// browseLines writes JSON objects.
func browseLines(w io.Writer, bodies bool) (show func(*gateway.Message, uint32) error, end func(more bool) error) {
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	show = func(m *gateway.Message, redeliveries uint32) error {
		b := browsed{
			Message: m.ID, Destination: m.Destination.String(), Sent: time.UnixMilli(m.Timestamp).UTC(), Priority: m.Priority, Persistent: m.Persistent,
			Redeliveries: redeliveries, Header: [][2]string{}, Size: len(m.Body),
		}
		if m.Expires != 0 {
			at := time.UnixMilli(m.Expires).UTC()
			b.Expires = &at
		}
		for _, f := range m.Header {
			b.Header = append(b.Header, [2]string{f.Name, f.Value})
		}
		switch {
		case !bodies:
		case utf8.Valid(m.Body):
			b.Body = string(m.Body)
		default:
			b.Base64 = m.Body
		}
		return lines.Encode(b)
	}
	return show, func(bool) error { return nil }
}

// browseTable writes rows, some at a time.
func browseTable(w io.Writer, bodies bool) (show func(*gateway.Message, uint32) error, end func(more bool) error) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := "MESSAGE-ID\tSENT\tEXPIRES\tPRIORITY\tPERSISTENT\tREDELIVERIES\tSIZE"
	if bodies {
		head += "\tBODY"
	}
	fmt.Fprintln(t, head)
	at := func(millis int64) string {
		if millis == 0 {
			return "-"
		}
		return time.UnixMilli(millis).UTC().Format(time.RFC3339)
	}
	rows := 0
	show = func(m *gateway.Message, redeliveries uint32) error {
		row := fmt.Sprintf("%s\t%s\t%s\t%d\t%t\t%d\t%d", shownText(m.ID), at(m.Timestamp), at(m.Expires), m.Priority, m.Persistent, redeliveries, len(m.Body))
		if bodies {
			row += "\t" + strconv.QuoteToGraphic(string(m.Body[:min(len(m.Body), browseBody)]))
		}
		fmt.Fprintln(t, row)
		if rows++; rows%browseRows == 0 {
			return t.Flush()
		}
		return nil
	}
	return show, func(more bool) error {
		if err := t.Flush(); err != nil || !more {
			return err
		}
		_, err := fmt.Fprintln(w, "and more: --count says how many are shown")
		return err
	}
}
