package push

import (
	"time"

	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// The policies by which pushes follow one another.
const (
	Linear    = "linear"
	SlowStart = "slowstart"
)

// DefaultPeriod is that of the linear policy, in milliseconds.
const DefaultPeriod = 3000

const (
	slowBegin   = time.Second
	slowFastest = 300 * time.Millisecond
	slowSlowest = 24 * time.Hour
	// mostPeriod bounds what a client asks for.
	mostPeriod = 24 * time.Hour
)

// pace is how far apart pushes are. It is a value: after returns the next one.
type pace struct {
	// gap is between the end of one push and the beginning of the next.
	gap time.Duration
	// linear gaps are always the same. Others shrink by half while all goes well, and double while it does not.
	linear, failing bool
}

// paceOf is the pace that a subscription begins with.
func paceOf(p *resource.Push) pace {
	if p.RetryType == SlowStart {
		return pace{gap: slowBegin}
	}
	period := p.RetryPeriod
	if period <= 0 {
		period = DefaultPeriod
	}
	return pace{gap: time.Duration(min(period, mostPeriod.Milliseconds())) * time.Millisecond, linear: true}
}

// after is the pace after a push that went well, or did not.
func (p pace) after(well bool) pace {
	switch {
	case p.linear:
	case !well:
		p.gap = min(2*p.gap, slowSlowest)
	case p.failing:
		p.gap = slowBegin
	default:
		p.gap = max(p.gap/2, slowFastest)
	}
	p.failing = !well
	return p
}
