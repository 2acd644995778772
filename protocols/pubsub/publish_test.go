package pubsub_test

import "testing"

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
