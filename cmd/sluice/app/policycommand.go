package app

import (
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/admin"
)

// The names of the operations.
const (
	policyExplain = "policy-explain"
	policyList    = "policy-list"
	policySet     = "policy-set"
	policyUnset   = "policy-unset"
)

// fileArgument says where a body comes from.
const fileArgument = "file"

func policyCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{Use: "policy", Short: "About how destinations behave"}
	explain := &cobra.Command{
		Use: "explain DESTINATION", Short: "Say which policy is that of a destination",
		Long:    "Says which policy of the running node decides how a destination behaves, where it stands, and what it says.",
		Example: "  sluice policy explain /queue/orders",
		Args:    cobra.ExactArgs(1),
	}
	dataDir := nodeFlags(explain, p)
	explain.RunE = func(cmd *cobra.Command, args []string) error {
		dir, err := dataDir(cmd)
		if err != nil {
			return err
		}
		return admin.Ask(cmd.Context(), dir, policyExplain, url.Values{destinationArgument: args}, nil, cmd.OutOrStdout())
	}
	cmd.AddCommand(explain, policySetCommand(p),
		named(operateCommand(p, policyList, "List the policies in force", "Lists the policies of the running node in their order, and where each stands: the first that matches a destination\n"+
			"decides everything about it."), "list"),
		named(operateCommand(p, policyUnset, "Take back the policies that were set while running", "Takes back what sluice policy set has set, on all nodes: the policies of their configurations alone are in force."), "unset"))
	return cmd
}

// named gives an operation's command a name below policy.
func named(cmd *cobra.Command, name string) *cobra.Command {
	cmd.Use, cmd.Example = name, "  sluice policy "+name
	return cmd
}

func policySetCommand(p Process) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "set -f FILE", Short: "Put policies in force, on all nodes, until they are taken back",
		Long: "Puts the policies of a file in force: a list as under policies in a configuration. They come before those of the configuration, in the place of\n" +
			"what was set before, on all nodes of a cluster, also after a restart, until sluice policy unset. What is wrong is said with line and column,\n" +
			"and then nothing changes.",
		Example: "  sluice policy set -f policies.yaml\n  echo '[{on: [\"/queue/jobs.>\"], nack: requeue}]' | sluice policy set -f -",
		Args:    cobra.NoArgs,
	}
	dataDir := nodeFlags(cmd, p)
	cmd.Flags().StringVarP(&file, "file", "f", "", "file with the policies; - is standard input")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		dir, err := dataDir(cmd)
		if err != nil {
			return err
		}
		name, in := "standard input", cmd.InOrStdin()
		switch file {
		case "":
			return errors.New("--file is needed: the file with the policies, or -")
		case "-":
		default:
			f, err := os.Open(file)
			if err != nil {
				return err
			}
			defer f.Close()
			name, in = filepath.Base(file), f
		}
		// One byte more than possible, so that the node can say that it is too long.
		return admin.Ask(cmd.Context(), dir, policySet, url.Values{fileArgument: {name}}, io.LimitReader(in, gateway.MaxFact+1), cmd.OutOrStdout())
	}
	return cmd
}
