package app

import (
	"context"
	"io"

	"github.com/sluice-mq/sluice/protocols/admin"
)

// merging is the argument that lets restore add to what is there.
const merging = "merge"

// operations are what an operator can have the node do.
func (d *duty) operations() []admin.Operation {
	plain := func(name string, whole bool, do func(context.Context, io.Writer) error) admin.Operation {
		return admin.Operation{Name: name, Whole: whole, Do: func(ctx context.Context, _ admin.Call, w io.Writer) error { return do(ctx, w) }}
	}
	return []admin.Operation{
		plain("drain", true, d.Drain),
		plain("undrain", true, d.Undrain),
		plain("status", false, d.Status),
		plain("selftest", false, d.SelfTest),
		plain("backup", false, d.Backup),
		plain("reload", true, d.Reload),
		plain("connections", false, d.Connections),
		{Name: "disconnect", Do: func(_ context.Context, c admin.Call, _ io.Writer) error { return d.Disconnect(c) }},
		{Name: "tap", Do: d.Tap},
		{Name: "restore", Do: func(ctx context.Context, c admin.Call, w io.Writer) error {
			return d.Restore(ctx, c.Body, c.Arguments.Has(merging), w)
		}},
	}
}
