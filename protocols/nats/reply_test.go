package nats

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

func newTestInboxes(t testing.TB) *inboxes {
	b, err := newInboxes(nil)
	require.NoError(t, err)
	return b
}

func TestInboxesComeBackFromTheirTopics(t *testing.T) {
	b := newTestInboxes(t)
	for _, inbox := range []string{"_INBOX.a", "_INBOX.Dj3.kK", "_INBOX." + strings.Repeat("x", maxInbox-len(inboxPrefix))} {
		d, ok := b.topic(inbox)
		require.True(t, ok)
		require.NoError(t, d.Validate())
		require.Equal(t, d.Name, gateway.EscapeName(d.Name))
		got, ok := b.inbox(d.Name)
		require.True(t, ok)
		require.Equal(t, inbox, got)
		again, _ := b.topic(inbox)
		require.NotEqual(t, d, again, "no token is given twice")
	}
}

func TestOnlyInboxesCanBeReached(t *testing.T) {
	b := newTestInboxes(t)
	for _, subject := range []string{
		"", "a", "$JS.API.STREAM.DELETE.x", "$SYS.REQ.SERVER.PING", "_INBOX", "_INBOX.", "_INBOX.>", "_INBOX.*", "_INBOX.a.>", "_INBOX..a",
		"_INBOX.a b", "_INBOX.a\r\nPUB x 0", "_INBOX.\x00", "_inbox.a", "x._INBOX.a", "_INBOX." + strings.Repeat("x", maxInbox),
	} {
		_, ok := b.topic(subject)
		require.False(t, ok, subject)
		// Not even a name sealed with our own key leads elsewhere.
		nonce := make([]byte, b.seal.NonceSize())
		forged := b.seal.Seal(nonce, nonce, []byte(subject), nil)
		_, ok = b.inbox(replyTopic + base64.RawURLEncoding.EncodeToString(forged))
		require.False(t, ok, subject)
	}
}

func TestForgedTopicsLeadNowhere(t *testing.T) {
	b, other := newTestInboxes(t), newTestInboxes(t)
	d, _ := b.topic("_INBOX.a")
	foreign, _ := other.topic("_INBOX.a")
	for _, name := range []string{"", "a", "_reply.", "_reply.x", "_reply.AAAA", "_reply.!", foreign.Name, d.Name + "A", d.Name[:len(d.Name)-2], "x" + d.Name} {
		_, ok := b.inbox(name)
		require.False(t, ok, name)
	}
	for i := len(replyTopic); i < len(d.Name)-1; i++ { // the last letter has bits without a meaning
		changed := []byte(d.Name)
		if changed[i]++; changed[i] > 'z' {
			changed[i] = 'A'
		}
		_, ok := b.inbox(string(changed))
		require.False(t, ok, string(changed))
	}
}

func TestReplyTo(t *testing.T) {
	b := newTestInboxes(t)
	for subject, want := range map[string]string{
		"topic.a.b": "/topic/a.b", "queue.a%20b": "/queue/a b", "topic.%2A": "", "queue.x.%3E": "", "queue.%00": "", "$JS.x": "", "x": "", "_INBOX.*": "",
	} {
		require.Equal(t, want, b.replyTo(subject), subject)
	}
	require.True(t, strings.HasPrefix(b.replyTo("_INBOX.a"), "/topic/_reply."))
	require.Equal(t, "_INBOX.a", b.subject(b.replyTo("_INBOX.a")))
	for replyTo, want := range map[string]string{
		"/topic/a.b": "topic.a.b", "/queue/a b": "queue.a%20b", "queue://q": "queue.q", " topic://t?x=1 ": "topic.t",
		"/temp-queue/x": "", "/remote-temp-queue/": "", "/queue/a,/queue/b": "", "/topic/a.*": "", "/queue/": "", "a": "", "": "", "_INBOX.a": "", "$JS.x": "",
		"/topic/_reply.forged": "topic._reply.forged",
	} {
		require.Equal(t, want, b.subject(replyTo), replyTo)
	}
}

func TestWherePubAcksMayGo(t *testing.T) {
	for reply, want := range map[string]bool{
		"_INBOX.a.b": true, "custom.inbox.a": true, "$JS.API.x": false, "$SYS.x": false, "a.*": false, "a.>": false, "a b": false,
		"queue.a": false, "topic.a": false, "a..b": false, strings.Repeat("x", maxInbox+1): false,
	} {
		require.Equal(t, want, mayAnswer(reply), reply)
	}
}
