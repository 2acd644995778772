package nats

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/nats/jsapi"
)

// The names that PubAcks give as the stream.
const (
	queueStream = jsapi.QueueStream
	topicStream = jsapi.TopicStream
)

// Headers of JetStream publishes.
const (
	expectedStream = "Nats-Expected-Stream"
	messageID      = "Nats-Msg-Id"
)

// The error codes of JetStream that fit ours; clients show or compare them.
const (
	codeBadRequest  = 10003
	codeUnavailable = 10008
	codeOtherStream = 10060
	codeTooLarge    = 10054
	codeNoSpace     = 10047
	codeNotStored   = 10077
)

// marked tells a JetStream publish by a header that nothing else has. A message
// to a topic gets a PubAck only then: a request to a topic looks otherwise the same.
func marked(h natsgo.Header) bool {
	_, expects := first(h, expectedStream)
	_, identified := first(h, messageID)
	return expects || identified
}

// unsupported refuses what a JetStream publish asks for and would not get: to
// store the message all the same would break what it relies on.
func unsupported(h natsgo.Header, stream string) error {
	for name, values := range h {
		rest, ok := strings.CutPrefix(name, "Nats-")
		if !ok || len(values) == 0 {
			continue
		}
		switch {
		case name == expectedStream:
			if values[0] != stream {
				return errOtherStream
			}
		case strings.HasPrefix(rest, "Expected-"), strings.HasPrefix(rest, "Batch-"), strings.HasPrefix(rest, "Schedule"),
			rest == "Rollup", rest == "TTL", rest == "Incr":
			return gateway.Errorf(gateway.Invalid, "the header %.64s is not supported", name)
		}
	}
	return nil
}

// errOtherStream is what JetStream says to a publish that expects another stream.
var errOtherStream = gateway.Errorf(gateway.Conflict, "expected stream does not match")

type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

// apiErrorOf is the table from our errors to JetStream's.
func apiErrorOf(err error) apiError {
	e := apiError{Description: gateway.TextOf(err)}
	switch gateway.KindOf(err) {
	case gateway.Invalid, gateway.NotFound:
		e.Code, e.ErrCode = 400, codeBadRequest
	case gateway.Conflict:
		e.Code, e.ErrCode = 400, codeOtherStream
	case gateway.Limit:
		e.Code, e.ErrCode = 400, codeTooLarge
	case gateway.Unauthenticated, gateway.Denied:
		e.Code, e.ErrCode = 403, codeBadRequest // JetStream has none of its own for this
	case gateway.NoSpace:
		e.Code, e.ErrCode = 503, codeNoSpace
	case gateway.Unavailable:
		e.Code, e.ErrCode = 503, codeUnavailable
	default:
		e.Code, e.ErrCode = 500, codeNotStored
	}
	return e
}

// appendPubAck appends the answer to a publish that the broker took.
func appendPubAck(dst []byte, stream string, seq uint64, duplicate bool) []byte {
	dst = append(dst, `{"stream":"`...)
	dst = append(dst, stream...)
	dst = append(dst, `","seq":`...)
	dst = strconv.AppendUint(dst, seq, 10)
	if duplicate {
		dst = append(dst, `,"duplicate":true`...)
	}
	return append(dst, '}')
}

// appendRefusal appends the answer to a publish that the broker refused.
func appendRefusal(dst []byte, err error) []byte {
	text, _ := json.Marshal(struct {
		Error apiError `json:"error"`
	}{apiErrorOf(err)}) // numbers and a string can always be written
	return append(dst, text...)
}

// answer sends PubAcks until the window is closed. Outcomes come in the broker's
// goroutines, which must not wait for a connection; here they go out in batches.
func (d *Door) answer() {
	defer close(d.answered)
	seq := uint64(d.cfg.Clock().UnixMicro()) // so that numbers grow over restarts
	var known []outcome
	var buf []byte
	for {
		var open bool
		if known, open = d.window.take(known); !open {
			return
		}
		if len(known) == 0 {
			<-d.window.wake
			continue
		}
		for i := range known {
			o := &known[i]
			switch {
			case o.err != nil:
				d.refused(o)
				buf = appendRefusal(buf[:0], o.err)
				d.remember(o, 0)
			case o.repeats != 0:
				d.counts.repeated.Add(1)
				buf = appendPubAck(buf[:0], o.stream, o.repeats, true)
			default:
				seq++
				buf = appendPubAck(buf[:0], o.stream, seq, false)
				d.remember(o, seq)
			}
			if o.reply == "" {
				continue
			}
			if err := d.cfg.replies(o.reply).Publish(o.reply, buf); err != nil {
				d.counts.unanswered.Add(1)
			}
		}
		d.window.answered(known)
	}
}

// remember notes the outcome of a message with an id, and answers its repetitions.
func (d *Door) remember(o *outcome, seq uint64) {
	if !o.identified || o.repeats != 0 {
		return
	}
	for _, token := range d.repeats.stored(o.key, seq, int64(d.cfg.elapsed())) {
		d.window.complete(token, o.err, max(seq, 1))
	}
}

// faultsEvery is how often our own faults are logged at most: when the store
// fails, every message does.
const faultsEvery = time.Second

// refused counts a refusal and logs it: our own faults loudly, a client's mistakes
// for those who debug it. It belongs to answer's goroutine.
func (d *Door) refused(o *outcome) {
	d.counts.refused.Add(1)
	if gateway.KindOf(o.err) != gateway.Internal {
		d.cfg.Logger.Debug("a native message was refused", "stream", o.stream, "asked_for_ack", o.reply != "", "error", o.err)
		return
	}
	now := d.cfg.Clock()
	if now.Before(d.faults.next) {
		d.faults.silent++
		return
	}
	d.cfg.Logger.Error("a native message could not be taken", "stream", o.stream, "error", o.err, "not_logged_before", d.faults.silent)
	d.faults.next, d.faults.silent = now.Add(faultsEvery), 0
}
