package nats

import (
	"crypto/rand"
	"fmt"
	"reflect"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/nats/jsapi"
)

// refusal makes the error of an answer.
func refusal(code, errCode int, format string, args ...any) *jsapi.Error {
	return &jsapi.Error{Code: code, ErrCode: errCode, Description: fmt.Sprintf(format, args...)}
}

// create makes or changes a consumer.
func (ws *workers) create(r jsapi.Request, body []byte) ([]byte, *jsapi.Error) {
	in, err := jsapi.ParseCreate(body)
	if err != nil {
		return nil, refusal(400, codeBadJSON, "%s", err)
	}
	if refused := name(&in, r); refused != nil {
		return nil, refused
	}
	c, err := newConsumer(ws, in.Config, ws.cfg.Clock())
	if err != nil {
		return nil, refusal(400, codeCreate, "%s", err)
	}
	if refused := ws.mayRead(c.queue); refused != nil {
		return nil, refused
	}
	return ws.enroll(c, in.Action)
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

// enroll puts a new consumer, or new settings of one, into the book, and describes it.
func (ws *workers) enroll(c *consumer, action string) ([]byte, *jsapi.Error) {
	ws.mu.Lock()
	old := ws.consumers[c.name]
	refused := c.against(old, action)
	if refused == nil && old == nil && len(ws.consumers) >= mostConsumers {
		refused = refusal(400, codeMostConsumers, "maximum consumers limit reached")
	}
	if refused != nil || old != nil && same(old.cfg, c.cfg) {
		defer ws.mu.Unlock()
		if refused != nil {
			return nil, refused
		}
		return jsapi.AppendConsumer(nil, kindOf(jsapi.ConsumerCreate), old.info()), nil
	}
	var before jsapi.Config
	if old == nil {
		ws.consumers[c.name] = c
	} else {
		before, old.cfg = old.cfg, c.cfg
		c = old
		c.refill()
	}
	answer := jsapi.AppendConsumer(nil, kindOf(jsapi.ConsumerCreate), c.info())
	ws.mu.Unlock()
	if err := ws.writeBook(); err != nil {
		ws.cfg.Logger.Error("a consumer of native clients is refused", "error", err)
		ws.mu.Lock()
		defer ws.mu.Unlock()
		if old == nil {
			ws.forget(c)
		} else {
			c.cfg = before
		}
		return nil, refusal(500, codeNotStored, "the consumer could not be written down")
	}
	return answer, nil
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
	if _, refused := ws.enroll(c, ""); refused != nil {
		return nil, refused
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if c = ws.consumers[name]; c == nil {
		return nil, missing
	}
	return c, nil
}

// remove deletes a consumer. What its workers hold goes back to the queue.
func (ws *workers) remove(name string) ([]byte, *jsapi.Error) {
	ws.mu.Lock()
	c := ws.consumers[name]
	if c == nil {
		ws.mu.Unlock()
		return nil, refusal(404, codeNoConsumer, "consumer not found")
	}
	ws.forget(c)
	ws.mu.Unlock()
	if err := ws.writeBook(); err != nil {
		ws.cfg.Logger.Error("a consumer of native clients is deleted until the next start only", "error", err)
		return nil, refusal(500, codeNotStored, "the consumer is deleted, but may come back after a restart of the node")
	}
	return jsapi.AppendDeleted(nil), nil
}

// forget ends a consumer. The lock is held.
func (ws *workers) forget(c *consumer) {
	delete(ws.consumers, c.name)
	for _, w := range c.workers {
		w.finishAll("409 Consumer Deleted")
		w.close()
	}
}

// next takes a pull request in.
func (ws *workers) next(name, inbox string, body []byte) {
	c, refused := ws.find(name)
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if refused != nil {
		ws.tell(inbox, "409 Consumer not found: "+name)
		return
	}
	ws.pull(c, inbox, body)
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
