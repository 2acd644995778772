package bench

import (
	"crypto/tls"
	"fmt"
	"net/http"

	"github.com/sluice-mq/sluice/protocols/internal/measure"
)

// Target is a service.
type Target struct {
	Name string
	// URL is http://HOST:PORT or https://HOST:PORT.
	URL   string
	TLS   *tls.Config
	Token string
	// Project is made if it is not there, and stays.
	Project string
	// ServerPID is the service's process, if it is on this machine.
	ServerPID int
}

// What a scenario does.
const (
	Publish = "publish" // connections publish to one topic, and everything is read and compared afterwards
	Consume = "consume" // connections pull and acknowledge, each the messages of a subscription of its own
	Empty   = "empty"   // connections pull from subscriptions without messages
)

// Scenario is what is done.
type Scenario struct {
	Name  string `json:"name"`
	Words string `json:"words"`
	Does  string `json:"does"`
	// Messages of all connections together, rounded up so that each has whole requests; with Empty, pulls.
	Messages int `json:"messages"`
	// Size is the bytes of a message's data before they are base64.
	Size int `json:"size"`
	// Batch is how many messages a request has.
	Batch       int `json:"batch"`
	Connections int `json:"connections"`
}

// Scenarios are those that have a name.
func Scenarios() []Scenario {
	return []Scenario{
		{Name: "publish", Words: "publish, one message a request, 64 connections", Does: Publish, Messages: 100_000, Size: 1024, Batch: 1, Connections: 64},
		{Name: "publish-100", Words: "publish, 100 messages a request, 16 connections", Does: Publish, Messages: 400_000, Size: 1024, Batch: 100, Connections: 16},
		{Name: "publish-100-alone", Words: "the same, one connection", Does: Publish, Messages: 100_000, Size: 1024, Batch: 100, Connections: 1},
		{Name: "pull-100", Words: "pull and acknowledge, 100 messages each, 8 subscriptions", Does: Consume, Messages: 400_000, Size: 1024, Batch: 100, Connections: 8},
		{Name: "pull-100-alone", Words: "the same, one subscription", Does: Consume, Messages: 200_000, Size: 1024, Batch: 100, Connections: 1},
		{Name: "pull-empty", Words: "pull of an empty subscription, one connection", Does: Empty, Messages: 5_000, Batch: 100, Connections: 1},
	}
}

// stampBytes are at the front of each message's data: who published it, and its number there.
const stampBytes = 8

// Validate says what is wrong with a scenario.
func (s Scenario) Validate() error {
	switch {
	case s.Messages < 1 || s.Connections < 1 || s.Batch < 1:
		return fmt.Errorf("messages, batch and connections must be at least 1")
	case s.Does != Empty && (s.Size < stampBytes || s.Size > 1<<20):
		return fmt.Errorf("size must be between %d and %d bytes", stampBytes, 1<<20)
	}
	return nil
}

// Result is what one run showed.
type Result struct {
	Target   string   `json:"target"`
	Scenario Scenario `json:"scenario"`
	// Rate is messages per second, with Empty requests.
	Rate float64 `json:"per_second"`
	// Request is how long requests took; with Consume a pull with its acknowledgement.
	Request measure.Quantiles `json:"request"`
	Usage   measure.Usage     `json:"usage"`
}

// methods of the requests.
const (
	put    = http.MethodPut
	post   = http.MethodPost
	remove = http.MethodDelete
)
