package nats

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/nats/jsapi"
)

// consumer is a name that native clients consume a queue by. It has settings and
// figures, but no messages: all consumers of a queue, and STOMP clients, compete. Guarded by workers.mu.
type consumer struct {
	wishes  wishes
	home    *workers
	name    string
	queue   gateway.Destination
	cfg     jsapi.Config
	entry   []byte // in the book
	stamp   stamp
	created time.Time
	used    time.Time // when a worker last asked for something

	workers map[uint64]*worker // by connection
	// held are the deliveries that are not settled, by the message's number.
	held map[uint64]*delivery
	// taken counts what workers hold or may still be handed; MaxAckPending bounds it.
	taken int
	// waiting is how many pull requests wait.
	waiting int
	// short are the workers that were granted less than they asked for, because of that bound.
	short []*worker

	// seq counts deliveries, last is the latest one, and acked when one was acknowledged last.
	seq   uint64
	last  jsapi.Position
	acked *time.Time
}

// newConsumer makes a consumer of a configuration. Errors are in words for the client.
func newConsumer(ws *workers, cfg jsapi.Config, created time.Time) (*consumer, error) {
	cfg, filter, err := cfg.Complete()
	if err != nil {
		return nil, err
	}
	queue, ok := destinationOf(filter)
	switch {
	case !ok || queue.Kind != gateway.KindQueue:
		return nil, errors.New("the filter subject is no queue.<name>")
	case !jsapi.ValidName(cfg.Name):
		return nil, errors.New("the consumer's name is not valid")
	case queue.IsPattern():
		return nil, errors.New("the filter subject is a pattern: a consumer is a view of one queue")
	case filter != subjectOf(queue): // it goes into what is said to the server
		return nil, fmt.Errorf("the filter subject is not valid: the subject of that queue is %.80q", subjectOf(queue))
	}
	if err := queue.Validate(); err != nil {
		return nil, errors.New(gateway.TextOf(err))
	}
	wishes, err := wishesOf(&cfg)
	if err != nil {
		return nil, err
	}
	c := &consumer{
		wishes: wishes, home: ws, name: cfg.Name, queue: queue, cfg: cfg, created: created, used: ws.cfg.Clock(),
		workers: make(map[uint64]*worker), held: make(map[uint64]*delivery),
	}
	c.note()
	return c, nil
}

// implicit is the configuration of the consumer that is named like its queue.
func implicit(name string) jsapi.Config {
	return jsapi.Config{Durable: name, Name: name, FilterSubject: queueRoot + gateway.EscapeName(name)}
}

// room is how many more messages may be granted.
func (c *consumer) room() int {
	if c.cfg.MaxAckPending < 0 {
		return math.MaxInt
	}
	return max(c.cfg.MaxAckPending-c.taken, 0)
}

// refill grants what has become free to those that asked for more.
func (c *consumer) refill() {
	for n := len(c.short); n > 0 && c.room() > 0; n-- {
		w := c.short[0]
		c.short = slices.Delete(c.short, 0, 1)
		w.short = false
		w.fund()
	}
}

// idle reports whether nobody waits and nobody holds anything.
func (c *consumer) idle() bool { return len(c.held) == 0 && c.waiting == 0 }

// info describes the consumer.
func (c *consumer) info() *jsapi.Info {
	waits, _ := c.home.cfg.Queue(c.queue.Name)
	i := &jsapi.Info{
		Stream: queueStream, Name: c.name, Created: c.created, Config: c.cfg,
		Delivered: c.last, AckFloor: c.last, NumAckPending: len(c.held), NumWaiting: c.waiting,
		NumPending: uint64(waits), TimeStamp: c.home.cfg.Clock(),
	}
	i.AckFloor.Last = c.acked
	for _, d := range c.held { // all before the floor is settled
		i.AckFloor.Consumer = min(i.AckFloor.Consumer, d.seq-1)
		i.AckFloor.Stream = min(i.AckFloor.Stream, d.number-1)
		if d.count > 1 {
			i.NumRedelivered++
		}
	}
	return i
}

// sorted lists the consumers by name. The lock is held.
func (ws *workers) sorted() []*consumer {
	all := make([]*consumer, 0, len(ws.consumers))
	for _, c := range ws.consumers {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *consumer) int { return strings.Compare(a.name, b.name) })
	return all
}
