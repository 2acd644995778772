package app

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/sluice-mq/sluice/protocols/admin"
)

// merging is the argument that lets restore add to what is there.
const merging = "merge"

var errStarting = errors.New("the node is starting; it can be asked when it is ready")

// operations are what an operator can have the node do. The admin door is there before the node is: until then they say so.
func (d *duty) operations() []admin.Operation {
	all := d.possible()
	for i, o := range all {
		all[i].Do = func(ctx context.Context, c admin.Call, w io.Writer) error {
			if !d.there.Load() {
				return fmt.Errorf("%w%s", errStarting, d.life.health.waiting())
			}
			return o.Do(ctx, c, w)
		}
	}
	return all
}

// possible are the operations of a node that is there.
func (d *duty) possible() []admin.Operation {
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
		{Name: policyExplain, Do: d.ExplainPolicy},
		plain(policyList, false, d.ListPolicies),
		{Name: policySet, Whole: true, Do: d.SetPolicies},
		plain(policyUnset, true, d.UnsetPolicies),
		plain(subscriptionsList, false, d.Subscriptions),
		{Name: subscriptionDelete, Whole: true, Do: d.DeleteSubscription},
		{Name: dlqRetry, Do: d.RetryDead},
		{Name: queuePurge, Do: d.PurgeQueue},
		{Name: queueMove, Do: d.MoveQueue},
		{Name: scheduleList, Do: d.ListSchedule},
		{Name: scheduleRemove, Do: d.RemoveScheduled},
		{Name: queueBrowse, Do: d.BrowseQueue},
		{Name: queueList, Do: d.ListQueues},
		{Name: pubsubImport, Whole: true, Do: d.ImportPubSub},
		{Name: "restore", Do: func(ctx context.Context, c admin.Call, w io.Writer) error {
			return d.Restore(ctx, c.Body, c.Arguments.Has(merging), w)
		}},
	}
}
