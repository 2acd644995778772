package quota

import (
	"sync"
	"time"
)

// pace is how fast the clients of an account may send. It never refuses: who is too fast gets into debt, and pauses until it is paid.
type pace struct {
	account *account

	mu              sync.Mutex
	messages, bytes bucket
	told            time.Time // when it was last written down that it is exceeded
}

// bucket is filled at rate for each second, up to rate. A rate of 0 is no bound.
type bucket struct {
	rate, level float64
	at          time.Time
}

// fill brings the level up to date.
func (b *bucket) fill(now time.Time) {
	if b.at.IsZero() {
		b.level = b.rate
	} else if d := now.Sub(b.at).Seconds(); d > 0 {
		b.level = min(b.level+d*b.rate, b.rate)
	}
	b.at = now
}

// take reports whether there was less than n.
func (b *bucket) take(now time.Time, n float64) bool {
	if b.rate == 0 {
		return false
	}
	b.fill(now)
	b.level -= n
	return b.level < 0
}

// debt is how long it takes until the level is not below 0 any more.
func (b *bucket) debt(now time.Time) time.Duration {
	if b.rate == 0 {
		return 0
	}
	b.fill(now)
	if b.level >= 0 {
		return 0
	}
	return time.Duration(-b.level / b.rate * float64(time.Second))
}

// tellPaceEach is how often it is written down that an account is at its limit, for limits that make clients wait.
const tellPaceEach = time.Minute

// charge takes a message into account and reports the limits of messages and of bytes that it exceeds, else 0. first: it is to be written down.
func (p *pace) charge(now time.Time, size int) (exceeded [2]int, first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.messages.take(now, 1) {
		exceeded[0] = int(p.messages.rate)
	}
	if p.bytes.take(now, float64(size)) {
		exceeded[1] = int(p.bytes.rate)
	}
	if exceeded != [2]int{} && now.Sub(p.told) >= tellPaceEach {
		p.told, first = now, true
	}
	return exceeded, first
}

// change sets the rates. What is owed is owed.
func (p *pace) change(messages, bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.messages.change(float64(messages))
	p.bytes.change(float64(bytes))
}

func (b *bucket) change(rate float64) {
	if b.rate == 0 {
		b.at = time.Time{} // it starts full
	}
	b.rate, b.level = rate, min(b.level, rate)
}

func (p *pace) debt(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.messages.debt(now), p.bytes.debt(now))
}

// Terms are what a session's accounts ask of it. They never change: when quotas do, there are others.
type Terms struct {
	paces []*pace
	// Gated: what its clients have in flight is bounded.
	Gated bool
}

// Paced reports whether somebody wants to know what is sent.
func (t *Terms) Paced() bool { return len(t.paces) > 0 }

// Charge has the accounts pay for a message. tell hears of a limit that is exceeded, now and then.
func (l *Ledger) Charge(t *Terms, size int, tell func(*Reached)) {
	now := l.now()
	for _, p := range t.paces {
		exceeded, first := p.charge(now, size)
		for i, what := range [...]limit{messagesLimit, bytesLimit} {
			if exceeded[i] == 0 {
				continue
			}
			l.reached[p.account.scope][what].Add(1)
			if first {
				tell(waits(p.account, what, exceeded[i]))
			}
		}
	}
}

// Pause is for how long a session's clients are asked not to send.
func (l *Ledger) Pause(t *Terms) (pause time.Duration) {
	if len(t.paces) == 0 {
		return 0
	}
	now := l.now()
	for _, p := range t.paces {
		pause = max(pause, p.debt(now))
	}
	return pause
}
