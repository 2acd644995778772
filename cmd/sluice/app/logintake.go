package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// unfinished begins the names of logs that are on their way into a store, which no topic of a project can have; the name of the stream follows.
const unfinished = "unfinished="

func isUnfinished(topic string) bool { return strings.HasPrefix(topic, unfinished) }

// logIntake brings topics' logs of elsewhere into a store: a log first, under a name that nobody reads or sends to, and then its topic, which has the whole log from the first moment
// on. It is a logTaker and a gateway.Completion; all else is for one goroutine.
type logIntake struct {
	ctx      context.Context
	registry gateway.Registry
	logs     gateway.Logs
	node     string
	room     *semaphore.Weighted
	// facts are those of the topics that are to come; of other topics nothing is taken, but for those that are in onto: their messages go to the end of the log that there is.
	facts map[string][]byte
	onto  map[string]bool
	// topics and messages are how many were taken.
	topics, messages uint64

	topic, stream, name string // of the log under way; empty: what comes is not taken
	first, next         uint64
	batch               []*gateway.Message
	bytes               int

	mu  sync.Mutex
	err error // the first
}

func newLogIntake(ctx context.Context, node string, r gateway.Registry, logs gateway.Logs) *logIntake {
	return &logIntake{
		ctx: ctx, registry: r, logs: logs, node: node, room: semaphore.NewWeighted(intakeBytes), facts: make(map[string][]byte), onto: make(map[string]bool),
	}
}

// unfinishedLog is the fact of a log that is on its way.
type unfinishedLog struct {
	gateway.LogFact
	Node string `json:"node"`
}

// clear drops what this node has left behind of logs that it has not finished.
func (in *logIntake) clear() error {
	var left []string
	err := eachFact(in.ctx, in.registry, func(key string, value []byte) error {
		var f unfinishedLog
		if strings.HasPrefix(key, gateway.LogKeys+unfinished) && json.Unmarshal(value, &f) == nil && f.Node == in.node {
			left = append(left, key)
		}
		return nil
	})
	for _, key := range left {
		if _, gone := in.registry.Put(in.ctx, key, nil); gone != nil {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// AddLog implements logTaker.
func (in *logIntake) AddLog(topic string, first uint64) error {
	if in.topic == topic {
		if err := in.abandon(); err != nil {
			return err
		}
	} else if err := in.finish(); err != nil {
		return err
	}
	fact, wanted := in.facts[topic]
	if in.onto[topic] {
		in.topic, in.name = topic, topic
		return nil
	}
	if !wanted {
		return nil
	}
	var f unfinishedLog
	if err := json.Unmarshal(fact, &f); err != nil {
		return fmt.Errorf("the fact of topic %s: %w", topic, err)
	}
	in.topic, in.stream, in.first, in.next = topic, resource.NewID(), first, first
	in.name = unfinished + in.stream
	f.First, f.Stream, f.Retention, f.Node = first, in.stream, 0, in.node
	value, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if _, err := in.registry.Put(in.ctx, gateway.LogKeys+in.name, value); err != nil {
		return err
	}
	for began := time.Now(); ; {
		_, err := in.logs.Read(in.ctx, in.name, gateway.LogQuery{})
		if err == nil {
			return nil
		}
		if time.Since(began) > logPatience {
			return err
		}
		if err := pause(in.ctx, lookEvery); err != nil {
			return err
		}
	}
}

// AddLogged implements logTaker.
func (in *logIntake) AddLogged(m *gateway.Message) error {
	if in.topic == "" {
		return nil
	}
	if in.onto[in.topic] { // behind what others have sent, where no route would look for it
		m = m.Copy() // which has no Source
	}
	in.batch = append(in.batch, m)
	if in.bytes += m.Size(); in.bytes < exportBytes && len(in.batch) < exportMessages/2 {
		return nil
	}
	return in.flush()
}

// flush appends what was collected, and waits only if much is under way.
func (in *logIntake) flush() error {
	if len(in.batch) == 0 {
		return in.failed()
	}
	batch, weight := in.batch, min(max(int64(in.bytes), intakeBytes/16), intakeBytes)
	in.batch, in.bytes = nil, 0
	if err := in.room.Acquire(in.ctx, weight); err != nil {
		return err
	}
	if err := in.failed(); err != nil {
		in.room.Release(weight)
		return err
	}
	in.logs.Append(in.name, batch, &logged{in, batch, in.next, in.onto[in.topic], weight}, 0)
	in.next += uint64(len(batch))
	in.messages += uint64(len(batch))
	return nil
}

// logged are messages on their way into a log.
type logged struct {
	in     *logIntake
	batch  []*gateway.Message
	from   uint64
	onto   bool
	weight int64
}

// Complete implements gateway.Completion.
func (l *logged) Complete(_ uint64, err error) {
	if err == nil && !l.onto && l.batch[0].Offset != l.from {
		err = fmt.Errorf("message %d came to the place of message %d", l.from, l.batch[0].Offset)
	}
	if err != nil {
		l.in.mu.Lock()
		if l.in.err == nil {
			l.in.err = err
		}
		l.in.mu.Unlock()
	}
	l.in.room.Release(l.weight)
}

func (in *logIntake) failed() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.err
}

// landed waits for what is under way.
func (in *logIntake) landed() error {
	if err := in.flush(); err != nil {
		return err
	}
	if err := in.room.Acquire(in.ctx, intakeBytes); err != nil {
		return errors.Join(in.failed(), err)
	}
	in.room.Release(intakeBytes)
	return in.failed()
}

// abandon drops what there is of the log under way.
func (in *logIntake) abandon() error {
	if in.topic == "" || in.onto[in.topic] {
		return nil
	}
	if err := in.landed(); err != nil {
		return err
	}
	in.messages -= in.next - in.first
	in.topic = ""
	_, err := in.registry.Put(in.ctx, gateway.LogKeys+in.name, nil)
	return err
}

// finish ends the log under way: its topic has it from now on.
func (in *logIntake) finish() error {
	if in.topic == "" {
		return nil
	}
	if err := in.landed(); err != nil {
		return fmt.Errorf("the log of topic %s: %w", in.topic, err)
	}
	topic := in.topic
	in.topics++
	in.topic = ""
	if in.onto[topic] {
		return nil
	}
	page, err := in.logs.Read(in.ctx, in.name, gateway.LogQuery{})
	if err == nil && (page.First != in.first || page.Next != in.next) {
		err = fmt.Errorf("it has messages %d to %d, and should have %d to %d", page.First, page.Next, in.first, in.next)
	}
	if err != nil {
		return fmt.Errorf("the log of topic %s: %w", topic, err)
	}
	if err := in.give(topic, map[string]any{"first": in.first, "stream": in.stream}); err != nil {
		return err
	}
	_, err = in.registry.Put(in.ctx, gateway.LogKeys+in.name, nil)
	return err
}

// give makes a topic of its fact, in which some things are others.
func (in *logIntake) give(topic string, others map[string]any) error {
	var fact map[string]json.RawMessage
	err := json.Unmarshal(in.facts[topic], &fact)
	for field, value := range others {
		if err == nil {
			fact[field], err = json.Marshal(value)
		}
	}
	var value []byte
	if err == nil {
		value, err = json.Marshal(fact)
	}
	if err != nil {
		return fmt.Errorf("the fact of topic %s: %w", topic, err)
	}
	if _, err := in.registry.Put(in.ctx, gateway.LogKeys+topic, value); err != nil {
		return err
	}
	delete(in.facts, topic)
	return nil
}

// rest makes the topics whose logs have not come. Each has another log, which its subscriptions read from the front.
func (in *logIntake) rest() error {
	if err := in.finish(); err != nil {
		return err
	}
	for topic := range in.facts {
		if err := in.give(topic, map[string]any{"id": resource.NewID(), "first": 0, "stream": ""}); err != nil {
			return err
		}
	}
	return nil
}
