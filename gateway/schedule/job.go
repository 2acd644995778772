package schedule

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

// Headers of messages that are to be sent later, in ActiveMQ's words, and what the broker notes of them.
const (
	prefix       = "AMQ_SCHEDULED_"
	delayHeader  = prefix + "DELAY"
	periodHeader = prefix + "PERIOD"
	repeatHeader = prefix + "REPEAT"
	cronHeader   = prefix + "CRON"
	jobHeader    = "scheduledJobId"
	notedDue     = "sluice-scheduled-due"
	notedLife    = "sluice-scheduled-life"
	notedBy      = "sluice-scheduled-by"
)

// longest bounds delays and periods in milliseconds: a hundred years.
const longest = 100 * 366 * 24 * 3600 * 1000

// Job is what headers say of a message that is to be sent later.
type Job struct {
	// Delay and Period in milliseconds. Repeat is how often it is sent again, below 0: for ever.
	Delay, Period, Repeat int64
	// Cron is nil if it says no times.
	Cron *Cron
	// Due is when it comes first, in Unix milliseconds, and Life how many of them it lives from when it is sent, 0 is for ever. By is the user who
	// sent it; empty if nobody knows.
	Due, Life int64
	By        string
}

// Is reports whether a message says that it is to be sent later. It is quick.
func Is(h gateway.Header) bool {
	for i := range h {
		if n := h[i].Name; len(n) > len(prefix) && n[0] == 'A' && n[:len(prefix)] == prefix {
			switch n {
			case delayHeader, periodHeader, cronHeader:
				return true
			}
		}
	}
	return false
}

// Read reads what headers say. Errors: Invalid, with the header's name.
func Read(h gateway.Header) (j Job, err error) {
	for _, f := range [...]struct {
		name      string
		to        *int64
		low, high int64
	}{
		{delayHeader, &j.Delay, 0, longest}, {periodHeader, &j.Period, 0, longest}, {repeatHeader, &j.Repeat, -1, math.MaxInt32},
		{notedDue, &j.Due, 0, math.MaxInt64}, {notedLife, &j.Life, 0, math.MaxInt64},
	} {
		text, has := h.Get(f.name)
		if !has {
			continue
		}
		if *f.to, err = strconv.ParseInt(strings.TrimSpace(text), 10, 64); err != nil || *f.to < f.low || *f.to > f.high {
			return j, gateway.Errorf(gateway.Invalid, "%s is no whole number from %d to %d", f.name, f.low, f.high)
		}
	}
	if text, has := h.Get(cronHeader); has && strings.TrimSpace(text) != "" {
		if j.Cron, err = ParseCron(text); err != nil {
			return j, err
		}
	}
	if j.Repeat != 0 && j.Period == 0 && j.Cron == nil {
		return j, gateway.Errorf(gateway.Invalid, "%s needs %s", repeatHeader, periodHeader)
	}
	j.By, _ = h.Get(notedBy)
	return j, nil
}

// first is when a message comes that was sent at a time.
func (j *Job) first(now int64) int64 {
	switch {
	case j.Cron != nil:
		return j.Cron.Next(time.UnixMilli(now)).UnixMilli()
	case j.Delay > 0:
		return now + j.Delay
	}
	return now + j.Period
}

// Next is when it comes again that came for the nth time, counted from 0, not ok if it does not. What was missed is not sent more often than it may be: of one
// that comes for ever all that was missed is sent once.
func (j *Job) Next(n, now int64) (due int64, ok bool) {
	switch {
	case j.Cron != nil:
		t := j.Cron.Next(time.UnixMilli(now))
		return t.UnixMilli(), !t.IsZero()
	case j.Period <= 0 || j.Repeat >= 0 && n >= j.Repeat:
		return 0, false
	case j.Repeat < 0:
		return now + j.Period - max(now-j.Due, 0)%j.Period, true
	}
	return j.Due + (n+1)*j.Period, true
}

// String says how often it comes: "once", "3 times, every 10s", "every 10s", "at 0 * * * *".
func (j *Job) String() string {
	every := (time.Duration(min(j.Period, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond).String()
	switch {
	case j.Cron != nil:
		return "at " + j.Cron.String()
	case j.Period <= 0 || j.Repeat == 0:
		return "once"
	case j.Repeat < 0:
		return "every " + every
	}
	return fmt.Sprintf("%d times, every %s", j.Repeat+1, every)
}

// Waiting are the messages, one for each destination, that wait for a message's time in gateway.SchedulePlace. by is the name of the user who sends it; empty
// is nobody. Errors as for Read.
func Waiting(m *gateway.Message, by string, now int64) (all []*gateway.Message, err error) {
	h := without(m.Header, notedDue, notedLife, notedBy, jobHeader)
	j, err := Read(h)
	if err != nil {
		return nil, err
	}
	h = append(h, gateway.Field{Name: notedDue, Value: strconv.FormatInt(j.first(now), 10)})
	if m.Expires != 0 {
		h = append(h, gateway.Field{Name: notedLife, Value: strconv.FormatInt(max(m.Expires-m.Timestamp, 1), 10)})
	}
	if by != "" {
		h = append(h, gateway.Field{Name: notedBy, Value: by})
	}
	for i, d := range append([]gateway.Destination{m.Destination}, m.Also...) {
		c := m.Copy()
		c.Destination, c.Also, c.Queue, c.Header, c.Expires = d, nil, gateway.SchedulePlace, h, 0
		if i > 0 {
			c.ID = fmt.Sprintf("%s-%d", m.ID, i)
		}
		all = append(all, c)
	}
	return all, nil
}

// Due is when a message that waits comes for the first time, in Unix milliseconds; 0 if it does not say.
func Due(m *gateway.Message) int64 {
	text, _ := m.Header.Get(notedDue)
	due, _ := strconv.ParseInt(text, 10, 64)
	return due
}

// Sent is what is sent of a message that waits when it comes for the nth time. A cron entry with a delay or repetitions sends one to be scheduled.
func (j *Job) Sent(m *gateway.Message, n, now int64) *gateway.Message {
	if j.Cron != nil && (j.Delay > 0 || j.Repeat != 0 && j.Period > 0) {
		return j.series(m, n, now)
	}
	return j.occurrence(m, n, now)
}

// occurrence is what is sent of a scheduled message when it comes for the nth time. Its timestamp is the sender's, unless its life is counted from now on.
func (j *Job) occurrence(m *gateway.Message, n, now int64) *gateway.Message {
	c := m.Copy()
	c.Queue = ""
	c.Header = without(m.Header, delayHeader, periodHeader, repeatHeader, cronHeader, notedDue, notedLife, notedBy)
	c.Header = append(c.Header, gateway.Field{Name: jobHeader, Value: m.ID})
	c.ID = fmt.Sprintf("%s-%d", m.ID, n+1)
	if j.Life > 0 {
		c.Timestamp, c.Expires = now, now+j.Life
	}
	return c
}

// series is what a cron entry with a delay or repetitions sends to be scheduled at each of its times.
func (j *Job) series(m *gateway.Message, n, now int64) *gateway.Message {
	c := m.Copy()
	first := Job{Delay: j.Delay, Period: j.Period}
	c.Header = append(without(m.Header, cronHeader, notedDue), gateway.Field{Name: notedDue, Value: strconv.FormatInt(first.first(now), 10)})
	c.ID = fmt.Sprintf("%s-%d", m.ID, n+1)
	return c
}

// without is a header without the fields of some names. It is not shared.
func without(h gateway.Header, names ...string) gateway.Header {
	rest := make(gateway.Header, 0, len(h)+3)
	for _, f := range h {
		if !slices.Contains(names, f.Name) {
			rest = append(rest, f)
		}
	}
	return rest
}
