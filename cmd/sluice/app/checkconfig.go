package app

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluice-mq/sluice/deploy"
)

func checkConfigCommand(p Process) *cobra.Command {
	return &cobra.Command{
		Use:   "check-config FILE",
		Short: "Check a configuration file",
		Long: "Checks every key and value of a configuration file, and the certificates, secrets and other files that it names, and reports all\n" +
			"that is wrong, with line and column. SLUICE_* settings of the environment are left out. The exit code is 1 if anything is wrong.",
		Example: "  sluice check-config /etc/sluice/sluice.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s := Sources{File: args[0]}
			s.Look = func(c Config) (Problems, []string) { return inspect(c, p.Environ, s.directory()) }
			_, warnings, err := Load(s)
			if err != nil {
				return err
			}
			for _, w := range warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: warning: %s\n", args[0], w)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", args[0])
			return nil
		},
	}
}

func configCommand(p Process) *cobra.Command {
	config := &cobra.Command{Use: "config", Short: "About the configuration"}
	config.AddCommand(showConfigCommand(p))
	config.AddCommand(&cobra.Command{
		Use:     "defaults",
		Short:   "Print a commented configuration file with every key and its default",
		Example: "  sluice config defaults > sluice.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), deploy.Example())
			return err
		},
	})
	return config
}
