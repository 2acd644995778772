package app

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/policy"
)

// Policy is how the destinations behave that match one of its patterns. The first of the table that matches a destination decides everything.
type Policy struct {
	On []Pattern `yaml:"on"`
	// Priorities, Exclusive, Redelivery, Nack, DeadLetter and Limits are about queues, Retain about topics.
	Priorities bool `yaml:"priorities"`
	Exclusive  bool `yaml:"exclusive"`
	Prefetch   int  `yaml:"prefetch"`
	// Pending messages of a topic may wait for a subscription beyond its prefetch; then the oldest go.
	Pending    int              `yaml:"pending"`
	Redelivery *Redelivery      `yaml:"redelivery"`
	Nack       NackPolicy       `yaml:"nack"`
	DeadLetter DeadLetterPolicy `yaml:"dead_letter"`
	TTL        TTL              `yaml:"ttl"`
	Limits     QueueLimits      `yaml:"limits"`
	Retain     Retain           `yaml:"retain"`
	ForwardTo  []Pattern        `yaml:"forward_to"`
	// ForwardOnly: what is forwarded does not go to the destination itself.
	ForwardOnly bool `yaml:"forward_only"`
	// Advisories there are on request only.
	Advisories []AdvisoryWord `yaml:"advisories"`
	// Place is where the file says it: "sluice.yaml:12".
	Place string `yaml:"-"`
}

// Redelivery says how often and how soon messages come back.
type Redelivery struct {
	// Maximum redeliveries, after which a message is dead; -1 is any number.
	Maximum  Maximum  `yaml:"maximum"`
	Delay    Duration `yaml:"delay"`
	Backoff  Grace    `yaml:"backoff"`
	MaxDelay Duration `yaml:"max_delay"`
}

// DeadLetterPolicy says what becomes of dead messages.
type DeadLetterPolicy struct {
	// Queue gets them; {name} stands for the destination's.
	Queue string `yaml:"queue"`
	Off   bool   `yaml:"off"`
	// DropExpired, KeepNonPersistent and KeepDropped say which they are.
	DropExpired       bool `yaml:"drop_expired"`
	KeepNonPersistent bool `yaml:"keep_non_persistent"`
	KeepDropped       bool `yaml:"keep_dropped"`
}

// TTL says how long messages live.
type TTL struct {
	Default Duration `yaml:"default"`
	Maximum Duration `yaml:"maximum"`
}

// QueueLimits bound what waits in a queue; 0 is no bound.
type QueueLimits struct {
	Messages int      `yaml:"messages"`
	Bytes    ByteSize `yaml:"bytes"`
	WhenFull WhenFull `yaml:"when_full"`
}

// Retain says what is kept of a topic for those who come later.
type Retain struct {
	Messages int      `yaml:"messages"`
	Bytes    ByteSize `yaml:"bytes"`
	Age      Duration `yaml:"age"`
	All      bool     `yaml:"all"`
	Always   bool     `yaml:"always"`
}

// Pattern is a destination or a pattern of some: "/queue/a.>".
type Pattern gateway.Destination

// UnmarshalText reads what the type's comment says.
func (p *Pattern) UnmarshalText(text []byte) error {
	d, err := destination(strings.TrimSpace(string(text)))
	*p = Pattern(d)
	return err
}

// MarshalText writes it as it is read.
func (p Pattern) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// String is "/queue/a.>".
func (p Pattern) String() string { return "/" + p.Kind.String() + "/" + p.Name }

// Maximum is a whole number from -1.
type Maximum int

// UnmarshalText reads it.
func (m *Maximum) UnmarshalText(text []byte) error {
	n, err := strconv.ParseInt(string(text), 10, 32)
	if err != nil || n < -1 {
		return fmt.Errorf("%q is not a whole number from -1", text)
	}
	*m = Maximum(n)
	return nil
}

// fillPolicies sets what was not said, and where it stands.
func fillPolicies(policies []Policy, doc *document) {
	for i := range policies {
		p := &policies[i]
		if r := p.Redelivery; r != nil && doc.values != nil && !said(doc, fmt.Sprintf("policies[%d].redelivery.maximum", i)) {
			r.Maximum = -1
		}
		if at, ok := doc.at[fmt.Sprintf("policies[%d]", i)]; ok {
			p.Place = fmt.Sprintf("%s:%d", filepath.Base(doc.name), at.line)
		}
	}
}

func said(doc *document, path string) bool {
	_, ok := doc.at[path]
	return ok
}

// table makes the table of policies that a configuration asks for.
func table(policies []Policy) *policy.Table {
	all := make([]policy.Policy, len(policies))
	for i := range policies {
		all[i] = policies[i].gateway()
	}
	return policy.NewTable(all)
}

func (p *Policy) gateway() policy.Policy {
	g := policy.Policy{
		Priorities: p.Priorities, Exclusive: p.Exclusive, Prefetch: p.Prefetch, Pending: p.Pending, ForwardOnly: p.ForwardOnly,
		Nack: p.Nack.gateway(), DefaultTTL: time.Duration(p.TTL.Default), MaximumTTL: time.Duration(p.TTL.Maximum),
		DeadLetter: policy.DeadLetter{
			Queue: p.DeadLetter.Queue, Off: p.DeadLetter.Off, DropExpired: p.DeadLetter.DropExpired,
			KeepNonPersistent: p.DeadLetter.KeepNonPersistent, Dropped: p.DeadLetter.KeepDropped,
		},
		Limits: policy.Limits{Messages: p.Limits.Messages, Bytes: int64(p.Limits.Bytes), WhenFull: p.Limits.WhenFull.gateway()},
		Retain: policy.Retain{
			Messages: p.Retain.Messages, Bytes: int64(p.Retain.Bytes), Age: time.Duration(p.Retain.Age), All: p.Retain.All, Always: p.Retain.Always,
		},
	}
	for _, d := range p.On {
		g.On = append(g.On, gateway.Destination(d))
	}
	for _, d := range p.ForwardTo {
		g.ForwardTo = append(g.ForwardTo, gateway.Destination(d))
	}
	for _, w := range p.Advisories {
		w.gateway(&g.Advisories)
	}
	if r := p.Redelivery; r != nil {
		g.Redelivery = &gateway.Redelivery{
			Maximum: int(r.Maximum), Delay: time.Duration(r.Delay), MaxDelay: time.Duration(r.MaxDelay), Backoff: float64(r.Backoff),
		}
	}
	return g
}

// describe says where the policy stands, and what it says.
func (p Policy) describe(i int) (string, error) {
	var text strings.Builder
	words := json.NewEncoder(&text)
	words.SetEscapeHTML(false)
	if err := words.Encode(plain(reflect.ValueOf(p))); err != nil {
		return "", fmt.Errorf("show the policy: %w", err)
	}
	where := p.Place
	if where == "" {
		where = "set while running"
	}
	return fmt.Sprintf("policy %d (%s)\n%s", i+1, where, strings.TrimSpace(text.String())), nil
}

// explainPolicy says in words which of the policies is that of a destination.
func explainPolicy(policies []Policy, d gateway.Destination) (string, error) {
	i := table(policies).Index(d)
	if i < 0 {
		return fmt.Sprintf("%s: no policy matches, so that it behaves as in ActiveMQ", Pattern(d)), nil
	}
	words, err := policies[i].describe(i)
	return Pattern(d).String() + ": " + words, err
}
