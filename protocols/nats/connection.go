package nats

import (
	"encoding/json"
	"strconv"
	"strings"

	natsgo "github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/protocols/nats/jsapi"
)

// connection is a native client's connection, by the server's number of it.
type connection struct {
	id      uint64
	workers map[*consumer]*worker
	pulls   int // requests that wait
	load    load
	// parting: it has ended, and nothing more comes from it but what is on its way.
	parting bool
}

// disconnects is where the server tells that a native client's connection has ended.
const disconnects = "$SYS.ACCOUNT.USERS.DISCONNECT"

func (c *Config) disconnects() string {
	if c.User == nil {
		return disconnects
	}
	return c.User.Disconnects
}

// Headers that have the server report whom a message would reach, instead of delivering it.
const (
	traceTo   = "Nats-Trace-Dest"
	traceOnly = "Nats-Trace-Only"
)

// ask finds out whose connection a pull request came from: requests do not say, but
// the server knows whose inbox it is. The request is served when traced hears the answer. The lock is held.
func (ws *workers) ask(p *pull) {
	ws.asked++
	token := strconv.FormatUint(ws.asked, 36)
	ws.asking[token] = p
	err := ws.conn.PublishMsg(&natsgo.Msg{Subject: p.inbox, Header: natsgo.Header{
		traceTo: {ws.traces + token}, traceOnly: {"true"},
	}})
	if err != nil {
		delete(ws.asking, token)
		ws.over(p, "408 Request Timeout")
	}
}

// traced is the callback for the server's reports. A request whose inbox has gone is forgotten.
func (ws *workers) traced(m *natsgo.Msg) {
	report, ok := jsapi.ParseTrace(m.Data)
	if !ok || report.Server.ID != ws.server {
		return // another server's, which the message passed as well
	}
	token := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	ws.mu.Lock()
	defer ws.mu.Unlock()
	p := ws.asking[token]
	delete(ws.asking, token)
	if p == nil || ws.leaving {
		return
	}
	if id, ok := report.Connection(p.inbox); ok {
		ws.admit(p, id)
	}
}

// admit serves a pull request of a known connection. The lock is held.
func (ws *workers) admit(p *pull, id uint64) {
	c := p.consumer
	if ws.consumers[c.name] != c {
		ws.tell(p.inbox, "409 Consumer Deleted")
		return
	}
	conn := ws.connections[id]
	if c.waiting >= c.cfg.MaxWaiting || conn != nil && conn.pulls >= mostPulls {
		p.tooMany()
		return
	}
	if conn == nil {
		conn = &connection{id: id, workers: make(map[*consumer]*worker)}
		ws.connections[id] = conn
	}
	w := conn.workers[c]
	if w == nil {
		w = newWorker(c, conn)
		conn.workers[c], c.workers[id] = w, w
	}
	if conn.parting || !ws.cfg.Connected(id) { // perhaps nobody tells of its end any more
		ws.part(conn)
		return
	}
	w.enter(p)
}

// disconnected is the callback for the end of connections. Those of other servers have numbers of their own.
func (ws *workers) disconnected(m *natsgo.Msg) {
	var event struct {
		Client struct {
			ID uint64 `json:"id"`
		} `json:"client"`
		Server struct {
			ID string `json:"id"`
		} `json:"server"`
	}
	if json.Unmarshal(m.Data, &event) != nil || event.Server.ID != ws.server {
		return
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if conn := ws.connections[event.Client.ID]; conn != nil {
		ws.part(conn)
	}
}

// partings begins the subjects by which the door tells itself of connections that ended.
// Who else publishes there tells nothing.
const partings = "$JS.PARTED."

// part gives back what a connection held that has gone, when all that came from it was heard:
// its last acknowledgements may still be on their way, and nothing overtakes them there. The lock is held.
func (ws *workers) part(conn *connection) {
	if conn.parting {
		return
	}
	conn.parting = true
	if ws.cfg.Inbound.Publish(ws.cfg.Prefix+partings+strconv.FormatUint(conn.id, 10), nil) != nil {
		ws.lose(conn)
	}
}

// parted is told when all that came from a connection was heard.
func (ws *workers) parted(id string) {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if conn := ws.connections[n]; conn != nil && conn.parting {
		ws.lose(conn)
	}
}

// lose gives back what a connection held that has gone. The lock is held.
func (ws *workers) lose(conn *connection) {
	delete(ws.connections, conn.id)
	for _, w := range conn.workers {
		w.close()
	}
}
