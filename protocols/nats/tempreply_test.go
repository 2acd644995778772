package nats

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// Each temporary destination has subjects that stand for it, and comes back from them.
func TestTemporaryDestinationsComeBackFromTheirSubjects(t *testing.T) {
	b := newTestInboxes(t)
	for replyTo, want := range map[string]string{
		"/remote-temp-queue/ID:n1-1-1-0:1:a": "/remote-temp-queue/ID:n1-1-1-0:1:a", "temp-topic://ID:n1-1-1-0:1:a b": "/remote-temp-topic/ID:n1-1-1-0:1:a b",
		" /remote-temp-topic/x?y=1": "/remote-temp-topic/x", "temp-queue://" + strings.Repeat("x", gateway.MaxNameLength): "/remote-temp-queue/" + strings.Repeat("x", gateway.MaxNameLength),
	} {
		subject := b.subject(replyTo)
		require.True(t, strings.HasPrefix(subject, "queue._reply."), replyTo)
		require.True(t, isLiteral(subject))
		require.NotContains(t, subject, "ID:")
		require.NotEqual(t, subject, b.subject(replyTo), "no token is given twice")
		d, ok, err := b.answered(subject)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, want, textOf(d))
		require.Equal(t, want, b.replyTo(subject), "whoever it is passed on to can answer, too")
	}
	for _, replyTo := range []string{"/remote-temp-queue/", "temp-queue://a.*", "/remote-temp-topic/>", "/remote-temp-queue/a\x01", "/remote-temp-queue/a,/queue/b"} {
		require.Empty(t, b.subject(replyTo), replyTo)
	}
}

// A subject that was made up, or for another user, leads nowhere; nor does what stands for an inbox lead to a temporary destination, or the other way round.
func TestForgedAnswersLeadNowhere(t *testing.T) {
	b, other := newTestInboxes(t), newTestInboxes(t)
	const replyTo = "/remote-temp-queue/ID:n1-1-1-0:1:a"
	subject := b.subject(replyTo)
	inbox, _ := b.topic("_INBOX.a")
	for _, forged := range []string{
		"queue._reply.", "queue._reply.x", "queue._reply.AAAA", subject + "A", subject[:len(subject)-2], other.subject(replyTo), "queue." + inbox.Name,
		replyQueue + b.conceal("queue://orders"), replyQueue + b.conceal("_INBOX.a"), replyQueue + b.conceal("temp-queue://a.>"),
	} {
		_, ok, err := b.answered(forged)
		require.True(t, ok, forged)
		require.Equal(t, gateway.NotFound, gateway.KindOf(err), forged)
		require.Empty(t, b.replyTo(forged), forged)
	}
	_, ok := b.inbox(strings.TrimPrefix(subject, queueRoot))
	require.False(t, ok)
	_, ok, err := b.answered("queue.orders")
	require.False(t, ok)
	require.NoError(t, err)
}

// The doors of one user open one another's subjects, and no other user's door does; a reply topic stays with the door that made it.
func TestDoorsOfAUserKnowTheirAnswers(t *testing.T) {
	door := func(token string) *inboxes {
		b, err := newInboxes(&User{Token: token})
		require.NoError(t, err)
		return b
	}
	here, there, stranger := door("alice"), door("alice"), door("bob")
	require.NoError(t, here.learn(there.key))
	subject := there.subject("temp-queue://x")
	d, ok, err := here.answered(subject)
	require.True(t, ok)
	require.NoError(t, err)
	require.Equal(t, "temp-queue://x", d.String())
	_, _, err = stranger.answered(subject)
	require.ErrorIs(t, err, errNoAnswer)
	topic, _ := there.topic("_INBOX.x")
	_, ok = here.inbox(topic.Name)
	require.False(t, ok)
}
