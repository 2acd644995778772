package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"

	"github.com/sluice-mq/sluice/protocols/stomp/bench"
)

// manyQueues is what thousands of queues cost: some that hold a message, and some that
// have producers and consumers.
type manyQueues struct {
	start    time.Duration // after a kill, until it takes connections
	flood    bench.Result  // over liveQueues
	few      int64         // bytes resident at most, with fewQueues live at pace messages per second
	many     int64         // with lotsOfQueues
	perQueue int64         // by which each of these takes more
}

const (
	existingQueues = 6000
	liveQueues     = 1000
	fewQueues      = 10
	lotsOfQueues   = 5000 // so that what each takes is more than chance
	pace           = 20_000
	paced          = 200_000
)

func measureQueues(ctx context.Context, b *broker) (*manyQueues, error) {
	all := bench.Scenarios()
	live := all[0]
	for _, s := range all {
		if s.Name == "persistent-1000-queues" {
			live = s
		}
	}
	m := &manyQueues{}
	with := func(queues int) bench.Scenario {
		s := live
		s.Destinations = queues
		return s
	}
	var err error
	if m.few, err = m.memory(ctx, b, with(fewQueues)); err != nil {
		return nil, err
	}
	if m.many, err = m.memory(ctx, b, with(lotsOfQueues)); err != nil {
		return nil, err
	}
	m.perQueue = (m.many - m.few) / (lotsOfQueues - fewQueues)
	m.flood, err = bench.Run(ctx, b.target(), with(liveQueues), bench.Options{Patience: time.Minute})
	b.stop()
	return m, err
}

// memory fills the existing queues of a new store, kills and restarts the broker, and
// returns what it has resident while a steady flow goes through the live ones.
func (m *manyQueues) memory(ctx context.Context, b *broker, s bench.Scenario) (int64, error) {
	b.stop()
	if err := b.start(ctx); err != nil {
		return 0, err
	}
	if err := fill(b.address(), existingQueues); err != nil {
		return 0, fmt.Errorf("filling %d queues: %w", existingQueues, err)
	}
	b.kill()
	begun := time.Now()
	if err := b.resume(ctx); err != nil {
		return 0, err
	}
	m.start = max(m.start, time.Since(begun))
	s.Rate, s.Messages = pace, paced
	r, err := bench.Run(ctx, b.target(), s, bench.Options{Patience: time.Minute})
	if err != nil {
		return 0, err
	}
	if !r.Verdict.Clean() {
		return 0, fmt.Errorf("%d queues: %s", s.Destinations, r.Verdict)
	}
	return r.Usage.ServerMemory, nil
}

// fill leaves a persistent message in each of n queues.
func fill(address string, n int) error {
	nc, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	c, err := stomp.Connect(nc)
	if err != nil {
		return err
	}
	body := []byte(strings.Repeat("x", 1024))
	for i := range n {
		options := []func(*frame.Frame) error{stomp.SendOpt.Header("persistent", "true")}
		if i == n-1 {
			options = append(options, stomp.SendOpt.Receipt)
		}
		if err := c.Send(fmt.Sprintf("/queue/existing.%d", i), "text/plain", body, options...); err != nil {
			return err
		}
	}
	return c.Disconnect()
}
