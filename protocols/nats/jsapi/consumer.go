package jsapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Config is a consumer's configuration, in JetStream's words. Those without a
// meaning on queues are here to be refused by name.
type Config struct {
	Durable            string            `json:"durable_name,omitempty"`
	Name               string            `json:"name,omitempty"`
	Description        string            `json:"description,omitempty"`
	DeliverPolicy      string            `json:"deliver_policy"`
	OptStartSeq        uint64            `json:"opt_start_seq,omitempty"`
	OptStartTime       *time.Time        `json:"opt_start_time,omitempty"`
	AckPolicy          string            `json:"ack_policy"`
	AckWait            time.Duration     `json:"ack_wait,omitempty"`
	MaxDeliver         int               `json:"max_deliver,omitempty"`
	BackOff            []time.Duration   `json:"backoff,omitempty"`
	FilterSubject      string            `json:"filter_subject,omitempty"`
	FilterSubjects     []string          `json:"filter_subjects,omitempty"`
	ReplayPolicy       string            `json:"replay_policy"`
	RateLimit          uint64            `json:"rate_limit_bps,omitempty"`
	SampleFrequency    string            `json:"sample_freq,omitempty"`
	MaxWaiting         int               `json:"max_waiting,omitempty"`
	MaxAckPending      int               `json:"max_ack_pending,omitempty"`
	FlowControl        bool              `json:"flow_control,omitempty"`
	HeadersOnly        bool              `json:"headers_only,omitempty"`
	MaxRequestBatch    int               `json:"max_batch,omitempty"`
	MaxRequestExpires  time.Duration     `json:"max_expires,omitempty"`
	MaxRequestMaxBytes int               `json:"max_bytes,omitempty"`
	DeliverSubject     string            `json:"deliver_subject,omitempty"`
	DeliverGroup       string            `json:"deliver_group,omitempty"`
	Heartbeat          time.Duration     `json:"idle_heartbeat,omitempty"`
	InactiveThreshold  time.Duration     `json:"inactive_threshold,omitempty"`
	Replicas           int               `json:"num_replicas"`
	MemoryStorage      bool              `json:"mem_storage,omitempty"`
	Direct             bool              `json:"direct,omitempty"`
	Sourcing           bool              `json:"sourcing,omitempty"`
	Metadata           map[string]string `json:"metadata,omitempty"`
	PauseUntil         *time.Time        `json:"pause_until,omitempty"`
	PriorityGroups     []string          `json:"priority_groups,omitempty"`
	PriorityPolicy     string            `json:"priority_policy,omitempty"`
	PinnedTTL          time.Duration     `json:"priority_timeout,omitempty"`
}

// The actions of a create request; none is create or update.
const (
	ActionCreate = "create"
	ActionUpdate = "update"
)

// CreateRequest is the body of a request to create or change a consumer.
type CreateRequest struct {
	Stream   string `json:"stream_name"`
	Config   Config `json:"config"`
	Action   string `json:"action,omitempty"`
	Pedantic bool   `json:"pedantic,omitempty"`
}

const (
	// DefaultAckWait is how long a worker may take for a message, if nobody says otherwise.
	DefaultAckWait = 30 * time.Second
	// DefaultMaxAckPending is how many unacknowledged messages a consumer's workers may have together.
	DefaultMaxAckPending = 1000
	// DefaultMaxWaiting is how many pull requests of a consumer may wait.
	DefaultMaxWaiting = 512
	// DefaultInactive is for how long a consumer that is not durable outlives its last use.
	DefaultInactive = 5 * time.Second
	// MostWaiting bounds MaxWaiting.
	MostWaiting     = 4096
	shortestAckWait = 100 * time.Millisecond
)

// ErrJSON is the cause of errors of ParseCreate that are no understandable request.
var ErrJSON = errors.New("invalid JSON")

// ParseCreate reads the body of a request to create or change a consumer. Words that
// are not known are an error: nobody shall believe that they have an effect.
func ParseCreate(body []byte) (CreateRequest, error) {
	var r CreateRequest
	in := json.NewDecoder(bytes.NewReader(body))
	in.DisallowUnknownFields()
	if err := in.Decode(&r); err != nil {
		return CreateRequest{}, fmt.Errorf("%w: %w", ErrJSON, err)
	}
	if in.More() {
		return CreateRequest{}, fmt.Errorf("%w: there is more behind it", ErrJSON)
	}
	switch r.Action {
	case "", ActionCreate, ActionUpdate:
	default:
		return CreateRequest{}, fmt.Errorf("%w: unknown action %.20q", ErrJSON, r.Action)
	}
	return r, nil
}

// Complete checks a configuration and fills in what was left out. filter is the one
// subject whose messages the consumer gets. The error says in words what a queue cannot do.
func (c Config) Complete() (complete Config, filter string, err error) {
	if filter, err = c.filter(); err != nil {
		return Config{}, "", err
	}
	if err := c.possible(); err != nil {
		return Config{}, "", err
	}
	if c.Name == "" {
		c.Name = c.Durable
	}
	c.DeliverPolicy, c.AckPolicy, c.ReplayPolicy = "all", "explicit", "instant"
	if c.AckWait == 0 {
		c.AckWait = DefaultAckWait
	}
	c.AckWait = max(c.AckWait, shortestAckWait)
	if len(c.BackOff) > 0 {
		c.AckWait = c.BackOff[0]
	}
	if c.MaxDeliver <= 0 {
		c.MaxDeliver = -1
	}
	if c.MaxAckPending == 0 {
		c.MaxAckPending = DefaultMaxAckPending
	}
	c.MaxAckPending = max(c.MaxAckPending, -1)
	if c.MaxWaiting <= 0 {
		c.MaxWaiting = DefaultMaxWaiting
	}
	c.MaxWaiting = min(c.MaxWaiting, MostWaiting)
	if c.Durable == "" && c.InactiveThreshold == 0 {
		c.InactiveThreshold = DefaultInactive
	}
	return c, filter, nil
}

// filter returns the one subject.
func (c *Config) filter() (string, error) {
	all := c.FilterSubjects
	if c.FilterSubject != "" {
		all = append([]string{c.FilterSubject}, all...)
	}
	switch {
	case len(all) == 0, len(all) == 1 && all[0] == "":
		return "", errors.New("a consumer needs a filter subject, queue.<name>: it is a view of one queue")
	case len(all) > 1:
		return "", errors.New("several filter subjects are not supported: a consumer is a view of one queue")
	case strings.ContainsAny(all[0], "*>"):
		return "", fmt.Errorf("the filter subject %.80q has wildcards: a consumer is a view of one queue", all[0])
	}
	return all[0], nil
}

// possible refuses what a queue cannot do.
func (c *Config) possible() error {
	for _, refused := range []struct {
		asked bool
		text  string
	}{
		{c.DeliverSubject != "" || c.DeliverGroup != "" || c.FlowControl || c.Heartbeat != 0 || c.RateLimit != 0, "push consumers are not supported on queues: use a pull consumer"},
		{c.AckPolicy != "" && c.AckPolicy != "explicit", "only the ack policy explicit is supported on queues"},
		{c.DeliverPolicy != "" && c.DeliverPolicy != "all" || c.OptStartSeq != 0 || c.OptStartTime != nil, "only the deliver policy all is supported: a queue hands out what waits, in order"},
		{c.ReplayPolicy != "" && c.ReplayPolicy != "instant", "only the replay policy instant is supported on queues"},
		{c.HeadersOnly, "consumers that get headers only are not supported on queues"},
		{c.Direct || c.Sourcing, "queues cannot be mirrored or sourced"},
		{c.SampleFrequency != "", "sampling of acknowledgements is not supported on queues"},
		{c.PauseUntil != nil, "pausing is not supported on queues"},
		{len(c.PriorityGroups) > 0 || c.PriorityPolicy != "" && c.PriorityPolicy != "none" || c.PinnedTTL != 0, "priority groups are not supported on queues"},
		{c.Replicas < 0 || c.Replicas > 1, "a consumer of a queue has no replicas of its own"},
		{c.AckWait < 0 || c.InactiveThreshold < 0 || c.MaxRequestBatch < 0 || c.MaxRequestExpires < 0 || c.MaxRequestMaxBytes < 0, "a number is below zero"},
		{slices.ContainsFunc(c.BackOff, func(d time.Duration) bool { return d < shortestAckWait }), "a backoff is below 100 ms"},
		{c.MaxDeliver > 0 && len(c.BackOff) > c.MaxDeliver || len(c.BackOff) > mostBackOffs, "there are more backoffs than deliveries"},
		{len(c.Description) > maxText, "the description is too long"},
		{len(c.Metadata) > maxText/64 || c.metadata() > maxText, "the metadata are too large"},
	} {
		if refused.asked {
			return errors.New(refused.text)
		}
	}
	return nil
}

// mostBackOffs bounds the list of a configuration.
const mostBackOffs = 64

// maxText bounds descriptions and metadata: they are kept and written down.
const maxText = 4096

func (c *Config) metadata() (n int) {
	for k, v := range c.Metadata {
		n += len(k) + len(v)
	}
	return n
}

// Wait is how long a worker may take for a message that is handed out for the nth time.
func (c *Config) Wait(delivered uint64) time.Duration {
	if len(c.BackOff) == 0 {
		return c.AckWait
	}
	return c.BackOff[min(max(delivered, 1), uint64(len(c.BackOff)))-1]
}
