package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/manage"
	"github.com/sluice-mq/sluice/gateway/schedule"
	"github.com/sluice-mq/sluice/protocols/admin"
)

// The operations on what waits for its time, and their arguments.
const (
	scheduleList   = "schedule-list"
	scheduleRemove = "schedule-remove"

	jobArgument    = "job"
	withinArgument = "within"
)

// chosen says which messages of those that wait for their time are meant.
type chosen struct {
	jobs []string
	to   gateway.Destination // zero: everywhere
	schedule.Range
}

// chosenBy reads which ones are meant.
func chosenBy(c admin.Call, now time.Time) (which chosen, err error) {
	which = chosen{jobs: c.Arguments[jobArgument], Range: schedule.Always()}
	if text := c.Arguments.Get(destinationArgument); text != "" {
		if which.to, err = destination(text); err != nil {
			return which, err
		}
	}
	if text := c.Arguments.Get(withinArgument); text != "" {
		within, err := time.ParseDuration(text)
		if err != nil || within <= 0 {
			return which, fmt.Errorf("%q is not a time such as 10m", text)
		}
		which.To = now.Add(within).UnixMilli()
	}
	return which, nil
}

// wants reports whether a message is meant.
func (c *chosen) wants(x *manage.Scheduled) bool {
	d := x.Message.Destination
	return (len(c.jobs) == 0 || slices.Contains(c.jobs, x.Message.ID)) && (c.to.Name == "" || c.to.Kind == d.Kind && gateway.Matches(c.to.Name, d.Name))
}

// ListSchedule lists what waits for its time, a line each.
func (d *duty) ListSchedule(ctx context.Context, c admin.Call, w io.Writer) error {
	which, err := chosenBy(c, time.Now())
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "JOB\tDESTINATION\tNEXT\tCOMES\tUSER\tBYTES")
	others := 0
	err = d.life.node.broker.Scheduled(ctx, which.Range, func(x manage.Scheduled) error {
		switch {
		case !which.wants(&x):
		case c.Rights.May(gateway.Manage, x.Message.Destination) != nil:
			others++
		default:
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\n", shownText(x.Message.ID), shownText("/"+x.Message.Destination.Kind.String()+"/"+x.Message.Destination.Name),
				time.UnixMilli(x.At).UTC().Format(time.RFC3339), x.Job.String(), shownName(gateway.Principal{Name: x.By}), len(x.Message.Body))
		}
		return nil
	})
	if flushed := t.Flush(); err == nil {
		err = flushed
	}
	if err == nil && others > 0 {
		_, err = fmt.Fprintf(w, "%d more go to where you may not look\n", others)
	}
	return err
}

// RemoveScheduled removes messages that wait for their time, for good.
func (d *duty) RemoveScheduled(ctx context.Context, c admin.Call, w io.Writer) error {
	which, err := chosenBy(c, time.Now())
	if err != nil {
		return err
	}
	if len(which.jobs) == 0 && which.to.Name == "" && !c.Arguments.Has(withinArgument) {
		return errors.New("which ones? (name jobs, as sluice schedule list does, or give a --destination or --within)")
	}
	var denied error
	removed, err := d.life.node.broker.Unschedule(ctx, which.Range, func(x *manage.Scheduled) bool {
		if !which.wants(x) {
			return false
		}
		if err := c.Rights.May(gateway.Manage, x.Message.Destination); err != nil {
			denied = err
			return false
		}
		return true
	})
	if err == nil {
		err = denied
	}
	return tellOutcome(w, manage.Outcome{Done: removed}, "removed", err)
}
