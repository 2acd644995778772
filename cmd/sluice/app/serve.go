package app

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// systemConfig is read when neither flag nor environment names a file.
const systemConfig = "/etc/sluice/sluice.yaml"

func serveCommand(p Process) *cobra.Command {
	var file string
	var dev bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a node",
		Long: "Runs a node until SIGTERM or SIGINT; a second signal ends it at once. The configuration is, each\n" +
			"over the next: flags, SLUICE_* environment (limits.login_timeout is SLUICE_LIMITS_LOGIN_TIMEOUT),\n" +
			"the file (--config, $SLUICE_CONFIG, " + systemConfig + "), defaults.",
		Example: "  sluice serve --dev\n" +
			"  sluice serve --dev --listen nats=127.0.0.1:14222\n" +
			"  sluice serve --config sluice.yaml",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s := Sources{File: file, Dev: dev, Flags: cmd.Flags(), Environ: p.Environ}
			if s.File == "" && !dev {
				s.File = findConfig(p.Environ)
			}
			return serve(s, p)
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "config", "", "configuration file")
	f.BoolVar(&dev, "dev", false, "run on loopback with the defaults and data in ./data; reads no file")
	f.String("data-dir", "", "where the store is (data_dir)")
	f.StringArray(listenFlag, nil, "protocol=address; takes the place of that protocol's listeners; may be repeated")
	f.String("log-level", "", "debug, info, warn or error (log.level)")
	f.String("log-format", "", "text, json or auto (log.format)")
	cmd.MarkFlagsMutuallyExclusive("config", "dev")
	completeFlag(cmd, "log-level", "debug", "info", "warn", "error")
	completeFlag(cmd, "log-format", "text", "json", "auto")
	return cmd
}

// completeFlag has shells offer the values of a flag.
func completeFlag(cmd *cobra.Command, name string, values ...string) {
	if err := cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // there is no such flag
	}
}

// findConfig returns the file to read, or "" for none.
func findConfig(environ []string) string {
	if name := environment(environ, configVariable); name != "" {
		return name
	}
	if _, err := os.Stat(systemConfig); err == nil {
		return systemConfig
	}
	return ""
}

func serve(s Sources, p Process) error {
	cfg, warnings, err := Load(s)
	if err != nil {
		return err
	}
	log, level := newLogger(cfg.Log, p.Stderr)
	if s.File == "" && !s.Dev {
		warnings = append(warnings, "no configuration file was found; the defaults count")
	}
	for _, w := range warnings {
		log.Warn(w)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	notify := notifier{socket: environment(p.Environ, "NOTIFY_SOCKET")}
	reloads := make(chan os.Signal, 1)
	signal.Notify(reloads, syscall.SIGHUP)
	defer signal.Stop(reloads)
	err = run(cfg, log, outside{
		notify: notify, signals: signals, reloads: reloads, quit: func() { p.Exit(1) }, environ: p.Environ, beside: s.directory(),
		load: func() (Config, []string, error) { return Load(s) }, level: level,
	})
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

func environment(environ []string, name string) string {
	for _, pair := range environ {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}
