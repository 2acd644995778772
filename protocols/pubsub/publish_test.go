package pubsub_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// Whoever publishes is told an offset, or that there is none.
func TestWhatHasNoOffsetIsNotPublished(t *testing.T) {
	w := stocked(t, 1, nil)
	const publish = "/projects/P/topics/t:publish"
	for _, name := range []string{"AMQ_SCHEDULED_DELAY", "AMQ_SCHEDULED_CRON", "AMQ_SCHEDULED_PERIOD"} {
		w.refused(400, "Invalid Message Arguments", "POST", publish, serviceToken, `{"messages":[{"data":"","attributes":{"`+name+`":"1000"}}]}`)
	}
	w.broker.mu.Lock()
	w.broker.plain = true
	w.broker.mu.Unlock()
	w.refused(404, "Topic doesn't exist", "POST", publish, serviceToken, `{"messages":[{"data":""}]}`) // the broker knows already that it has lost its log
}

// Clients of other doors believe JMSXUserID, because only the broker says it there.
func TestNobodySaysWhoSentAMessage(t *testing.T) {
	w := stocked(t, 0, nil)
	w.must("POST", "/projects/P/topics/t:publish", serviceToken, `{"messages":[{"data":"","attributes":{"JMSXUserID":"admin","a":"b"}}]}`)
	var got wire.Pulled
	w.must("POST", "/projects/P/subscriptions/s:pull", serviceToken, `{}`, &got)
	require.Len(t, got.Received, 1)
	require.Equal(t, map[string]string{"a": "b"}, got.Received[0].Message.Attributes)
}
