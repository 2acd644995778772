package nats

import (
	"encoding/base64"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

// replyQueue begins the subjects that stand for temporary destinations of other clients, who await answers there. They are under queue.>, not
// topic.>: so an answer goes to the door alone, and whoever wants one gets a PubAck for it.
const replyQueue = queueRoot + replyTopic

// remotes are how messages keep a reply-to that is somebody's temporary destination, by its whole name.
var remotes = [...]struct {
	prefix string
	kind   gateway.Kind
}{
	{"/remote-temp-queue/", gateway.KindTempQueue}, {"/remote-temp-topic/", gateway.KindTempTopic},
	{"temp-queue://", gateway.KindTempQueue}, {"temp-topic://", gateway.KindTempTopic},
}

// remoteOf is the temporary destination that a reply-to names, if it is one.
func remoteOf(replyTo string) (d gateway.Destination, ok bool) {
	for _, r := range remotes {
		if name, found := strings.CutPrefix(replyTo, r.prefix); found {
			d = gateway.Destination{Kind: r.kind, Name: name}
			return d, d.Validate() == nil && !d.IsPattern()
		}
	}
	return d, false
}

// textOf is a destination as a reply-to has it.
func textOf(d gateway.Destination) string {
	if d.Kind.IsTemp() {
		return "/remote-" + d.Kind.String() + "/" + d.Name
	}
	return "/" + d.Kind.String() + "/" + d.Name
}

// answerable is the subject by which native clients answer to a temporary destination. Those who were told can; nobody can
// make one for another destination, nor see in it whose it is.
func (b *inboxes) answerable(d gateway.Destination) string { return replyQueue + b.conceal(d.String()) }

// answered is the temporary destination that a subject stands for. ok is false for subjects that are no such answers, err says of one that it
// leads nowhere: it was made up, or by a node that has been started again since.
func (b *inboxes) answered(subject string) (d gateway.Destination, ok bool, err error) {
	token, ok := strings.CutPrefix(subject, replyQueue)
	if !ok {
		return d, false, nil
	}
	if text, known := b.reveal(token, true); known {
		if d, known := remoteOf(text); known {
			return d, true, nil
		}
	}
	return d, true, errNoAnswer
}

var errNoAnswer = gateway.Errorf(gateway.NotFound, "nobody awaits an answer on this subject, or not any more")

// conceal returns a name for a text that says nothing of it, and is another each time.
func (b *inboxes) conceal(text string) string {
	nonce := make([]byte, b.seal.NonceSize(), b.seal.NonceSize()+len(text)+b.seal.Overhead())
	b.number(nonce)
	return base64.RawURLEncoding.EncodeToString(b.seal.Seal(nonce, nonce, []byte(text), nil))
}

// reveal undoes conceal. Among the keys are those of the doors of the same clients on other nodes, if others is true.
func (b *inboxes) reveal(token string, others bool) (text string, ok bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(sealed) < b.seal.NonceSize() {
		return "", false
	}
	nonce, sealed := sealed[:b.seal.NonceSize()], sealed[b.seal.NonceSize():]
	plain, ok := b.open(nonce, sealed, others)
	return string(plain), ok
}
