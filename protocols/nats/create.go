package nats

import (
	"crypto/rand"
	"fmt"
	"reflect"
	"strings"

	natsgo "github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/nats/jsapi"
)

// refusal makes the error of an answer.
func refusal(code, errCode int, format string, args ...any) *jsapi.Error {
	return &jsapi.Error{Code: code, ErrCode: errCode, Description: fmt.Sprintf(format, args...)}
}

// answering answers a request. It is called once, from any goroutine, with the lock held or not.
type answering func([]byte, *jsapi.Error)

// create makes or changes a consumer. It is answered when that is on disk.
func (ws *workers) create(r jsapi.Request, body []byte, answer answering) {
	in, err := jsapi.ParseCreate(body)
	if err != nil {
		answer(nil, refusal(400, codeBadJSON, "%s", err))
		return
	}
	if refused := name(&in, r); refused != nil {
		answer(nil, refused)
		return
	}
	c, err := newConsumer(ws, in.Config, ws.cfg.Clock())
	if err != nil {
		answer(nil, refusal(400, codeCreate, "%s", err))
		return
	}
	if refused := ws.mayRead(c.queue); refused != nil {
		answer(nil, refused)
		return
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.enroll(c, in.Action, answer)
}

// name finds out what the consumer is to be called, and compares what was said twice.
func name(in *jsapi.CreateRequest, r jsapi.Request) *jsapi.Error {
	cfg := &in.Config
	switch {
	case in.Stream != "" && in.Stream != r.Stream:
		return bad("the stream's name in the request is not that in the subject")
	case cfg.Name != "" && cfg.Durable != "" && cfg.Name != cfg.Durable:
		return bad("the consumer has two names")
	case r.Filter != "" && r.Filter != cfg.FilterSubject:
		return bad("the filter subject in the request is not that in the subject")
	}
	if cfg.Name == "" {
		cfg.Name = cfg.Durable
	}
	switch {
	case cfg.Name == "" && r.Consumer != "":
		cfg.Name = r.Consumer
	case cfg.Name == "":
		cfg.Name = rand.Text()[:12]
	case r.Consumer != "" && r.Consumer != cfg.Name:
		return bad("the consumer's name in the request is not that in the subject")
	}
	return nil
}

// mayRead reports whether clients may consume a queue. It makes the queue known.
func (ws *workers) mayRead(queue gateway.Destination) *jsapi.Error {
	sub, err := ws.session.Subscribe(gateway.SubscribeOptions{Destination: queue, Wake: func() {}})
	if err != nil {
		e := apiErrorOf(err)
		return refusal(e.Code, e.ErrCode, "%s", e.Description)
	}
	sub.Close()
	return nil
}

// enroll puts a new consumer, or new settings of one, into the book, and describes it. The lock is held.
func (ws *workers) enroll(c *consumer, action string, answer answering) {
	old := ws.consumers[c.name]
	refused := c.against(old, action)
	if refused == nil {
		refused = ws.full(c, old)
	}
	switch {
	case refused != nil:
		answer(nil, refused)
		return
	case old != nil && same(old.cfg, c.cfg) && !ws.book.changed && !ws.book.writing: // and it is on disk
		answer(jsapi.AppendConsumer(nil, kindOf(jsapi.ConsumerCreate), old.info()), nil)
		return
	}
	c.stamp = ws.stampOf(c.name)
	c.note()
	var before consumer
	if old == nil {
		ws.put(c)
	} else {
		before = consumer{cfg: old.cfg, entry: old.entry, stamp: old.stamp, created: old.created}
		c.created = old.created
		c.note()
		c = ws.change(old, c)
	}
	now := c.stamp
	described := jsapi.AppendConsumer(nil, kindOf(jsapi.ConsumerCreate), c.info())
	ws.writeBook(func(err error) {
		ws.mu.Lock()
		defer ws.mu.Unlock()
		if err == nil {
			ws.spread(c.entry)
			answer(described, nil)
			return
		}
		switch { // unless it has changed again
		case ws.consumers[c.name] != c || c.stamp != now:
		case before.entry == nil:
			ws.forget(c)
		default:
			ws.change(c, &before)
		}
		answer(nil, refusal(500, codeNotStored, "the consumer could not be written down"))
	})
}

// change gives a consumer the settings of another. The lock is held.
func (ws *workers) change(c, to *consumer) *consumer {
	ws.strike(c)
	c.cfg, c.stamp, c.created = to.cfg, to.stamp, to.created
	if wishes, err := wishesOf(&c.cfg); err == nil { // it was read before
		c.wish(wishes)
	}
	c.note()
	ws.put(c)
	c.refill()
	return c
}

// full reports why there is no room for a consumer in the place of the one that is there. The lock is held.
func (ws *workers) full(c, old *consumer) *jsapi.Error {
	size := ws.book.size + len(c.entry)
	if old != nil {
		size -= len(old.entry)
	}
	switch {
	case old == nil && len(ws.consumers) >= mostConsumers:
		return refusal(400, codeMostConsumers, "maximum consumers limit reached")
	case size > mostBook && (old == nil || len(c.entry) > len(old.entry)):
		return refusal(400, codeMostConsumers, "the consumers of this node take too much room: their descriptions and metadata")
	case len(ws.book.waiting) >= mostChanges:
		return refusal(503, codeUnavailable, "too many consumers are changed at once")
	}
	return nil
}

// against reports why a consumer cannot take the place of the one that is there.
func (c *consumer) against(old *consumer, action string) *jsapi.Error {
	switch {
	case old == nil && action == jsapi.ActionUpdate:
		return refusal(400, codeConsumerNotThere, "consumer does not exist")
	case old == nil:
		return nil
	case old.queue != c.queue:
		return refusal(400, codeConsumerExists, "the consumer %s is there already, for another queue: %s", c.name, old.cfg.FilterSubject)
	case action == jsapi.ActionCreate && !same(old.cfg, c.cfg):
		return refusal(400, codeConsumerExists, "consumer already exists")
	}
	return nil
}

func same(a, b jsapi.Config) bool { return reflect.DeepEqual(a, b) }

// describe answers with a consumer. The one that is named like a queue is there as soon as somebody asks for it.
func (ws *workers) describe(name string) ([]byte, *jsapi.Error) {
	c, refused := ws.find(name)
	if refused != nil {
		return nil, refused
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return jsapi.AppendConsumer(nil, kindOf(jsapi.ConsumerInfo), c.info()), nil
}

// find returns the consumer of that name. The lock is not held.
func (ws *workers) find(name string) (*consumer, *jsapi.Error) {
	ws.mu.Lock()
	c := ws.consumers[name]
	ws.mu.Unlock()
	if c != nil {
		return c, nil
	}
	missing := refusal(404, codeNoConsumer, "consumer not found")
	if _, known := ws.cfg.Queue(name); !known || !jsapi.ValidName(name) {
		return nil, missing
	}
	c, err := newConsumer(ws, implicit(name), ws.cfg.Clock())
	if err != nil || c.queue.Name != name {
		return nil, missing
	}
	if refused := ws.mayRead(c.queue); refused != nil {
		return nil, refused
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if old := ws.consumers[name]; old != nil {
		return old, nil
	}
	if refused := ws.full(c, nil); refused != nil {
		return nil, refused
	}
	c.stamp = ws.implicitStamp(name)
	c.note()
	ws.put(c) // nobody needs to wait for the disk: if it is lost it will be there again as now
	ws.writeBook(nil)
	return c, nil
}

// remove deletes a consumer. What its workers hold goes back to the queue. It is answered when that is on disk.
func (ws *workers) remove(name string, answer answering) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	c := ws.consumers[name]
	if c == nil {
		answer(nil, refusal(404, codeNoConsumer, "consumer not found"))
		return
	}
	ws.forget(c)
	grave := ws.bury(c)
	ws.writeBook(func(err error) {
		ws.mu.Lock()
		ws.spread(grave)
		ws.mu.Unlock()
		if err != nil {
			answer(nil, refusal(500, codeNotStored, "the consumer is deleted, but may come back after a restart of the node"))
			return
		}
		answer(jsapi.AppendDeleted(nil), nil)
	})
}

// forget ends a consumer. The lock is held.
func (ws *workers) forget(c *consumer) {
	ws.strike(c)
	for _, w := range c.workers {
		w.finishAll("409 Consumer Deleted")
		w.close()
	}
}

// pullPrefix begins the subjects of pull requests.
const pullPrefix = jsapi.Prefix + string(jsapi.ConsumerNext) + "." + queueStream + "."

// next takes a pull request in.
func (ws *workers) next(name string, m *natsgo.Msg) {
	inbox := m.Reply
	if inbox == "" || !mayAnswer(inbox) || strings.Contains(name, ".") {
		return // nobody could be answered
	}
	c, refused := ws.find(name)
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if refused != nil {
		ws.tell(inbox, "409 Consumer not found: "+name)
		return
	}
	ws.pull(c, inbox, m.Data)
}

// pull takes a pull request of a consumer in. The lock is held.
func (ws *workers) pull(c *consumer, inbox string, body []byte) {
	r, err := jsapi.ParsePull(body)
	switch {
	case ws.leaving:
		ws.tell(inbox, "409 Server Shutdown")
	case err != nil:
		ws.tell(inbox, "400 Bad Request - "+err.Error())
	case c.cfg.MaxRequestBatch > 0 && r.Batch > c.cfg.MaxRequestBatch:
		ws.tell(inbox, fmt.Sprintf("409 Exceeded MaxRequestBatch of %d", c.cfg.MaxRequestBatch))
	case c.cfg.MaxRequestExpires > 0 && r.Expires > c.cfg.MaxRequestExpires:
		ws.tell(inbox, fmt.Sprintf("409 Exceeded MaxRequestExpires of %v", c.cfg.MaxRequestExpires))
	case c.cfg.MaxRequestMaxBytes > 0 && r.MaxBytes > c.cfg.MaxRequestMaxBytes:
		ws.tell(inbox, fmt.Sprintf("409 Exceeded MaxRequestMaxBytes of %d", c.cfg.MaxRequestMaxBytes))
	case len(ws.asking) >= mostAsking:
		c.newPull(inbox, r).tooMany()
	default:
		ws.ask(c.newPull(inbox, r))
	}
}

// mostAsking bounds the requests whose connections are being asked for.
const mostAsking = 1 << 16
