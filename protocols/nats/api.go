package nats

import (
	"strconv"
	"strings"
	"sync"

	natsgo "github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/protocols/nats/jsapi"
)

// The error codes of JetStream that answers to requests use.
const (
	codeBadJSON          = 10025
	codeCreate           = 10012
	codeNoConsumer       = 10014
	codeMostConsumers    = 10026
	codeNoStream         = 10059
	codeConsumerExists   = 10148
	codeConsumerNotThere = 10149
)

const (
	// mostConsumers bounds what is kept for names that clients make up.
	mostConsumers = 10_000
	pageOfNames   = 1024
	pageOfInfos   = 256
)

const (
	// api begins the subjects on which requests are heard, and askings those by which the door hears them in their turn.
	api     = "api."
	askings = "$JS.ASKED."
	// mostAsked and mostAskedBytes bound the requests that wait for their turn.
	mostAsked      = 4096
	mostAskedBytes = 64 << 20
)

// requestVerbs are the requests that the door hears. Those not among them nobody answers; and to hear pull and direct get requests would
// have the server keep something for each.
func requestVerbs() []string {
	return []string{
		"INFO", "STREAM.>", "CONSUMER.CREATE.>", "CONSUMER.DURABLE.>", "CONSUMER.INFO.>", "CONSUMER.DELETE.>", "CONSUMER.NAMES.>", "CONSUMER.LIST.>",
		"CONSUMER.PAUSE.>", "CONSUMER.UNPIN.>", "CONSUMER.LEADER.>", "CONSUMER.RESET." + queueStream + ".>",
	}
}

// requests are those that wait for their turn.
type requests struct {
	mu    sync.Mutex
	last  uint64
	bytes int
	open  map[string]*natsgo.Msg
}

// put is false when too many wait.
func (r *requests) put(m *natsgo.Msg) (token string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.open) >= mostAsked || r.bytes+len(m.Data) > mostAskedBytes {
		return "", false
	}
	r.last++
	r.bytes += len(m.Data)
	token = strconv.FormatUint(r.last, 36)
	r.open[token] = m
	return token, true
}

// take returns nil for what is unknown.
func (r *requests) take(token string) *natsgo.Msg {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.open[token]
	if m != nil {
		delete(r.open, token)
		r.bytes -= len(m.Data)
	}
	return m
}

// queued is the callback for requests. They come by another way than acknowledgements, and could overtake them: who acknowledges and
// then deletes the consumer would see its messages handed out again. So the door tells itself of them behind what was said before.
func (ws *workers) queued(m *natsgo.Msg) {
	if m.Reply == "" {
		return // nobody could be answered
	}
	m.Subject = jsapi.Prefix + strings.TrimPrefix(m.Subject, ws.cfg.Own+api)
	token, ok := ws.requests.put(m)
	if ok && ws.cfg.Inbound.Publish(ws.cfg.Prefix+askings+token, nil) == nil {
		return
	}
	ws.requests.take(token)
	ws.answerer(m, "error_response")(nil, refusal(503, codeUnavailable, "too many requests wait for an answer"))
}

// answerer answers a request to the API.
func (ws *workers) answerer(m *natsgo.Msg, kind string) answering {
	return func(text []byte, err *jsapi.Error) {
		if err != nil {
			text = jsapi.AppendError(nil, kind, err)
		}
		if err := ws.cfg.System.Publish(m.Reply, text); err != nil {
			ws.cfg.Logger.Debug("a request of a native client could not be answered", "error", err)
		}
	}
}

// request answers a request to the JetStream API; nil is none.
func (ws *workers) request(m *natsgo.Msg) {
	if m == nil {
		return
	}
	r, ok := jsapi.ParseRequest(m.Subject)
	answer := ws.answerer(m, kindOf(r.Verb))
	switch {
	case !ok:
		answer(nil, bad("this version does not know the request %.100s", strings.TrimPrefix(m.Subject, jsapi.Prefix)))
	case r.Stream != queueStream && ws.cfg.Account != "":
		ws.own(r, m, answer)
	case r.Stream == "":
		answer(ws.general(r, m.Data))
	case r.Stream != queueStream:
		answer(nil, foreign(r))
	default:
		ws.serve(r, m, answer)
	}
}

// serve answers requests about the queues.
func (ws *workers) serve(r jsapi.Request, m *natsgo.Msg, answer answering) {
	switch r.Verb {
	case jsapi.ConsumerCreate, jsapi.ConsumerDurable:
		ws.create(r, m.Data, answer)
	case jsapi.ConsumerDelete:
		ws.remove(r.Consumer, answer)
	default:
		answer(ws.answer(r, m.Data))
	}
}

// kindOf names the type of an answer.
func kindOf(v jsapi.Verb) string {
	switch v {
	case jsapi.AccountInfo:
		return "account_info_response"
	case jsapi.ConsumerDurable:
		v = jsapi.ConsumerCreate
	}
	return strings.ToLower(strings.ReplaceAll(string(v), ".", "_")) + "_response"
}

// bad is the error for what makes no sense, or is not supported.
func bad(format string, args ...any) *jsapi.Error {
	return refusal(400, codeBadRequest, format, args...)
}

// foreign refuses requests about streams that are not ours.
func foreign(r jsapi.Request) *jsapi.Error {
	switch r.Verb {
	case "STREAM.CREATE", "STREAM.UPDATE", "STREAM.RESTORE":
		if r.Stream == topicStream {
			return bad("the name %s is taken: it stands for the topics of this node, which are no stream", topicStream)
		}
		return bad("streams and buckets of your own are switched off on this node: only %s is there, its queues", queueStream)
	}
	return refusal(404, codeNoStream, "stream not found")
}

// general answers requests that name no stream.
func (ws *workers) general(r jsapi.Request, body []byte) ([]byte, *jsapi.Error) {
	list, err := jsapi.ParseList(body)
	if err != nil && r.Verb != jsapi.AccountInfo {
		return nil, refusal(400, codeBadJSON, "%s", err)
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ours := wanted(list)
	switch r.Verb {
	case jsapi.AccountInfo:
		return jsapi.AppendAccount(nil, 1, len(ws.consumers)), nil
	case jsapi.StreamNames:
		names := []string{}
		if ours {
			names = append(names, queueStream)
		}
		page, p := jsapi.Page(names, list.Offset, pageOfNames)
		return jsapi.AppendStreamNames(nil, p, page), nil
	default:
		streams := []*jsapi.Stream{}
		if ours {
			streams = append(streams, ws.stream())
		}
		page, p := jsapi.Page(streams, list.Offset, pageOfInfos)
		return jsapi.AppendStreams(nil, p, page), nil
	}
}

// wanted reports whether a list of streams has that of the queues.
func wanted(l jsapi.List) bool {
	return l.Subject == "" || l.Subject == ">" || strings.HasPrefix(l.Subject, queueRoot) || strings.HasPrefix(l.Subject, "*.")
}

// stream describes the queues of this node as the one stream that clients see. The lock is held.
func (ws *workers) stream() *jsapi.Stream {
	return &jsapi.Stream{
		Config: jsapi.StreamConfig{
			Name: queueStream, Description: "the queues of this node", Subjects: []string{queueRoot + ">"}, Retention: "workqueue",
			MaxConsumers: -1, MaxMsgs: -1, MaxBytes: -1, MaxMsgSize: -1, Discard: "new", Storage: "file", Replicas: 1, DenyDelete: true, DenyPurge: true,
		},
		Created: ws.started, TimeStamp: ws.cfg.Clock(),
		State: jsapi.StreamState{Consumers: len(ws.consumers)},
	}
}

// answer answers requests about the queues that change nothing.
func (ws *workers) answer(r jsapi.Request, body []byte) ([]byte, *jsapi.Error) {
	switch r.Verb {
	case jsapi.StreamInfo:
		ws.mu.Lock()
		defer ws.mu.Unlock()
		return jsapi.AppendStream(nil, ws.stream()), nil
	case jsapi.ConsumerInfo:
		return ws.describe(r.Consumer)
	case jsapi.ConsumerNames, jsapi.ConsumerList:
		return ws.list(r.Verb, body)
	case "STREAM.CREATE", "STREAM.UPDATE", "STREAM.RESTORE", "STREAM.DELETE":
		return nil, bad("%s stands for the queues of this node: it can be neither made, changed nor deleted", queueStream)
	case "STREAM.PURGE", "STREAM.MSG.DELETE":
		return nil, bad("queues cannot be emptied this way: messages leave them when they are acknowledged")
	case "STREAM.MSG.GET":
		return nil, bad("single messages cannot be read out of queues: consume them")
	case "CONSUMER.RESET":
		return nil, bad("a queue cannot be replayed: what was acknowledged is gone")
	default:
		return nil, bad("%s is not supported on queues", r.Verb)
	}
}

// list answers with the consumers, or their names.
func (ws *workers) list(verb jsapi.Verb, body []byte) ([]byte, *jsapi.Error) {
	l, err := jsapi.ParseList(body)
	if err != nil {
		return nil, refusal(400, codeBadJSON, "%s", err)
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if verb == jsapi.ConsumerNames {
		page, p := jsapi.Page(ws.sorted(), l.Offset, pageOfNames)
		names := []string{}
		for _, c := range page {
			names = append(names, c.name)
		}
		return jsapi.AppendConsumerNames(nil, p, names), nil
	}
	page, p := jsapi.Page(ws.sorted(), l.Offset, pageOfInfos)
	infos := []*jsapi.Info{}
	for _, c := range page {
		infos = append(infos, c.info())
	}
	return jsapi.AppendConsumers(nil, p, infos), nil
}
