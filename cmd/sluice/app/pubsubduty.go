package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sluice-mq/sluice/protocols/admin"
	"github.com/sluice-mq/sluice/protocols/pubsub"
	"github.com/sluice-mq/sluice/protocols/pubsub/migrate"
)

// The operation that takes an export of the ARGO Messaging Service, and its argument.
const (
	pubsubImport = "pubsub-import"
	dryArgument  = "dry-run"
)

// ImportPubSub takes an export of the ARGO Messaging Service, and tells what became of it.
func (d *duty) ImportPubSub(ctx context.Context, c admin.Call, w io.Writer) error {
	n := d.life.node
	if n.service == "" { // nor does it know the key for tokens
		return errors.New("the node has no listener for HTTP Pub/Sub")
	}
	export, err := migrate.Read(c.Body)
	if err != nil {
		return err
	}
	ctx, end, err := d.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	result, err := export.Import(ctx, migrate.Config{
		Directory: n.directory, Retention: time.Duration(d.life.cfg.PubSub.Retention), ValidRole: pubsub.ValidRole, DryRun: c.Arguments.Has(dryArgument),
	})
	if result != nil {
		tellImport(w, result, c.Arguments.Has(dryArgument))
	}
	if err != nil {
		return fmt.Errorf("it is not finished, and may be done again: %w", err)
	}
	if !c.Arguments.Has(dryArgument) {
		d.life.log.Info("an export of the ARGO Messaging Service was imported", "notes", len(result.Notes))
	}
	return nil
}

// tellImport tells what became of an export, a line for each note and each kind of things.
func tellImport(w io.Writer, r *migrate.Result, dry bool) {
	for _, note := range r.Notes {
		fmt.Fprintln(w, "note:", note)
	}
	taken := "taken"
	if dry {
		taken = "would be taken"
	}
	for _, k := range r.Kinds {
		if k.Taken+k.There+k.Left > 0 {
			fmt.Fprintf(w, "%s: %d %s, %d there already, %d not taken\n", k.Kind, k.Taken, taken, k.There, k.Left)
		}
	}
}
