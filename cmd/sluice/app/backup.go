package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/jetstream"
	"github.com/sluice-mq/sluice/protocols/admin"
)

func backupCommand(p Process) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "backup", Short: "Write a backup of all queues and topics, while the node runs",
		Long: "Writes all persistent messages that wait in queues to a file, with their order, ids and redelivery counts, the topics of\n" +
			"HTTP Pub/Sub with their messages and subscriptions, the durable subscriptions,\n" +
			"what virtual topics feed, and the policies that were set while running; in a cluster those of all nodes, whichever is asked. Messages that are acknowledged meanwhile may be in it. The file appears when it is complete and was read back.",
		Example: "  sluice backup --out /backup/sluice-$(date +%F)\n  sluice backup --out - | zstd > backup.zst",
		Args:    cobra.NoArgs,
	}
	dataDir := nodeFlags(cmd, p)
	cmd.Flags().StringVar(&out, "out", "", "file to write; - is standard output")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if out == "" {
			return errors.New("--out is needed: the file to write, or -")
		}
		dir, err := dataDir(cmd)
		if err != nil {
			return err
		}
		if out == "-" {
			return admin.Ask(cmd.Context(), dir, "backup", nil, nil, cmd.OutOrStdout())
		}
		ctx, end := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer end()
		return writeBackup(ctx, dir, out, cmd.OutOrStdout())
	}
	return cmd
}

// writeBackup has the file there when it is whole, on disk and read back, and nothing otherwise, also after an interruption. It takes the place of a
// file only: root could lose a device.
func writeBackup(ctx context.Context, dataDir, path string, said io.Writer) error {
	if at, err := os.Stat(path); err == nil && !at.Mode().IsRegular() {
		return fmt.Errorf("%s is no file; --out - writes to standard output", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part-")
	if err != nil {
		return err
	}
	err = admin.Ask(ctx, dataDir, "backup", nil, nil, f)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = readBack(f, path, said)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// readBack reads a backup as a restore would, and says what is in it.
func readBack(f *os.File, path string, said io.Writer) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	topics, of, logged := map[string]int{}, "", 0
	n, err := jetstream.ReadBackup(f, jetstream.Backup{
		Message: func(*gateway.Message, uint32) error { return nil },
		Log: func(topic string, _ uint64) error {
			of, logged = topic, logged-topics[topic]
			topics[topic] = 0
			return nil
		},
		Logged: func(*gateway.Message) error {
			topics[of]++
			logged++
			return nil
		},
	})
	if err != nil {
		return fmt.Errorf("reading back what was written: %w", err)
	}
	fmt.Fprintf(said, "%s: %d messages of queues, %d messages of %d topics\n", path, n, logged, len(topics))
	return nil
}

func restoreCommand(p Process) *cobra.Command {
	var merge bool
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Take a backup's messages into the queues and topics of a node that runs",
		Long: "Takes all messages of a backup into the queues, of one node or of a cluster, whatever it was made of. The file is checked as a whole\n" +
			"first. The queues must be empty, unless --merge is said. Their messages are marked as redelivered, because somebody may have had them since.\n" +
			"Topics of HTTP Pub/Sub come back with their messages and offsets; a topic that is there stays as it is.",
		Example: "  sluice restore /backup/sluice-2026-11-20",
		Args:    cobra.ExactArgs(1),
	}
	dataDir := nodeFlags(cmd, p)
	cmd.Flags().BoolVar(&merge, "merge", false, "add to what is in the queues")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir, err := dataDir(cmd)
		if err != nil {
			return err
		}
		f, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := jetstream.ReadBackup(f, jetstream.Backup{Message: func(*gateway.Message, uint32) error { return nil }}); err != nil {
			return fmt.Errorf("%s: %w; nothing was restored", args[0], err)
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		arguments := url.Values{}
		if merge {
			arguments.Set(merging, "")
		}
		return admin.Ask(cmd.Context(), dir, "restore", arguments, f, cmd.OutOrStdout())
	}
	return cmd
}
