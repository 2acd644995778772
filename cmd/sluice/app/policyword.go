package app

import "github.com/sluice-mq/sluice/gateway/policy"

// NackPolicy says what becomes of a message that a consumer refuses. Empty is DeadLetterNack.
type NackPolicy string

// The answers.
const (
	DeadLetterNack NackPolicy = "dead_letter"
	RequeueNack    NackPolicy = "requeue"
	DropNack       NackPolicy = "drop"
)

// UnmarshalText reads one of the words.
func (n *NackPolicy) UnmarshalText(text []byte) (err error) {
	*n, err = choose(text, DeadLetterNack, RequeueNack, DropNack)
	return err
}

func (n NackPolicy) gateway() policy.Nack {
	switch n {
	case RequeueNack:
		return policy.NackRequeue
	case DropNack:
		return policy.NackDrop
	}
	return policy.NackDeadLetter
}

// WhenFull says what becomes of a message to a queue that has reached a limit. Empty is RefuseWhenFull.
type WhenFull string

// The answers.
const (
	RefuseWhenFull     WhenFull = "refuse"
	DropOldestWhenFull WhenFull = "drop_oldest"
	BlockWhenFull      WhenFull = "block"
)

// UnmarshalText reads one of the words.
func (w *WhenFull) UnmarshalText(text []byte) (err error) {
	*w, err = choose(text, RefuseWhenFull, DropOldestWhenFull, BlockWhenFull)
	return err
}

func (w WhenFull) gateway() policy.WhenFull {
	switch w {
	case DropOldestWhenFull:
		return policy.DropOldest
	case BlockWhenFull:
		return policy.Block
	}
	return policy.Refuse
}

// AdvisoryWord is one kind of advisories that there are on request only.
type AdvisoryWord string

// The kinds.
const (
	SlowAdvisory        AdvisoryWord = "slow"
	DiscardedAdvisory   AdvisoryWord = "discarded"
	DeliveredAdvisory   AdvisoryWord = "delivered"
	ConsumedAdvisory    AdvisoryWord = "consumed"
	NoConsumersAdvisory AdvisoryWord = "no_consumers"
)

// UnmarshalText reads one of the words.
func (w *AdvisoryWord) UnmarshalText(text []byte) (err error) {
	*w, err = choose(text, SlowAdvisory, DiscardedAdvisory, DeliveredAdvisory, ConsumedAdvisory, NoConsumersAdvisory)
	return err
}

func (w AdvisoryWord) gateway(a *policy.Advisories) {
	switch w {
	case SlowAdvisory:
		a.Slow = true
	case DiscardedAdvisory:
		a.Discarded = true
	case DeliveredAdvisory:
		a.Delivered = true
	case ConsumedAdvisory:
		a.Consumed = true
	case NoConsumersAdvisory:
		a.NoConsumers = true
	}
}
