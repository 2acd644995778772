package nats

import (
	"bytes"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
)

// entryOverhead is what a message counts beside its bytes.
const entryOverhead = 256

// receive hands a native message to the broker. It is the callback of a
// subscription: messages come one after another, and while the window is full they wait.
func (d *Door) receive(in *natsgo.Msg) {
	d.counts.received.Add(1)
	e := entry{stream: topicStream, size: in.Size() + entryOverhead}
	subject := strings.TrimPrefix(in.Subject, d.cfg.Prefix)
	to, isAnswer, err := d.inboxes.answered(subject)
	if !isAnswer {
		to, _ = destinationOf(subject)
	}
	if isAnswer || to.Kind == gateway.KindQueue {
		e.stream = queueStream
	}
	m, refusal := d.accept(in, to, &e)
	if err == nil {
		err = refusal
	}
	if id, ok := first(in.Header, messageID); ok && id != "" && e.stream == queueStream && err == nil {
		e.identified, e.key = true, keyOf(to.Place(), id)
	}
	token, ok := d.window.enter(e)
	switch {
	case !ok: // cut off; who waits for an answer asks again
		d.counts.unanswered.Add(1)
	case err != nil:
		d.window.Complete(token, err)
	case e.identified && d.repeated(e.key, token):
	default:
		d.session.Send(m, &d.window, token)
		d.pause()
	}
}

// pause waits if the door's user may not send as fast as it can: what comes meanwhile waits in front of the door.
func (d *Door) pause() {
	paced, ok := d.session.(gateway.Paced)
	if !ok {
		return
	}
	wait := paced.Pause()
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.context.Done():
	}
}

// repeated reports whether a message was published before. Then it is answered as that one
// was, as soon as that is known.
func (d *Door) repeated(k messageKey, token uint64) bool {
	for {
		before, repeated := d.repeats.first(k, int64(d.cfg.elapsed()))
		switch {
		case !repeated:
			return false
		case before.seq != 0:
			d.window.complete(token, nil, before.seq)
			return true
		case d.repeats.await(k, token):
			return true
		}
	}
}

// accept translates a message and finds out who awaits which answer.
func (d *Door) accept(in *natsgo.Msg, to gateway.Destination, e *entry) (*gateway.Message, error) {
	publish := e.stream == queueStream || marked(in.Header)
	replyTo := ""
	switch {
	case in.Reply == "":
	case publish && mayAnswer(in.Reply):
		e.reply = in.Reply
	default:
		replyTo = d.inboxes.replyTo(in.Reply)
	}
	// The client library passes messages whose header it could not read without it.
	if in.Header == nil && in.Size() > len(in.Subject)+len(in.Reply)+len(in.Data) {
		return nil, gateway.Errorf(gateway.Invalid, "the header cannot be read")
	}
	if publish {
		if err := unsupported(in.Header, e.stream); err != nil {
			return nil, err
		}
	}
	m, err := messageOf(to, in.Header, in.Data, d.cfg.Limits.HeaderFields)
	if err != nil {
		return nil, err
	}
	compact(m, in.Size()-len(in.Subject)-len(in.Reply)-len(in.Data))
	d.setReplyTo(m, replyTo)
	return m, nil
}

// keptWaste is how much of a header that was dropped may stay in memory.
const keptWaste = 1 << 10

// compact gives a message memory of its own if most of its header was dropped: the
// client library leaves all in one piece, which lives as long as the smallest part.
func compact(m *gateway.Message, header int) {
	for i := range m.Header {
		header -= len(m.Header[i].Name) + len(m.Header[i].Value)
	}
	if header <= keptWaste+len(m.Body) {
		return
	}
	m.Body = bytes.Clone(m.Body)
	for i := range m.Header {
		f := &m.Header[i]
		f.Name, f.Value = strings.Clone(f.Name), strings.Clone(f.Value)
	}
}

// setReplyTo gives a message a reply-to, unless its header has one. An inbox in
// the header, or a subject that stands for a temporary destination, becomes what STOMP clients can send to: so a publisher whose reply subject takes
// the PubAck can get an answer as well.
func (d *Door) setReplyTo(m *gateway.Message, replyTo string) {
	for i := range m.Header {
		f := &m.Header[i]
		if f.Name != "reply-to" {
			continue
		}
		if strings.HasPrefix(f.Value, inboxPrefix) || strings.HasPrefix(f.Value, replyQueue) {
			if v := d.inboxes.replyTo(f.Value); v != "" {
				f.Value = v
			}
		}
		return
	}
	if replyTo != "" {
		m.Header = append(m.Header, gateway.Field{Name: "reply-to", Value: replyTo})
	}
}
