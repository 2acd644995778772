package app

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-mq/sluice/protocols/admin"
)

// watchCommands are those about clients and what they do.
func watchCommands(p Process) []*cobra.Command {
	return []*cobra.Command{
		operateCommand(p, "reload", "Read identities, rules, quotas, policies and certificates again", "Reads the configuration again, as SIGHUP does, and puts in force what may change while the node runs: identities, rules, quotas, policies,\n"+
			"the audit, and the files of certificates. Clients that may go on notice nothing; what somebody may not read any more ends."),
		operateCommand(p, "connections", "List the clients of the node", "Lists the sessions of the node: who, from where, what they did, what they have."),
		disconnectCommand(p), tapCommand(p), policyCommand(p), subscriptionsCommand(p),
	}
}

func disconnectCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{
		Use: "disconnect SESSION", Short: "Send a client of the node away",
		Long:    "Ends a session, which sluice connections names, with an error that says so. What the client had not acknowledged goes to others.",
		Example: "  sluice disconnect n1-18ab3f-4",
		Args:    cobra.ExactArgs(1),
	}
	dataDir := nodeFlags(cmd, p)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir, err := dataDir(cmd)
		if err != nil {
			return err
		}
		return admin.Ask(cmd.Context(), dir, "disconnect", url.Values{sessionArgument: args}, nil, cmd.OutOrStdout())
	}
	return cmd
}

func tapCommand(p Process) *cobra.Command {
	var session, selector, output string
	var every int
	var bodies bool
	cmd := &cobra.Command{
		Use: "tap [DESTINATION]", Short: "Watch what happens to messages of a destination or a client",
		Long: "Shows, as it happens, what is sent to and delivered from a destination on the node, or by a session. Nothing is held up, and\n" +
			"the audit says who watched what. Bodies are shown with --bodies only.",
		Example: "  sluice tap /queue/orders\n  sluice tap '/topic/site.>' --every 100 --selector \"severity = 'high'\"\n  sluice tap --session n1-18ab3f-4 --bodies --output json",
		Args:    cobra.MaximumNArgs(1),
	}
	dataDir := nodeFlags(cmd, p)
	cmd.Flags().StringVar(&session, "session", "", "show this session only")
	cmd.Flags().StringVar(&selector, "selector", "", "show messages that the JMS selector selects")
	cmd.Flags().IntVar(&every, "every", 1, "show one message in so many")
	cmd.Flags().BoolVar(&bodies, "bodies", false, "show bodies, up to 64 KiB of each")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	completeFlag(cmd, "output", "text", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir, err := dataDir(cmd)
		if err != nil {
			return err
		}
		what := url.Values{everyArgument: {strconv.Itoa(every)}}
		for name, value := range map[string]string{sessionArgument: session, selectorArgument: selector, destinationArgument: strings.Join(args, "")} {
			if value != "" {
				what.Set(name, value)
			}
		}
		if bodies {
			what.Set(bodiesArgument, "")
		}
		switch output {
		case "json":
			return admin.Ask(cmd.Context(), dir, "tap", what, nil, cmd.OutOrStdout())
		case "text":
			r, w := io.Pipe()
			done := make(chan error, 1)
			go func() { done <- printTap(r, cmd.OutOrStdout()) }()
			err := admin.Ask(cmd.Context(), dir, "tap", what, nil, w)
			_ = w.Close()
			if printed := <-done; err == nil {
				err = printed
			}
			return err
		}
		return fmt.Errorf("%q is not text or json", output)
	}
	return cmd
}

// printTap writes a tap's lines for people. What comes from clients cannot disturb a terminal.
func printTap(r *io.PipeReader, w io.Writer) error {
	defer r.Close()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l tapLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("the node's answer cannot be understood: %w", err)
		}
		if l.Dropped > 0 {
			fmt.Fprintf(w, "(%d not shown: they came too fast)\n", l.Dropped)
		}
		fmt.Fprintf(w, "%s %-9s %s %s user=%s session=%s size=%d", l.Time.Format(time.RFC3339Nano), l.Event, shownText(l.Destination), shownText(l.Message), shownText(l.User), l.Session, l.Size)
		for _, f := range l.Header {
			fmt.Fprintf(w, " %s=%s", shownText(f[0]), shownText(f[1]))
		}
		switch {
		case l.Body != "":
			fmt.Fprintf(w, " body=%q", l.Body)
		case len(l.Base64) > 0:
			fmt.Fprintf(w, " body=%q", l.Base64)
		}
		fmt.Fprintln(w)
	}
	return lines.Err()
}
