// Package completion has the small words for those who wait for something: functions, several parts of one thing, nobody at all. None of them has a goroutine.
package completion

import "github.com/sluice-mq/sluice/gateway"

// Complete tells c, if there is one.
func Complete(c gateway.Completion, token uint64, err error) {
	if c != nil {
		c.Complete(token, err)
	}
}

// Hold passes on that what c is told of is kept back.
func Hold(c gateway.Completion, token uint64) {
	if h, ok := c.(gateway.Holder); ok {
		h.Hold(token)
	}
}

// Func is a function as a gateway.Completion.
type Func func(error)

// Complete implements gateway.Completion.
func (f Func) Complete(_ uint64, err error) { f(err) }

// Regardless completes without an error.
type Regardless struct{ To gateway.Completion }

// Complete implements gateway.Completion.
func (r Regardless) Complete(token uint64, _ error) { r.To.Complete(token, nil) }
