package app

import (
	"github.com/spf13/cobra"

	"github.com/sluice-mq/sluice/protocols/admin"
)

// operateCommands are those that speak to the node that runs on this machine.
func operateCommands(p Process) []*cobra.Command {
	return []*cobra.Command{
		operateCommand(p, "drain", "Take the node out of service: its clients leave, its shards go to other nodes",
			"Takes the running node out of service: /readyz answers 503, after drain_grace clients are sent away as their frames\n"+
				"are answered, shards go to other nodes, and all that was received is stored. The process goes on, and sluice\n"+
				"undrain brings it back. The exit code is 1 if something did not come to its end."),
		operateCommand(p, "undrain", "Take the node back into service", "Opens the listeners again, takes shards back and has /readyz answer 200."),
		operateCommand(p, "status", "Show how the node and its cluster are", "Shows whether the node is in service, what it is linked to, and who has which shard."),
		backupCommand(p), restoreCommand(p),
		operateCommand(p, "selftest", "Prove that the node works: send, receive, acknowledge, replicate",
			"Sends, receives and acknowledges a message through every shard and a topic, looks whether all copies of the journals are\n"+
				"current, and whether the open listeners answer. It works on a node that is drained, too. The exit code is 1 if anything fails."),
	}
}

func operateCommand(p Process, name, short, long string) *cobra.Command {
	cmd := &cobra.Command{
		Use: name, Short: short,
		Long:    long + "\n\nThe node is found by its data directory, as the configuration says it.",
		Example: "  sluice " + name + "\n  sluice " + name + " --data-dir /srv/sluice",
		Args:    cobra.NoArgs,
	}
	dataDir := nodeFlags(cmd, p)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		dir, err := dataDir(cmd)
		if err != nil {
			return err
		}
		return admin.Ask(cmd.Context(), dir, name, nil, nil, cmd.OutOrStdout())
	}
	return cmd
}

// nodeFlags gives a command the flags that say of which node it is, and returns what finds the data directory by them.
func nodeFlags(cmd *cobra.Command, p Process) func(*cobra.Command) (string, error) {
	var file string
	cmd.Flags().StringVar(&file, "config", "", "configuration file of the node")
	cmd.Flags().String("data-dir", "", "data directory of the node (data_dir)")
	return func(cmd *cobra.Command) (string, error) {
		s := Sources{File: file, Flags: cmd.Flags(), Environ: p.Environ}
		if s.File == "" && !cmd.Flags().Changed("data-dir") {
			s.File = findConfig(p.Environ)
		}
		cfg, _, err := Load(s)
		return cfg.DataDir, err
	}
}
