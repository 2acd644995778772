package core

import (
	"encoding/json"
	"sync"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/statistics"
)

// inspectMillis is how long another node has to answer.
const inspectMillis = 2000

// inspections are questions that other nodes have not answered. The zero value is ready to use.
type inspections struct {
	mu     sync.Mutex
	number uint64
	asked  map[uint64]inspection
}

type inspection struct {
	node  string
	since int64
	done  func(*gateway.Frame)
}

// ask asks a node. done gets its answer, or nil if there is none in time.
func (i *inspections) ask(b *Broker, node string, f *gateway.Frame, done func(*gateway.Frame)) {
	if !b.guests.linked(node) {
		done(nil)
		return
	}
	i.mu.Lock()
	if i.asked == nil {
		i.asked = make(map[uint64]inspection)
	}
	if len(i.asked) >= inquiriesMost {
		i.mu.Unlock()
		done(nil)
		return
	}
	i.number++
	f.Kind, f.Number = gateway.FrameInspect, i.number
	i.asked[i.number] = inspection{node, b.nowMillis(), done}
	i.mu.Unlock()
	b.cfg.Cluster.Send(node, f)
}

// answer takes in what a node says.
func (i *inspections) answer(node string, f *gateway.Frame) {
	i.mu.Lock()
	asked, has := i.asked[f.Number]
	if has && asked.node == node {
		delete(i.asked, f.Number)
	} else {
		has = false
	}
	i.mu.Unlock()
	if has {
		asked.done(f)
	}
}

// end gives up on some.
func (i *inspections) end(over func(inspection) bool) {
	var ended []inspection
	i.mu.Lock()
	for number, asked := range i.asked {
		if over(asked) {
			delete(i.asked, number)
			ended = append(ended, asked)
		}
	}
	i.mu.Unlock()
	for _, asked := range ended {
		asked.done(nil)
	}
}

// down gives up on a node, and sweep on those who take too long.
func (i *inspections) down(node string) {
	i.end(func(asked inspection) bool { return asked.node == node })
}

func (i *inspections) sweep(now int64) {
	i.end(func(asked inspection) bool { return max(now-asked.since, asked.since-now) > inspectMillis })
}

// inspected answers another node: whether the session of a temporary destination lives, what advisories tell of, or the numbers of queues, topics or subscriptions.
func (b *Broker) inspected(node string, f *gateway.Frame) {
	if b.inspectedByAdvisor(node, f) {
		return
	}
	answer := &gateway.Frame{Kind: gateway.FrameInspected, Number: f.Number}
	if !isTempPlace(f.Queue) {
		body, err := json.Marshal(b.numbersFor(f))
		if err != nil {
			answer.Err = publicError(err)
		}
		answer.Message = &gateway.Message{Destination: gateway.Destination{Kind: gateway.KindQueue, Name: statistics.Prefix + statistics.Broker}, Body: body}
		b.cfg.Cluster.Send(node, answer)
		return
	}
	b.lives(f.Queue[len(tempMark):], func(alive bool, _ error) {
		if !alive {
			answer.Err = errNoQueue
		}
		b.cfg.Cluster.Send(node, answer)
	})
}

// numbersFor are those that another node asks for.
func (b *Broker) numbersFor(f *gateway.Frame) any {
	switch f.Group {
	case inspectTopics:
		return b.topicsHere(f.Transaction)
	case inspectSubscriptions:
		return b.subscriptionsHere(f.Transaction, f.Count != 0)
	}
	return b.queuesHere(f.Queue)
}
