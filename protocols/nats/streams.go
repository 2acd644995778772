package nats

import (
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/protocols/nats/jsapi"
)

const (
	// mostUnanswered bounds the requests about clients' own streams that the server has not answered.
	mostUnanswered = 4096
	// forgetAfter is when no answer is awaited any more. Clients gave up long before.
	forgetAfter = 30 * time.Second
	// mostRequest bounds the body of such a request: it is read, and written anew.
	mostRequest = 1 << 20
	// requestInfo says in whose name a request is made. From the server's own account it is believed.
	requestInfo = "Nats-Request-Info"
)

// forwardedHeaders are passed to the server, and no others.
func forwardedHeaders() []string { return []string{"Nats-Required-Api-Level", "Nats-Stream-Identity"} }

// streams has the server answer what clients ask about streams of their own. Only requests that were looked at get there, and
// what is no request does not come by here: messages, acknowledgements, pull and direct get requests go
// between the clients and the server.
type streams struct {
	cfg   *Config
	inbox string
	name  string // for requestInfo

	mu   sync.Mutex
	last uint64
	open map[string]asked
}

// asked is a request that the server has not answered.
type asked struct {
	from   *natsgo.Msg
	since  time.Time
	change func([]byte) []byte // may be nil
}

func (s *streams) init(cfg *Config) {
	s.cfg, s.open = cfg, make(map[string]asked)
	s.inbox = natsgo.NewInbox() + "."
	name, _ := json.Marshal(struct {
		Account string `json:"acc"`
		Server  string `json:"server"`
		Cluster string `json:"cluster,omitempty"`
	}{cfg.Account, cfg.System.ConnectedServerName(), cfg.System.ConnectedClusterName()}) // strings can always be written
	s.name = string(name)
}

// ask passes a request on. It is false when too many wait.
func (s *streams) ask(a asked, body []byte) bool {
	a.since = s.cfg.Clock()
	s.mu.Lock()
	if len(s.open) >= mostUnanswered {
		s.mu.Unlock()
		return false
	}
	s.last++
	token := strconv.FormatUint(s.last, 36)
	s.open[token] = a
	s.mu.Unlock()
	m := &natsgo.Msg{Subject: a.from.Subject, Reply: s.inbox + token, Data: body, Header: natsgo.Header{requestInfo: {s.name}}}
	for _, name := range forwardedHeaders() {
		if v, there := first(a.from.Header, name); there {
			m.Header[name] = []string{v}
		}
	}
	if err := s.cfg.System.PublishMsg(m); err != nil {
		s.mu.Lock()
		delete(s.open, token)
		s.mu.Unlock()
		return false
	}
	return true
}

// answered passes the server's answer on. It is the callback of a subscription.
func (s *streams) answered(m *natsgo.Msg) {
	token := strings.TrimPrefix(m.Subject, s.inbox)
	s.mu.Lock()
	a, ok := s.open[token]
	delete(s.open, token)
	s.mu.Unlock()
	if !ok {
		return
	}
	if a.change != nil {
		m.Data = a.change(m.Data)
	}
	if err := s.cfg.System.PublishMsg(&natsgo.Msg{Subject: a.from.Reply, Header: m.Header, Data: m.Data}); err != nil {
		s.cfg.Logger.Debug("a request of a native client could not be answered", "error", err)
	}
}

// forget gives up what the server does not answer: without a leader in a cluster it is silent.
func (s *streams) forget(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for token, a := range s.open {
		if now.Sub(a.since) > forgetAfter {
			delete(s.open, token)
		}
	}
}

// own serves requests about clients' own streams, or about all streams. They are clients', or the server's in the name of a stream that reads
// another one: those may come from a client that had the server say them, and are looked at as any.
func (ws *workers) own(r jsapi.Request, m *natsgo.Msg, answer answering) {
	if refused := ws.mayHaveStreams(r); refused != nil {
		answer(nil, refused)
		return
	}
	body, change, refused := ws.look(r, m.Data)
	if refused != nil {
		answer(nil, refused)
		return
	}
	if !ws.streams.ask(asked{from: m, change: change}, body) {
		answer(nil, refusal(503, codeUnavailable, "too many requests wait for an answer"))
	}
}

// mayHaveStreams refuses requests about streams of users who are to have none. The server keeps those of MQTT for itself.
func (ws *workers) mayHaveStreams(r jsapi.Request) *jsapi.Error {
	if ws.cfg.User == nil || ws.cfg.User.MayHaveStreams == nil || r.Stream == "" || ws.cfg.MQTT && jsapi.IsMQTT(r.Stream) {
		return nil
	}
	if err := ws.cfg.User.MayHaveStreams(); err != nil {
		e := apiErrorOf(err)
		return refusal(e.Code, e.ErrCode, "%s", e.Description)
	}
	return nil
}

// look decides whether the server may answer a request, and how its answer is to be changed.
func (ws *workers) look(r jsapi.Request, body []byte) (now []byte, change func([]byte) []byte, refused *jsapi.Error) {
	if len(body) > mostRequest {
		return nil, nil, bad("the request is larger than %d bytes", mostRequest)
	}
	if r.Stream == topicStream {
		return nil, nil, foreign(r)
	}
	if jsapi.IsMQTT(r.Stream) {
		return ws.lookMQTT(r, body)
	}
	switch r.Verb {
	case jsapi.AccountInfo:
		return body, ws.account, nil
	case jsapi.StreamNames, jsapi.StreamList:
		return ws.listing(r.Verb, body)
	case "STREAM.CREATE", "STREAM.UPDATE":
		now, refused = jsapi.CheckStream(r.Stream, body)
		return now, nil, refused
	case jsapi.ConsumerCreate, jsapi.ConsumerDurable:
		now, refused = jsapi.CheckConsumer(body)
		return now, nil, refused
	case jsapi.StreamInfo, "STREAM.DELETE", "STREAM.PURGE", "STREAM.MSG.GET", "STREAM.MSG.DELETE", "STREAM.LEADER.STEPDOWN",
		jsapi.ConsumerNames, jsapi.ConsumerList, jsapi.ConsumerInfo, jsapi.ConsumerDelete, "CONSUMER.PAUSE", "CONSUMER.UNPIN", "CONSUMER.LEADER.STEPDOWN":
		return body, nil, nil
	case "STREAM.SNAPSHOT", "STREAM.RESTORE":
		return nil, nil, bad("streams can be neither backed up nor restored by clients: read and publish their messages")
	}
	return nil, nil, bad("%s is not supported on this node", r.Verb)
}

// lookMQTT passes what the server itself asks about the streams in which it keeps the sessions and messages of MQTT clients.
func (ws *workers) lookMQTT(r jsapi.Request, body []byte) (now []byte, change func([]byte) []byte, refused *jsapi.Error) {
	if !ws.cfg.MQTT {
		return nil, nil, foreign(r)
	}
	switch r.Verb {
	case "STREAM.CREATE", "STREAM.UPDATE":
		now, refused = jsapi.CheckMQTTStream(r.Stream, body)
		return now, nil, refused
	case jsapi.ConsumerCreate, jsapi.ConsumerDurable:
		now, refused = jsapi.CheckMQTTConsumer(body)
		return now, nil, refused
	case jsapi.StreamInfo, "STREAM.MSG.GET", "STREAM.MSG.DELETE", jsapi.ConsumerInfo, jsapi.ConsumerDelete, jsapi.ConsumerNames, jsapi.ConsumerList:
		return body, nil, nil
	}
	return nil, nil, bad("%s is not for the streams of MQTT", r.Verb)
}

// account adds the stream of the queues and its consumers to what the server says of the account.
func (ws *workers) account(answer []byte) []byte {
	ws.mu.Lock()
	n := len(ws.consumers)
	ws.mu.Unlock()
	return jsapi.AddToAccount(answer, n)
}

// listing asks for a page of the list of streams in which that of the queues is the first.
func (ws *workers) listing(verb jsapi.Verb, body []byte) ([]byte, func([]byte) []byte, *jsapi.Error) {
	list, err := jsapi.ParseList(body)
	if err != nil {
		return nil, nil, refusal(400, codeBadJSON, "%s", err)
	}
	offset := list.Offset
	ours := wanted(list)
	if ours {
		list.Offset = max(offset-1, 0)
	}
	body, err = json.Marshal(list)
	if err != nil {
		return nil, nil, refusal(400, codeBadJSON, "%s", err)
	}
	if !ours {
		return body, nil, nil
	}
	return body, func(answer []byte) []byte {
		var first any = queueStream
		if verb == jsapi.StreamList {
			ws.mu.Lock()
			first = ws.stream()
			ws.mu.Unlock()
		}
		return jsapi.PrependStream(answer, first, offset)
	}, nil
}
