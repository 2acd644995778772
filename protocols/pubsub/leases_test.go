package pubsub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub"
	"github.com/sluice-mq/sluice/protocols/pubsub/lease"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// lending has a node keep leases until the test ends. change may change the configuration of that.
func lending(t testing.TB, cfg *pubsub.Config, change func(*lease.Config)) *lease.Keeper {
	c := lease.Config{
		Directory: cfg.Directory, Logs: cfg.Logs, Node: "n1", Now: cfg.Now, Look: 5 * time.Millisecond,
		Open: func(ctx context.Context) (gateway.Session, error) {
			return cfg.Broker.Open(ctx, gateway.Login{Protocol: "sluice"})
		},
	}
	if change != nil {
		change(&c)
	}
	k, err := pubsub.NewLeases(c)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	cfg.Leases = k
	return k
}

// newLeased is a world with a project P, topics t and dead, and a leased subscription s of t, which is like asked says.
func newLeased(t testing.TB, asked map[string]any) *world {
	w := newWorld(t, func(cfg *pubsub.Config) { lending(t, cfg, nil) })
	w.must("POST", "/projects/P", serviceToken, map[string]string{"description": ""})
	w.must("PUT", "/projects/P/topics/t", serviceToken, nil)
	w.must("PUT", "/projects/P/topics/dead", serviceToken, nil)
	all := map[string]any{"topic": "projects/P/topics/t", "mode": "leased"}
	for k, v := range asked {
		all[k] = v
	}
	w.must("PUT", "/projects/P/subscriptions/s", serviceToken, all)
	return w
}

const (
	pullPath   = "/projects/P/subscriptions/s:pull"
	extendPath = "/projects/P/subscriptions/s:modifyAckDeadline"
)

// lease pulls.
func (w *world) lease(most int) []wire.Received {
	w.t.Helper()
	var got wire.Pulled
	w.must("POST", pullPath, serviceToken, map[string]any{"maxMessages": fmt.Sprint(most)}, &got)
	return got.Received
}

// offsetsOf are the ids of messages.
func offsetsOf(all []wire.Received) []string {
	ids := []string{}
	for _, r := range all {
		ids = append(ids, r.Message.ID)
	}
	return ids
}

// acks is a request for ack ids.
func acks(some ...wire.Received) map[string]any {
	all := []string{}
	for _, r := range some {
		all = append(all, r.AckID)
	}
	return map[string]any{"ackIds": all}
}

func deadline(seconds int, some ...wire.Received) map[string]any {
	a := acks(some...)
	a["ackDeadlineSeconds"] = seconds
	return a
}

// faults are what a refusal says of ack ids, which must be one of those.
func (w *world) faults(code int, path string, body any) map[string]string {
	w.t.Helper()
	a := w.ask("POST", path, serviceToken, body)
	require.Equal(w.t, code, a.code, a.body)
	var p struct{ Error wire.Problem }
	require.NoError(w.t, json.Unmarshal([]byte(a.body), &p))
	all := map[string]string{}
	for _, d := range p.Error.Details {
		all[d.AckID] = d.Reason
	}
	return all
}

func TestMessagesAreAcknowledgedOneByOne(t *testing.T) {
	w := newLeased(t, nil)
	require.Empty(t, w.lease(5))
	w.publish("t", "0", "1", "2", "3", "4", "5")
	a, b := w.lease(2), w.lease(3)
	require.Equal(t, []string{"0", "1"}, offsetsOf(a))
	require.Equal(t, []string{"2", "3", "4"}, offsetsOf(b), "nobody else has these")
	require.Equal(t, uint64(1), a[0].Attempt)
	require.Less(t, len(a[0].AckID), 80)
	w.must("POST", ackPath, serviceToken, acks(b[1], a[0]))
	w.must("POST", ackPath, serviceToken, acks(b[1]), new(struct{}))
	require.Equal(t, wire.Offsets{Max: 6, Min: 0, Current: 1}, w.offsets())
	require.Equal(t, []string{"5"}, offsetsOf(w.lease(10)))
	w.clock.pass(10 * time.Second)
	again := w.lease(10)
	require.Equal(t, []string{"1", "2", "4", "5"}, offsetsOf(again), "what was not acknowledged comes again after its deadline")
	for _, r := range again {
		require.Equal(t, uint64(2), r.Attempt)
	}
	w.must("POST", ackPath, serviceToken, acks(again...))
	require.Equal(t, uint64(6), w.offsets().Current)
	w.clock.pass(time.Hour)
	require.Empty(t, w.lease(10))
}

func TestALateAcknowledgementOfALease(t *testing.T) {
	w := newLeased(t, nil)
	w.publish("t", "0", "1", "2")
	first := w.lease(3)
	w.clock.pass(10 * time.Second)
	w.must("POST", ackPath, serviceToken, acks(first[0])) // nobody has got it since
	second := w.lease(1)
	require.Equal(t, []string{"1"}, offsetsOf(second))
	require.Equal(t, map[string]string{first[1].AckID: wire.FaultLate}, w.faults(408, ackPath, acks(first...)), "the others are acknowledged")
	require.Equal(t, map[string]string{first[1].AckID: wire.FaultLate}, w.faults(408, extendPath, deadline(20, first[1], second[0])))
	w.clock.pass(15 * time.Second)
	w.must("POST", ackPath, serviceToken, acks(second[0]))
	require.Equal(t, uint64(3), w.offsets().Current)
}

func TestDeadlinesOfMessages(t *testing.T) {
	w := newLeased(t, map[string]any{"ackDeadlineSeconds": 20})
	w.publish("t", "0", "1", "2")
	got := w.lease(3)
	w.must("POST", extendPath, serviceToken, deadline(60, got[1]))
	w.must("POST", extendPath, serviceToken, deadline(0, got[2]))
	back := w.lease(3)
	require.Equal(t, []string{"2"}, offsetsOf(back), "given back at once")
	require.Equal(t, uint64(2), back[0].Attempt)
	w.clock.pass(30 * time.Second)
	require.Equal(t, []string{"0", "2"}, offsetsOf(w.lease(3)))
	w.clock.pass(31 * time.Second)
	require.Equal(t, []string{"0", "1", "2"}, offsetsOf(w.lease(3)))
	w.must("POST", extendPath, serviceToken, `{"ackDeadlineSeconds":30}`) // of the subscription
	w.clock.pass(20 * time.Second)
	for _, bad := range []string{`{"ackDeadlineSeconds":0}`, `{"ackDeadlineSeconds":601,"ackIds":["x"]}`, `{"ackIds":["x"]}`, `{"ackDeadlineSeconds":-1,"ackIds":["x"]}`} {
		require.Equal(t, 400, w.ask("POST", extendPath, serviceToken, bad).code, bad)
	}
}

func TestNobodyMakesUpAckIDs(t *testing.T) {
	w := newLeased(t, nil)
	w.must("PUT", "/projects/P/subscriptions/other", serviceToken, `{"topic":"projects/P/topics/t","mode":"leased"}`)
	w.publish("t", "0", "1")
	got := w.lease(2)
	var others wire.Pulled
	w.must("POST", "/projects/P/subscriptions/other:pull", serviceToken, `{}`, &others)
	id := got[0].AckID
	flipped := "A" + id[1:]
	if id[0] == 'A' {
		flipped = "B" + id[1:]
	}
	for _, bad := range []string{"", "x", id + "A", id[:len(id)-1], flipped, "projects/P/subscriptions/s:0", others.Received[0].AckID, id + "=", " " + id, strings.Repeat("A", 1<<16), "ü", id + "\n"} {
		for _, path := range []string{ackPath, extendPath} {
			body := map[string]any{"ackIds": []string{got[1].AckID, bad}, "ackDeadlineSeconds": 5}
			require.Equal(t, map[string]string{bad: wire.FaultUnknown}, w.faults(400, path, body), bad)
		}
	}
	for _, bad := range []any{`{"ackIds":[]}`, `{}`} {
		w.refused(400, "Invalid ack id", "POST", ackPath, serviceToken, bad)
	}
	w.clock.pass(10 * time.Second)
	require.Equal(t, []string{"0", "1"}, offsetsOf(w.lease(2)), "nothing was done with any")
}

func TestFilteredLeases(t *testing.T) {
	w := newLeased(t, map[string]any{"filter": "lang = 'en' OR n > 5"})
	messages := []map[string]any{}
	for i := range 2000 {
		attributes := map[string]string{"lang": "de"}
		if i%500 == 7 {
			attributes["lang"] = "en"
		}
		messages = append(messages, map[string]any{"data": "", "attributes": attributes})
	}
	w.must("POST", "/projects/P/topics/t:publish", serviceToken, map[string]any{"messages": messages})
	got := w.lease(10)
	require.Equal(t, []string{"7", "507", "1007", "1507"}, offsetsOf(got))
	w.must("POST", ackPath, serviceToken, acks(got...))
	require.Equal(t, uint64(2000), w.offsets().Current, "what nobody wants is passed over")
}

func TestBackoffAndDeadLetters(t *testing.T) {
	w := newLeased(t, map[string]any{
		"deadLetterPolicy": map[string]any{"deadLetterTopic": "projects/P/topics/dead", "maxDeliveryAttempts": 3},
		"retryPolicy":      map[string]any{"minimumBackoff": "10s", "maximumBackoff": "15s"},
	})
	w.must("PUT", "/projects/P/subscriptions/letters", serviceToken, `{"topic":"projects/P/topics/dead"}`)
	w.must("POST", "/projects/P/topics/t:publish", serviceToken, `{"messages":[{"data":"cG9pc29u","attributes":{"a":"b"}}]}`)
	for attempt, rest := range []time.Duration{10 * time.Second, 15 * time.Second, 0} {
		got := w.lease(1)
		require.Equal(t, []string{"0"}, offsetsOf(got))
		require.Equal(t, uint64(attempt+1), got[0].Attempt)
		w.must("POST", extendPath, serviceToken, deadline(0, got[0]))
		if rest > 0 {
			w.clock.pass(rest - time.Second)
			require.Empty(t, w.lease(1), "it rests")
			w.clock.pass(time.Second)
		}
	}
	var dead wire.Pulled
	require.Eventually(t, func() bool {
		w.must("POST", "/projects/P/subscriptions/letters:pull", serviceToken, `{}`, &dead)
		return len(dead.Received) > 0
	}, 10*time.Second, time.Millisecond)
	m := dead.Received[0].Message
	require.Equal(t, "cG9pc29u", m.Data)
	require.Equal(t, "b", m.Attributes["a"])
	require.Equal(t, "3", m.Attributes["CloudPubSubDeadLetterSourceDeliveryCount"])
	require.Equal(t, "s", m.Attributes["CloudPubSubDeadLetterSourceSubscription"])
	require.Equal(t, "P", m.Attributes["CloudPubSubDeadLetterSourceSubscriptionProject"])
	require.NotEmpty(t, m.Attributes["CloudPubSubDeadLetterSourceTopicPublishTime"])
	w.clock.pass(time.Hour)
	require.Empty(t, w.lease(1), "it is gone")
	require.Eventually(t, func() bool { return w.offsets().Current == 1 }, 10*time.Second, 5*time.Millisecond)
}

// keyed publishes messages, each with an ordering key, which may be empty.
func (w *world) keyed(keys ...string) {
	w.t.Helper()
	messages := []map[string]any{}
	for _, k := range keys {
		messages = append(messages, map[string]any{"orderingKey": k})
	}
	w.must("POST", "/projects/P/topics/t:publish", serviceToken, map[string]any{"messages": messages})
}

func TestOrderingKeys(t *testing.T) {
	w := newLeased(t, map[string]any{"enableMessageOrdering": true, "retryPolicy": map[string]any{"minimumBackoff": "5s"}})
	w.keyed("a", "b", "a", "", "a", "b")
	first := w.lease(3)
	require.Equal(t, []string{"0", "1", "2"}, offsetsOf(first))
	require.Equal(t, "a", first[0].Key)
	second := w.lease(9)
	require.Equal(t, []string{"3"}, offsetsOf(second), "the rest of a key waits for what is before it")
	w.must("POST", ackPath, serviceToken, acks(first[1]))
	require.Equal(t, []string{"5"}, offsetsOf(w.lease(9)))
	w.must("POST", extendPath, serviceToken, deadline(0, first[0]))
	require.Equal(t, map[string]string{first[2].AckID: wire.FaultLate}, w.faults(408, ackPath, acks(first[2])), "it came back with the one before it")
	require.Empty(t, w.lease(9), "a key rests as a whole")
	w.clock.pass(5 * time.Second)
	third := w.lease(9)
	require.Equal(t, []string{"0", "2", "4"}, offsetsOf(third))
	require.Equal(t, []uint64{2, 1, 1}, []uint64{third[0].Attempt, third[1].Attempt, third[2].Attempt})
	require.Equal(t, 400, w.ask("POST", "/projects/P/topics/t:publish", serviceToken, `{"messages":[{"orderingKey":"a","attributes":{"JMSXGroupID":"b"}}]}`).code)
	require.Equal(t, 400, w.ask("POST", "/projects/P/topics/t:publish", serviceToken, map[string]any{"messages": []any{map[string]any{"orderingKey": strings.Repeat("k", 1025)}}}).code)
}

func TestASubscriptionIsSetToAnotherPlace(t *testing.T) {
	w := newLeased(t, nil)
	w.publish("t", "0", "1", "2")
	w.clock.pass(time.Hour)
	at := w.clock.Now()
	w.publish("t", "3", "4")
	got := w.lease(5)
	w.must("POST", ackPath, serviceToken, acks(got[:4]...))
	w.must("POST", "/projects/P/subscriptions/s:modifyOffset", serviceToken, `{"offset":1}`)
	again := w.lease(5)
	require.Equal(t, []string{"1", "2", "3", "4"}, offsetsOf(again))
	require.Equal(t, map[string]string{got[4].AckID: wire.FaultSought, got[1].AckID: wire.FaultSought}, w.faults(408, ackPath, acks(got[1], got[4], again[0])))
	seek := "/projects/P/subscriptions/s:seek"
	w.must("POST", seek, serviceToken, map[string]any{"time": at.Format(time.RFC3339Nano)})
	require.Equal(t, []string{"3", "4"}, offsetsOf(w.lease(5)))
	w.must("POST", seek, serviceToken, `{"offset":"0"}`)
	require.Equal(t, []string{"0", "1"}, offsetsOf(w.lease(2)))
	w.must("POST", seek, serviceToken, `{"time":"2100-01-01T00:00:00+01:00"}`)
	require.Empty(t, w.lease(5))
	require.Equal(t, uint64(5), w.offsets().Current)
	for _, bad := range []string{`{}`, `{"time":"yesterday"}`, `{"time":"2100-01-01T00:00:00Z","offset":1}`, `{"offset":6}`, `{"offset":-1}`, `{"offset":"x"}`, `[]`} {
		require.Equal(t, 400, w.ask("POST", seek, serviceToken, bad).code, bad)
	}
}

// Who waits gets what comes, and others at the same time get none of it.
func TestAPullWaits(t *testing.T) {
	w := newLeased(t, nil)
	got := make(chan []wire.Received, 2)
	for range 2 {
		go func() {
			a := w.ask("POST", pullPath, serviceToken, `{"maxMessages":5,"returnImmediately":false}`)
			var p wire.Pulled
			_ = json.Unmarshal([]byte(a.body), &p)
			got <- p.Received
		}()
	}
	all := []string{}
	for i := range 2 {
		w.publish("t", fmt.Sprint(i))
		all = append(all, offsetsOf(<-got)...)
	}
	require.Equal(t, []string{"0", "1"}, all)
}

func TestLeasedSubscriptionsAsTheyAre(t *testing.T) {
	w := newLeased(t, map[string]any{
		"filter": "a = 'b'", "enableMessageOrdering": true, "deadLetterPolicy": map[string]any{"deadLetterTopic": "projects/P/topics/dead"}, "retryPolicy": map[string]any{"minimumBackoff": "1.5s"},
	})
	var s wire.Subscription
	w.must("GET", "/projects/P/subscriptions/s", serviceToken, nil, &s)
	require.Equal(t, &wire.Leased{
		Mode: "leased", Ordered: true, Filter: "a = 'b'", DeadLetter: &wire.DeadLetter{Topic: "/projects/P/topics/dead", Attempts: 5}, Backoff: &wire.Backoff{Least: "1.5s", Most: "600s"},
	}, s.Leased)
	require.NotContains(t, w.ask("GET", "/projects/P/subscriptions/s", serviceToken, nil).body, "secret")
	w.must("PUT", "/projects/P/subscriptions/plain", serviceToken, `{"topic":"projects/P/topics/t"}`)
	require.NotContains(t, w.ask("GET", "/projects/P/subscriptions/plain", serviceToken, nil).body, "mode")
	for _, bad := range []string{
		`"filter":"a='b'"`, `"enableMessageOrdering":true`, `"retryPolicy":{}`, `"deadLetterPolicy":{}`, `"mode":"shared"`, `"mode":5`,
		`"mode":"leased","filter":"a ="`, `"mode":"leased","filter":"` + strings.Repeat(" ", 5000) + `"`, `"mode":"leased","filter":1`,
		`"mode":"leased","ackDeadlineSeconds":601`, `"mode":"leased","ackDeadlineSeconds":0`,
		`"mode":"leased","retryPolicy":{"minimumBackoff":"20s","maximumBackoff":"10s"}`, `"mode":"leased","retryPolicy":{"maximumBackoff":"601s"}`, `"mode":"leased","retryPolicy":{"minimumBackoff":"x"}`,
		`"mode":"leased","retryPolicy":{"minimumBackoff":"-1s"}`, `"mode":"leased","retryPolicy":{"minimumBackoff":"NaN"}`, `"mode":"leased","retryPolicy":{"minimumBackoff":"1e300s"}`,
		`"mode":"leased","deadLetterPolicy":{"deadLetterTopic":"dead"}`, `"mode":"leased","deadLetterPolicy":{"deadLetterTopic":"projects/P/topics/t"}`,
		`"mode":"leased","deadLetterPolicy":{"deadLetterTopic":"projects/Q/topics/dead"}`, `"mode":"leased","deadLetterPolicy":{"deadLetterTopic":"projects/P/topics/dead","maxDeliveryAttempts":0}`,
		`"mode":"leased","deadLetterPolicy":{"deadLetterTopic":"projects/P/topics/dead","maxDeliveryAttempts":101}`,
		`"mode":"leased","pushConfig":{"pushEndpoint":"https://example.org/"}`,
	} {
		a := w.ask("PUT", "/projects/P/subscriptions/bad", serviceToken, `{"topic":"projects/P/topics/t",`+bad+`}`)
		require.Equal(t, 400, a.code, bad+a.body)
	}
	w.refused(404, "Topic doesn't exist", "PUT", "/projects/P/subscriptions/bad", serviceToken, `{"topic":"projects/P/topics/t","mode":"leased","deadLetterPolicy":{"deadLetterTopic":"projects/P/topics/none"}}`)
	w.must("POST", "/projects/P/subscriptions/s:modifyPushConfig", serviceToken, `{}`)
	require.Equal(t, 400, w.ask("POST", "/projects/P/subscriptions/s:modifyPushConfig", serviceToken, `{"pushConfig":{"pushEndpoint":"https://example.org/"}}`).code)
}

func TestLeasesAndTheStoreIsAway(t *testing.T) {
	w := newLeased(t, nil)
	w.publish("t", "0", "1")
	got := w.lease(1)
	away := gateway.Errorf(gateway.Unavailable, "no majority")
	w.registry.Break(away)
	w.refused(503, "Backend Error", "POST", ackPath, serviceToken, acks(got[0]))
	w.refused(503, "Backend Error", "POST", ackPath, serviceToken, acks(got[0])) // what is not durable is not said to be
	w.registry.Break(nil)
	w.must("POST", ackPath, serviceToken, acks(got[0]))
	require.Equal(t, uint64(1), w.offsets().Current)
	w.logs.Break(away)
	w.refused(503, "Backend Error", "POST", pullPath, serviceToken, `{"maxMessages":"5"}`)
	w.logs.Break(nil)
	require.Equal(t, []string{"1"}, offsetsOf(w.lease(5)))
}

// Who is not in the ACL has nothing to do with leases, whatever he knows.
func TestWhoMayHaveLeases(t *testing.T) {
	w := newLeased(t, nil)
	con, other := w.member("con", "consumer"), w.member("other", "consumer")
	w.must("POST", "/projects/P/subscriptions/s:modifyAcl", serviceToken, `{"authorized_users":["con"]}`)
	w.publish("t", "0")
	var got wire.Pulled
	w.must("POST", pullPath, con, `{}`, &got)
	for path, body := range map[string]any{
		pullPath: `{}`, ackPath: acks(got.Received...), extendPath: deadline(0, got.Received...), "/projects/P/subscriptions/s:seek": `{"offset":0}`,
	} {
		w.refused(403, "Access to this resource is forbidden", "POST", path, other, body)
	}
	w.must("POST", ackPath, con, acks(got.Received...))
}

// A topic that is made again is another log; a subscription that is, too, and what was handed out before is nobody's.
func TestLeasesOfWhatIsMadeAgain(t *testing.T) {
	w := newLeased(t, nil)
	w.publish("t", "0", "1")
	got := w.lease(2)
	w.must("POST", ackPath, serviceToken, acks(got[1]))
	w.must("DELETE", "/projects/P/topics/t", serviceToken, nil)
	w.refused(409, "Subscription's topic doesn't exist", "POST", pullPath, serviceToken, `{}`)
	w.refused(409, "Subscription's topic doesn't exist", "POST", ackPath, serviceToken, acks(got[0]))
	w.must("PUT", "/projects/P/topics/t", serviceToken, nil)
	w.publish("t", "new", "newer")
	again := w.lease(5)
	require.Equal(t, []string{"0", "1"}, offsetsOf(again))
	w.must("DELETE", "/projects/P/subscriptions/s", serviceToken, nil)
	w.must("PUT", "/projects/P/subscriptions/s", serviceToken, `{"topic":"projects/P/topics/t","mode":"leased"}`)
	require.Equal(t, 400, w.ask("POST", ackPath, serviceToken, acks(again[0])).code)
	require.Empty(t, w.lease(5))
}

// An ack id of what was in the log before acknowledges nothing in that of the topic that was made again, where nobody has been given anything yet.
func TestAcknowledgementsOfTheLogBefore(t *testing.T) {
	w := newLeased(t, nil)
	w.publish("t", "0", "1")
	got := w.lease(2)
	w.must("DELETE", "/projects/P/topics/t", serviceToken, nil)
	w.must("PUT", "/projects/P/topics/t", serviceToken, nil)
	w.publish("t", "new", "newer")
	require.Equal(t, map[string]string{got[0].AckID: wire.FaultSought, got[1].AckID: wire.FaultSought}, w.faults(408, ackPath, acks(got...)))
	require.Equal(t, []string{"0", "1"}, offsetsOf(w.lease(5)))
}

// Messages of one ordering key that are given back together come again together, and nothing is wrong with any.
func TestAKeyIsGivenBack(t *testing.T) {
	w := newLeased(t, map[string]any{"enableMessageOrdering": true})
	w.keyed("a", "b", "a", "a")
	first := w.lease(4)
	w.must("POST", extendPath, serviceToken, deadline(0, first...))
	again := w.lease(4)
	require.Equal(t, []string{"0", "1", "2", "3"}, offsetsOf(again))
	require.Equal(t, map[string]string{first[2].AckID: wire.FaultLate}, w.faults(408, extendPath, deadline(0, first[2], again[3])), "others have it")
	w.must("POST", ackPath, serviceToken, acks(again[:3]...))
	require.Equal(t, []string{"3"}, offsetsOf(w.lease(4)))
}

// What is too old when it comes back is gone, and does not hold up the rest.
func TestLeasesOfWhatIsTooOld(t *testing.T) {
	w := newWorld(t, func(cfg *pubsub.Config) {
		cfg.Retention = time.Hour
		lending(t, cfg, nil)
	})
	w.must("POST", "/projects/P", serviceToken, map[string]string{"description": ""})
	w.must("PUT", "/projects/P/topics/t", serviceToken, nil)
	w.must("PUT", "/projects/P/subscriptions/s", serviceToken, `{"topic":"projects/P/topics/t","mode":"leased"}`)
	w.publish("t", "0", "1")
	got := w.lease(1)
	w.clock.pass(2 * time.Hour)
	w.publish("t", "2")
	all := w.lease(5)
	require.Equal(t, []string{"2"}, offsetsOf(all[len(all)-1:]))
	w.must("POST", ackPath, serviceToken, acks(append(all, got...)...))
	w.clock.pass(time.Minute)
	require.Empty(t, w.lease(5))
	require.Equal(t, uint64(3), w.offsets().Current)
}
