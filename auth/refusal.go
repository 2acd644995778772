package auth

import (
	"errors"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/sluice-mq/sluice/gateway"
)

// maxWords is how many bytes follow ActiveMQ's text at most.
const maxWords = 1024

// refusedText is ActiveMQ's, with the name that the client gave.
func refusedText(login string) string {
	if login == "" {
		login = "null"
	}
	return "User name [" + printable(login, MaxLoginLength) + "] or password is invalid."
}

// inWords makes of an error what the client reads. Limit and Unavailable have words of their own; what is refused has ActiveMQ's, perhaps followed
// by others; anything else is our fault, and says nothing.
func inWords(c gateway.Credentials, what shown, err error) error {
	switch gateway.KindOf(err) {
	case gateway.Unauthenticated:
	case gateway.Limit, gateway.Unavailable:
		return err
	default:
		return gateway.WrapError(gateway.Internal, err, "internal error")
	}
	login := c.Login
	if what == shownCertificate {
		login = "" // as ActiveMQ has it
	}
	text := refusedText(login)
	if words := gateway.TextOf(err); words != "" {
		text += " " + printable(words, maxWords)
	}
	return gateway.WrapError(gateway.Unauthenticated, beneath(err, text), text)
}

// beneath is what the log reads after the text: the cause, without errors around it that say nothing more.
func beneath(err error, text string) error {
	e := (*gateway.Error)(nil)
	if !errors.As(err, &e) {
		return err
	}
	err = e.Cause
	for {
		e, ok := err.(*gateway.Error)
		if !ok || e.Text != "" && e.Text != text || e.Cause == nil {
			return err
		}
		err = e.Cause
	}
}

// printable bounds a text and makes it one line: the door may not escape it.
func printable(s string, most int) string {
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return strings.Map(func(r rune) rune {
		if isControl(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}

// Count is what happened how often since the start.
type Count struct {
	// Shown is what decided: "token", "password", "certificate" or "anonymous".
	Shown string
	// Outcome is "accepted", or why not; the words are few and stable, fit for the label of a metric.
	Outcome string
}

// Stats are figures for metrics.
type Stats struct {
	// Counts of attempts.
	Counts map[Count]uint64
	// Braked is of how many hosts, and logins from them, failures are remembered now.
	Braked int
}

// Stats returns the figures of this moment.
func (a *Chain) Stats() Stats {
	return Stats{Counts: a.tally.copy(), Braked: a.brake.figures()}
}

type tally struct {
	mu     sync.Mutex
	counts map[Count]uint64
}

func (t *tally) add(what shown, err error) {
	k := Count{string(what), why(err)}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[k]++
}

func (t *tally) copy() map[Count]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := make(map[Count]uint64, len(t.counts))
	for k, n := range t.counts {
		c[k] = n
	}
	return c
}

func why(err error) string {
	switch {
	case err == nil:
		return "accepted"
	case gateway.KindOf(err) == gateway.Limit:
		return "too many"
	case gateway.KindOf(err) == gateway.Unavailable:
		return "unavailable"
	}
	for _, r := range reasons() {
		if errors.Is(err, r.err) {
			return r.text
		}
	}
	return "other"
}

type reason struct {
	err  error
	text string
}

func reasons() []reason {
	return []reason{
		{ErrUnknownUser, "unknown user"}, {ErrWrongPassword, "wrong password"}, {ErrUnknownToken, "unknown token"},
		{ErrDisabled, "disabled"}, {ErrExpired, "expired"}, {ErrUntrusted, "untrusted"},
	}
}
