package wire

import "strings"

// RouteRequest makes a route. Attributes is nil if copies keep all, Data if it stays as it is.
type RouteRequest struct {
	Topic       string    `json:"topic"`
	Selector    string    `json:"selector"`
	Targets     []string  `json:"targets"`
	Attributes  *[]string `json:"attributes"`
	Data        *Data     `json:"data"`
	DeadLetters string    `json:"deadLetterTopic"`
	// From is where it begins: "latest", "earliest" or an offset.
	From Loose `json:"from"`
}

// Data says what becomes of the data of a route's copies: one of the two is there.
type Data struct {
	Pointer string   `json:"pointer,omitempty"`
	Fields  []string `json:"fields,omitempty"`
}

// Route is a route.
type Route struct {
	Name        string        `json:"name"`
	Topic       string        `json:"topic"`
	Selector    string        `json:"selector,omitempty"`
	Targets     []string      `json:"targets"`
	Attributes  *[]string     `json:"attributes,omitempty"`
	Data        *Data         `json:"data,omitempty"`
	DeadLetters string        `json:"deadLetterTopic,omitempty"`
	Created     string        `json:"createdOn"`
	Progress    RouteProgress `json:"progress"`
}

// RouteProgress is how far a route is.
type RouteProgress struct {
	// Next is the offset of the first message that it is not done with.
	Next uint64 `json:"next"`
	// Lag is how many messages wait, and WaitingSince when the first of them was published; nil if that was not looked for.
	Lag          *uint64  `json:"lag,omitempty"`
	WaitingSince string   `json:"waitingSince,omitempty"`
	Copies       uint64   `json:"copies"`
	Refused      uint64   `json:"refused"`
	Missed       uint64   `json:"missed"`
	LastRefusal  *Refusal `json:"lastRefusal,omitempty"`
	// Fault is what it waits for, and FaultSince since when; empty if nothing is wrong.
	Fault      string `json:"fault,omitempty"`
	FaultSince string `json:"faultSince,omitempty"`
}

// Refusal says why a message could not be copied.
type Refusal struct {
	Offset uint64 `json:"offset"`
	Reason string `json:"reason"`
	Time   string `json:"time"`
}

// Routes is a page of them.
type Routes struct {
	Routes []Route `json:"routes"`
	Page
}

// Target is what follows "projects/P/topics/" in the name of a target, which need not be a name yet; not ok if it is of another project.
func Target(s, project string) (template string, ok bool) {
	return strings.CutPrefix(s, "projects/"+project+"/topics/")
}
