package nats

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"strings"
	"sync"

	natsgo "github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	// inboxPrefix begins the subjects on which native clients await answers. No
	// others can be reached through a reply topic.
	inboxPrefix = "_INBOX."
	// hiddenPrefix begins the subjects that the server puts in the place of a requester's inbox where a message goes
	// from account to account as a service request. No client can publish with such a reply subject, nor to one.
	hiddenPrefix = "_R_."
	// maxInbox keeps the names of reply topics within gateway.MaxNameLength.
	maxInbox = 512
	// replyTopic begins the names of the topics that stand for inboxes.
	replyTopic = "_reply."
)

// inboxes turns a native client's inbox into a topic that STOMP clients can send
// to, and back. The topic's name is the inbox itself, sealed with a key of this process: there is no
// table to fill, and no name can be guessed. The doors of a cluster know one another's keys. Safe for concurrent use.
type inboxes struct {
	// prefix begins the names of the topics; a user's own has its token.
	prefix string
	apart  bool // of topics only those that this door has sealed are opened: the others hear of theirs themselves
	key    []byte
	seal   cipher.AEAD

	mu     sync.Mutex
	nonce  uint64
	others map[string]cipher.AEAD // by key
}

// mostKeys bounds the keys of others: nodes, and what they were before they started again.
const mostKeys = 256

func newInboxes(user *User) (*inboxes, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	seal, err := sealOf(key)
	if err != nil {
		return nil, err
	}
	b := &inboxes{prefix: replyTopic, key: key, seal: seal, others: make(map[string]cipher.AEAD)}
	if user != nil {
		b.prefix, b.apart = replyTopic+user.Token+".", true
	}
	return b, nil
}

func sealOf(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// learn takes the key of another node's door.
func (b *inboxes) learn(key []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.others[string(key)] != nil || len(b.others) >= mostKeys || bytes.Equal(key, b.key) {
		return nil
	}
	seal, err := sealOf(key)
	if err == nil {
		b.others[string(key)] = seal
	}
	return err
}

// number makes a nonce, never twice with one key.
func (b *inboxes) number(nonce []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nonce++
	binary.BigEndian.PutUint64(nonce, b.nonce)
}

// open unseals what this door has sealed, or perhaps another one.
func (b *inboxes) open(nonce, sealed []byte, others bool) (text []byte, ok bool) {
	if text, err := b.seal.Open(nil, nonce, sealed, nil); err == nil || !others {
		return text, err == nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, seal := range b.others {
		if text, err := seal.Open(nil, nonce, sealed, nil); err == nil {
			return text, true
		}
	}
	return nil, false
}

// topic returns the topic that stands for an inbox, and whether it is one that may.
func (b *inboxes) topic(inbox string) (gateway.Destination, bool) {
	if !isInbox(inbox) {
		return gateway.Destination{}, false
	}
	return gateway.Destination{Kind: gateway.KindTopic, Name: b.prefix + b.conceal(inbox)}, true
}

// inbox returns what a topic made by topic stands for; ok is false for all other names.
func (b *inboxes) inbox(name string) (inbox string, ok bool) {
	token, ok := strings.CutPrefix(name, b.prefix)
	if !ok {
		return "", false
	}
	text, ok := b.reveal(token, !b.apart)
	return text, ok && isInbox(text)
}

// isInbox reports whether a subject is an inbox that an answer may be sent to.
func isInbox(subject string) bool {
	return (strings.HasPrefix(subject, inboxPrefix) || strings.HasPrefix(subject, hiddenPrefix)) && len(subject) <= maxInbox && isLiteral(subject)
}

// isLiteral reports whether a subject can be published to: no wildcards, no empty
// tokens, no blanks or control characters.
func isLiteral(subject string) bool {
	for i := range len(subject) {
		if c := subject[i]; c <= ' ' || c == 0x7f {
			return false
		}
	}
	for token := range strings.SplitSeq(subject, ".") {
		if token == "" || token == "*" || token == ">" {
			return false
		}
	}
	return true
}

// mayAnswer reports whether a PubAck may be sent to a subject that a client
// chose: not to the broker's own destinations and not to the server's services.
func mayAnswer(reply string) bool {
	_, ours := destinationOf(reply)
	return !ours && len(reply) <= maxInbox && reply[0] != '$' && isLiteral(reply)
}

// replyTo returns what STOMP receivers read in reply-to for a native reply
// subject, or "" if they cannot answer to it.
func (b *inboxes) replyTo(subject string) string {
	d, ok, err := b.answered(subject)
	if !ok {
		d, ok = destinationOf(subject)
	}
	if !ok {
		d, ok = b.topic(subject)
	}
	if !ok || err != nil || d.Validate() != nil || d.IsPattern() {
		return ""
	}
	return textOf(d)
}

// subject returns the native reply subject of a reply-to header, or "" if native
// responders cannot answer to it: patterns, several destinations.
func (b *inboxes) subject(replyTo string) string {
	replyTo, _, _ = strings.Cut(strings.TrimSpace(replyTo), "?")
	if strings.IndexByte(replyTo, ',') >= 0 {
		return ""
	}
	if d, ok := remoteOf(replyTo); ok {
		return b.answerable(d)
	}
	for _, k := range [...]gateway.Kind{gateway.KindQueue, gateway.KindTopic} {
		name, ok := strings.CutPrefix(replyTo, "/"+k.String()+"/")
		if !ok {
			name, ok = strings.CutPrefix(replyTo, k.String()+"://")
		}
		if !ok {
			continue
		}
		d := gateway.Destination{Kind: k, Name: name}
		if d.Validate() != nil || d.IsPattern() {
			return ""
		}
		if inbox, ok := b.inbox(name); ok && k == gateway.KindTopic {
			if strings.HasPrefix(inbox, hiddenPrefix) {
				return "" // nobody but the door can answer there
			}
			return inbox
		}
		return subjectOf(d)
	}
	return ""
}

// replies is the connection that reaches a reply subject.
func (c *Config) replies(subject string) *natsgo.Conn {
	if strings.HasPrefix(subject, hiddenPrefix) {
		return c.Inbound
	}
	return c.Answers
}
