package jsapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Pull is a worker's request for messages.
type Pull struct {
	// Batch is how many it wants, at least 1.
	Batch int
	// MaxBytes bounds them together, subjects and headers included; 0 is no bound.
	MaxBytes int
	// Expires is for how long it waits; 0 is as long as it listens.
	Expires time.Duration
	// NoWait asks for what is there now. With Expires it waits for the first message.
	NoWait bool
	// Heartbeat is after how much silence the worker wants a sign of life; 0 is never.
	Heartbeat time.Duration
}

// mostMessages bounds what a request can ask for, so that no sum of requests overflows.
const mostMessages = 1 << 30

// shortestHeartbeat bounds what a request can have us send.
const shortestHeartbeat = 50 * time.Millisecond

// pullWords is a pull request as clients write it.
type pullWords struct {
	Expires       time.Duration `json:"expires"`
	Batch         int           `json:"batch"`
	MaxBytes      int           `json:"max_bytes"`
	NoWait        bool          `json:"no_wait"`
	Heartbeat     time.Duration `json:"idle_heartbeat"`
	MinPending    int64         `json:"min_pending"`
	MinAckPending int64         `json:"min_ack_pending"`
	PinID         string        `json:"id"`
	Group         string        `json:"group"`
	Priority      int           `json:"priority"`
}

// ParsePull reads the body of a pull request: nothing for one message, a number, or JSON.
// The error is in words for the client.
func ParsePull(body []byte) (Pull, error) {
	body = bytes.TrimSpace(body)
	var w pullWords
	switch {
	case len(body) == 0:
	case body[0] == '{':
		if err := json.Unmarshal(body, &w); err != nil {
			return Pull{}, fmt.Errorf("invalid JSON: %w", err)
		}
	default:
		n, err := strconv.Atoi(string(body))
		if err != nil {
			return Pull{}, fmt.Errorf("not a number of messages: %.20q", body)
		}
		w.Batch = n
	}
	switch {
	case w.Batch < 0 || w.MaxBytes < 0 || w.Expires < 0 || w.Heartbeat < 0:
		return Pull{}, errors.New("a number is below zero")
	case w.Group != "" || w.PinID != "" || w.MinPending != 0 || w.MinAckPending != 0 || w.Priority != 0:
		return Pull{}, errors.New("priority groups are not supported on queues")
	case w.Heartbeat > 0 && w.NoWait && w.Expires == 0:
		return Pull{}, errors.New("a heartbeat needs a request that waits")
	case w.Heartbeat > 0 && w.Expires > 0 && w.Heartbeat > w.Expires/2:
		return Pull{}, errors.New("the heartbeat is longer than half of the time to wait")
	}
	if w.Heartbeat > 0 {
		w.Heartbeat = max(w.Heartbeat, shortestHeartbeat)
	}
	return Pull{Batch: min(max(w.Batch, 1), mostMessages), MaxBytes: w.MaxBytes, Expires: w.Expires, NoWait: w.NoWait, Heartbeat: w.Heartbeat}, nil
}
