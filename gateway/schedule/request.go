package schedule

import (
	"math"
	"strconv"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

// Management is the topic, or queue, to which ActiveMQ's clients send what they want of the scheduler.
const Management = "ActiveMQ.Scheduler.Management"

// The headers of a request, in ActiveMQ's words.
const (
	actionHeader = "AMQ_SCHEDULER_ACTION"
	startHeader  = "ACTION_START_TIME"
	endHeader    = "ACTION_END_TIME"
)

// Action is what somebody wants done.
type Action uint8

const (
	// Nothing is what is not known; ActiveMQ does nothing then.
	Nothing Action = iota
	// Browse shows what waits.
	Browse
	// Remove is for one message, RemoveAll for all of a time.
	Remove
	RemoveAll
)

// Request is what a message to Management asks for.
type Request struct {
	Action Action
	// ID names the one to be removed: its message-id, which is the scheduledJobId of what is sent of it.
	ID string
	Range
}

// Range is from when to when something comes next, in Unix milliseconds; both ends belong to it.
type Range struct{ From, To int64 }

// Always is every time.
func Always() Range { return Range{math.MinInt64, math.MaxInt64} }

// Holds reports whether a time is in the range.
func (r Range) Holds(at int64) bool { return at >= r.From && at <= r.To }

// ReadRequest reads the header of a message to Management. An end of the range that is not given is open: nobody who forgets one means everything.
// Errors: Invalid, for what is no time, and for a Remove that does not say of what.
func ReadRequest(h gateway.Header) (r Request, err error) {
	r.Range = Always()
	for _, f := range [...]struct {
		name string
		to   *int64
	}{{startHeader, &r.From}, {endHeader, &r.To}} {
		text, has := h.Get(f.name)
		if !has {
			continue
		}
		if *f.to, err = strconv.ParseInt(strings.TrimSpace(text), 10, 64); err != nil {
			return r, gateway.Errorf(gateway.Invalid, "%s is no time in milliseconds", f.name)
		}
	}
	action, _ := h.Get(actionHeader)
	switch strings.TrimSpace(action) {
	case "BROWSE":
		r.Action = Browse
	case "REMOVE":
		r.Action, r.Range = Remove, Always()
		if r.ID, _ = h.Get(jobHeader); r.ID == "" {
			return r, gateway.Errorf(gateway.Invalid, "%s says in %s what is to be removed", actionHeader, jobHeader)
		}
	case "REMOVEALL":
		r.Action = RemoveAll
	}
	return r, nil
}

// Shown is a message that waits as those see it who browse: as it was sent, under another id, for whoever asked. original is where it is to go, as the header
// original-destination has it.
func Shown(m *gateway.Message, id string, to gateway.Destination, original string) *gateway.Message {
	c := m.Copy()
	c.ID, c.Destination, c.Also, c.Queue, c.Persistent = id, to, nil, "", false
	c.Header = append(without(m.Header, notedDue, notedLife, notedBy, jobHeader, "type", "original-destination"),
		gateway.Field{Name: "type", Value: "Advisory"}, gateway.Field{Name: jobHeader, Value: m.ID}, gateway.Field{Name: "original-destination", Value: original})
	return c
}
