package schedule

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCron(t *testing.T) {
	from := time.Date(2026, 5, 4, 12, 0, 30, 0, time.UTC) // a Monday
	for text, want := range map[string]string{
		"* * * * *": "2026-05-04 12:01", "0 * * * *": "2026-05-04 13:00", "*/20 * * * *": "2026-05-04 12:20", "5-7,9 3 * * *": "2026-05-05 03:05",
		"0 0 1 * *": "2026-06-01 00:00", "0 0 * * 0": "2026-05-10 00:00", "0 0 * * 7": "2026-05-10 00:00", "0 0 29 2 *": "2028-02-29 00:00",
		"0 0 6 * 2": "2026-05-05 00:00", "59 23 31 12 *": "2026-12-31 23:59", "0 12 4 5 *": "2027-05-04 12:00", "1/30 12 * * *": "2026-05-04 12:01",
	} {
		c, err := ParseCron(text)
		require.NoError(t, err, text)
		require.Equal(t, want, c.Next(from).Format("2006-01-02 15:04"), text)
	}
	for _, text := range []string{"", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "5-1 * * * *", "*/0 * * * *", "a * * * *", "+1 * * * *", "0 0 31 2 *", ", * * * *"} {
		_, err := ParseCron(text)
		require.Error(t, err, text)
	}
}

// Whatever is taken for a crontab line: its times are after the one before, and fit it.
func FuzzCron(f *testing.F) {
	for _, text := range []string{"* * * * *", "*/5 1-3 * 2,4 0", "0 0 29 2 *", "1/2 3-9/3 1 1 7"} {
		f.Add(text, int64(1_777_777_777))
	}
	f.Fuzz(func(t *testing.T, text string, from int64) {
		c, err := ParseCron(text)
		if err != nil {
			return
		}
		at := time.Unix(from%(1<<33), 0).UTC()
		next := c.Next(at)
		if next.IsZero() {
			return
		}
		require.True(t, next.After(at))
		require.Zero(t, next.Second())
		require.NotZero(t, c.minutes>>next.Minute()&1)
		require.NotZero(t, c.hours>>next.Hour()&1)
		require.NotZero(t, c.months>>next.Month()&1)
		require.True(t, c.onDay(next))
	})
}
