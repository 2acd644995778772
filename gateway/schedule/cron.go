package schedule

import (
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

// Cron is when something is repeated, as a crontab says it: minutes, hours, days of the month, months and days of the week (0 and 7 are Sunday), each a
// list of numbers, ranges and steps. Of two restricted kinds of days either is enough. Times are UTC. It does not change.
type Cron struct {
	text                                   string
	minutes, hours, days, months, weekdays uint64
	anyDay, anyWeekday                     bool
}

// cronMost is how long a crontab line may be, and cronYears how far ahead is looked for the next time.
const (
	cronMost  = 256
	cronYears = 9
)

// ParseCron reads a line of five fields. Errors: Invalid, in words.
func ParseCron(text string) (*Cron, error) {
	fields := strings.Fields(text)
	if len(text) > cronMost || len(fields) != 5 {
		return nil, gateway.Errorf(gateway.Invalid, "AMQ_SCHEDULED_CRON is not five fields: minute, hour, day of the month, month, day of the week")
	}
	c := &Cron{text: strings.Join(fields, " "), anyDay: fields[2] == "*", anyWeekday: fields[4] == "*"}
	for i, f := range [...]struct {
		to        *uint64
		low, high int
	}{{&c.minutes, 0, 59}, {&c.hours, 0, 23}, {&c.days, 1, 31}, {&c.months, 1, 12}, {&c.weekdays, 0, 7}} {
		var ok bool
		if *f.to, ok = parseCronField(fields[i], f.low, f.high); !ok {
			return nil, gateway.Errorf(gateway.Invalid, "AMQ_SCHEDULED_CRON: field %d is no list of numbers from %d to %d", i+1, f.low, f.high)
		}
	}
	c.weekdays = (c.weekdays | c.weekdays>>7) & 0x7f
	if c.Next(time.Unix(0, 0)).IsZero() {
		return nil, gateway.Errorf(gateway.Invalid, "AMQ_SCHEDULED_CRON names no day that there is")
	}
	return c, nil
}

func parseCronField(text string, low, high int) (set uint64, ok bool) {
	for part := range strings.SplitSeq(text, ",") {
		span, by, steps := strings.Cut(part, "/")
		step := 1
		if steps {
			if step, ok = cronNumber(by, 1, high); !ok {
				return 0, false
			}
		}
		from, to := low, high
		if span != "*" {
			a, b, isRange := strings.Cut(span, "-")
			if from, ok = cronNumber(a, low, high); !ok {
				return 0, false
			}
			switch {
			case isRange:
				if to, ok = cronNumber(b, from, high); !ok {
					return 0, false
				}
			case !steps:
				to = from
			}
		}
		for i := from; i <= to; i += step {
			set |= 1 << i
		}
	}
	return set, true
}

func cronNumber(text string, low, high int) (int, bool) {
	if len(text) == 0 || len(text) > 2 || text[0] == '+' || text[0] == '-' {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= low && n <= high
}

// Next is the first time after t, zero if there is none in years.
func (c *Cron) Next(t time.Time) time.Time {
	t = t.UTC().Truncate(time.Minute).Add(time.Minute)
	for last := t.Year() + cronYears; t.Year() <= last; {
		switch {
		case c.months>>t.Month()&1 == 0:
			t = time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC)
		case !c.onDay(t):
			t = time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, time.UTC)
		case c.hours>>t.Hour()&1 == 0:
			t = t.Truncate(time.Hour).Add(time.Hour)
		case c.minutes>>t.Minute() == 0:
			t = t.Truncate(time.Hour).Add(time.Hour)
		default:
			return t.Add(time.Duration(bits.TrailingZeros64(c.minutes>>t.Minute())) * time.Minute)
		}
	}
	return time.Time{}
}

func (c *Cron) onDay(t time.Time) bool {
	day, weekday := c.days>>t.Day()&1 == 1, c.weekdays>>t.Weekday()&1 == 1
	switch {
	case c.anyDay:
		return weekday
	case c.anyWeekday:
		return day
	}
	return day || weekday
}

// String returns the line, with single blanks.
func (c *Cron) String() string { return c.text }
