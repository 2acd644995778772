package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sluice-mq/sluice/protocols/admin"
	"github.com/sluice-mq/sluice/protocols/pubsub/migrate"
)

// pubsubCommand is about HTTP Pub/Sub.
func pubsubCommand(p Process) *cobra.Command {
	cmd := &cobra.Command{Use: "pubsub", Short: "About HTTP Pub/Sub"}
	cmd.AddCommand(pubsubImportCommand(p))
	return cmd
}

func pubsubImportCommand(p Process) *cobra.Command {
	var ends string
	var dry bool
	cmd := &cobra.Command{
		Use:   "import DIR|FILE...",
		Short: "Take over what the ARGO Messaging Service keeps in MongoDB",
		Long: "Takes projects, users with their tokens, topics, subscriptions with their offsets, ACLs, schemas and registrations of the ARGO Messaging Service, and the bindings of its\n" +
			"mapping of certificates, into the running node. The files are those of mongoexport, each called after its collection: users.json, topics.json and so on. What\n" +
			"is there already stays as it is, so that it may be done again. What is not taken as it was is said, and why.",
		Example: "  sluice pubsub import --dry-run /srv/ams-export\n  sluice pubsub import --ends offsets.txt /srv/ams-export",
		Args:    cobra.MinimumNArgs(1),
	}
	dataDir := nodeFlags(cmd, p)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would be done, and do nothing")
	cmd.Flags().StringVar(&ends, "ends", "", "where the logs of topics end in Kafka, as kafka-get-offsets.sh says it: lines of topic:partition:offset")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir, err := dataDir(cmd)
		if err != nil {
			return err
		}
		var export bytes.Buffer
		if err := readExport(&export, cmd.ErrOrStderr(), args, ends); err != nil {
			return err
		}
		arguments := url.Values{}
		if dry {
			arguments.Set(dryArgument, "")
		}
		return admin.Ask(cmd.Context(), dir, pubsubImport, arguments, &export, cmd.OutOrStdout())
	}
	return cmd
}

// readExport writes what files have for the node. What is passed over is told.
func readExport(to, told io.Writer, places []string, ends string) error {
	files, err := exportFiles(places)
	if err != nil {
		return err
	}
	w := migrate.NewWriter(to)
	taken := 0
	for _, file := range files {
		collection, ok := migrate.CollectionOf(file)
		why := "its name does not end with .json, .jsonl or .ndjson"
		if ok {
			why = migrate.Collection(collection)
		}
		if why != "" {
			fmt.Fprintf(told, "note: %s is passed over: %s\n", file, why)
			continue
		}
		taken++
		if err := eachDocument(file, func(document json.RawMessage) error { return w.Document(collection, document) }); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	if taken == 0 {
		return errors.New("there is no file of a collection, such as users.json")
	}
	if ends == "" {
		return nil
	}
	f, err := os.Open(ends)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := w.Ends(f); err != nil {
		return fmt.Errorf("%s: %w", ends, err)
	}
	return nil
}

func eachDocument(file string, fn func(json.RawMessage) error) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return migrate.Documents(io.LimitReader(f, migrate.MaxExport), fn)
}

// exportFiles are the files, and those of the directories.
func exportFiles(places []string) (files []string, err error) {
	for _, place := range places {
		err := filepath.WalkDir(place, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}
