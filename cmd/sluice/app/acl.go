package app

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-mq/sluice/auth"
	"github.com/sluice-mq/sluice/auth/acl"
	"github.com/sluice-mq/sluice/gateway"
)

// rules makes the authorizer that a configuration asks for. Warnings are about rules that do not do what their author may think.
func rules(a *Auth) (gateway.Authorizer, []string, error) {
	if a == nil || a.Anonymous && len(a.ACL) == 0 {
		return auth.AllowAll{}, nil, nil
	}
	list, err := ruleList(a)
	if err != nil {
		return nil, nil, err
	}
	return list, list.Warnings(), nil
}

// unmade are the destinations that nobody needs the right to create. With first-match these are all topics, which are nothing but those who
// read and write them; with union it is as in ActiveMQ.
func unmade(a *Auth) []gateway.Destination {
	if a == nil || a.ACLMode == Union {
		return nil
	}
	return []gateway.Destination{{Kind: gateway.KindTopic, Name: ">"}}
}

func ruleList(a *Auth) (*acl.Authorizer, error) {
	mode, err := acl.ParseMode(string(a.ACLMode))
	if err != nil {
		return nil, err
	}
	cfg := acl.Config{Mode: mode}
	for _, r := range a.ACL {
		cfg.Rules = append(cfg.Rules, acl.Rule{Users: r.Users, Groups: r.Groups, Allow: r.Allow, Deny: r.Deny, On: r.On, Position: r.Place})
	}
	list, err := acl.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("auth.acl: %w", err)
	}
	return list, nil
}

func aclCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{Use: "acl", Short: "About who may do what"}
	cmd.AddCommand(explainCommand(p))
	return cmd
}

func explainCommand(p Process) *cobra.Command {
	var file string
	var groups []string
	cmd := &cobra.Command{
		Use:   "explain USER ACTION DESTINATION",
		Short: "Say whether a user may do something, and which rule decides",
		Long: "Says by the rules of the configuration file whether a user may read, write, create or manage a destination, and which rule decides.\n" +
			"The user's groups are those of the file; --group adds more, as a directory or a token would give. The user - is\n" +
			"an anonymous client. The exit code is 1 if it may not.",
		Example: "  sluice acl explain alice write /queue/a.b\n  sluice acl explain --group ops carol manage /admin/drain\n  sluice acl explain - read '/topic/>'",
		Args:    cobra.ExactArgs(3),
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file of the node")
	cmd.Flags().StringArrayVar(&groups, "group", nil, "a further group of the user; may be repeated")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if file == "" {
			file = findConfig(p.Environ)
		}
		c, _, err := Load(Sources{File: file, Environ: p.Environ})
		if err != nil {
			return err
		}
		return explain(cmd, c.Auth, args[0], groups, args[1], args[2])
	}
	return cmd
}

// errMayNot makes the exit code of a no.
var errMayNot = errors.New("not allowed")

func explain(cmd *cobra.Command, a *Auth, user string, groups []string, action, target string) error {
	if a == nil {
		fmt.Fprintln(cmd.OutOrStdout(), "allowed: there is no auth section, so that everybody may do everything")
		return nil
	}
	if a.Anonymous && len(a.ACL) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "allowed: auth.anonymous is true and there are no rules, so that everybody may do everything")
		return nil
	}
	list, err := ruleList(a)
	if err != nil {
		return err
	}
	do, err := acl.ParseAction(action)
	if err != nil {
		return err
	}
	who := gateway.Principal{Groups: groups}
	if user != "-" {
		who.Name, who.Method = user, "password"
		known := false
		for _, u := range a.Users {
			if u.Name == user {
				known = true
				who.Groups = append(who.Groups, u.Groups...)
			}
		}
		if !known {
			fmt.Fprintf(cmd.ErrOrStderr(), "note: %s is not in auth.users; groups of other sources have to be given with --group\n", user)
		}
	}
	if do == gateway.Create && len(unmade(a)) > 0 && strings.HasPrefix(target, "/topic/") {
		fmt.Fprintln(cmd.OutOrStdout(), "allowed: with first-match nobody needs the right to create topics, which are nothing but those who read and write them")
		return nil
	}
	verdict, err := list.Explain(who, do, target)
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), verdict)
	if !verdict.Allowed {
		return errMayNot
	}
	return nil
}
