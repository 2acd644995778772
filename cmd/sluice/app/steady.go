package app

import "time"

// steady is a clock that begins with the time of day and counts what goes by from there: it is of no account to it if the machine's clock is
// set. It is for what compares times with one another, not for what clients say in times of day.
func steady() func() time.Time {
	start := time.Now()
	return func() time.Time { return start.Add(time.Since(start)) }
}
