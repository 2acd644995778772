package pubsub_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// stocked is a world with a project P, a topic t with so many messages, and a subscription s that was made before them.
func stocked(t testing.TB, messages int, change func(*pubsub.Config)) *world {
	w := newWorld(t, change)
	w.must("POST", "/projects/P", serviceToken, map[string]string{"description": ""})
	w.must("PUT", "/projects/P/topics/t", serviceToken, nil)
	w.must("PUT", "/projects/P/subscriptions/s", serviceToken, map[string]any{"topic": "projects/P/topics/t"})
	for i := range messages {
		w.publish("t", fmt.Sprint(i))
	}
	return w
}

func (w *world) publish(topic string, data ...string) []string {
	w.t.Helper()
	var request wire.PublishRequest
	for _, d := range data {
		request.Messages = append(request.Messages, wire.MessageRequest{Data: d})
	}
	var got wire.Published
	w.must("POST", "/projects/P/topics/"+topic+":publish", serviceToken, map[string]any{"messages": messagesOf(request)}, &got)
	return got.IDs
}

func messagesOf(r wire.PublishRequest) (all []map[string]any) {
	for _, m := range r.Messages {
		all = append(all, map[string]any{"data": m.Data, "attributes": m.Attributes})
	}
	return all
}

// pull returns the offsets that came.
func (w *world) pull(most int) []string {
	w.t.Helper()
	var got wire.Pulled
	w.must("POST", "/projects/P/subscriptions/s:pull", serviceToken, map[string]any{"maxMessages": fmt.Sprint(most)}, &got)
	ids := []string{}
	for _, m := range got.Received {
		require.Equal(w.t, "projects/P/subscriptions/s:"+m.Message.ID, m.AckID)
		ids = append(ids, m.Message.ID)
	}
	return ids
}

const ackPath = "/projects/P/subscriptions/s:acknowledge"

func ids(offsets ...int) map[string]any {
	all := []string{}
	for _, o := range offsets {
		all = append(all, fmt.Sprint("projects/P/subscriptions/s:", o))
	}
	return map[string]any{"ackIds": all}
}

func (w *world) offsets() wire.Offsets {
	w.t.Helper()
	var o wire.Offsets
	w.must("GET", "/projects/P/subscriptions/s:offsets", serviceToken, nil, &o)
	return o
}

func TestAcknowledgementsAreCumulative(t *testing.T) {
	w := stocked(t, 6, nil)
	require.Equal(t, []string{"0", "1", "2"}, w.pull(3))
	require.Equal(t, []string{"0", "1", "2"}, w.pull(3), "what is not acknowledged comes again, at once")
	w.must("POST", ackPath, serviceToken, ids(0, 1))
	require.Equal(t, uint64(2), w.offsets().Current)
	w.must("POST", ackPath, serviceToken, ids(1), new(struct{}))
	w.must("POST", ackPath, serviceToken, ids(0))
	require.Equal(t, uint64(2), w.offsets().Current, "a request that is made twice does no harm")
	w.refused(500, "no ack pending", "POST", ackPath, serviceToken, ids(2))
	require.Equal(t, []string{"2", "3"}, w.pull(2))
	w.must("POST", ackPath, serviceToken, ids(1), new(struct{})) // of before: the pull stays as it is
	w.refused(500, "wrong ack", "POST", ackPath, serviceToken, ids(4))
	w.must("POST", ackPath, serviceToken, ids(3))
	require.Equal(t, wire.Offsets{Max: 6, Min: 0, Current: 4}, w.offsets())
	for _, bad := range []any{ids(), `{"ackIds":["x"]}`, `{"ackIds":["projects/P/subscriptions/s:-1"]}`, `{"ackIds":["projects/P/subscriptions/s:+5"]}`,
		`{"ackIds":["projects/P/subscriptions/s:99999999999999999999"]}`, `{"ackIds":["projects/Q/subscriptions/s:5"]}`} {
		w.refused(400, "Invalid ack id", "POST", ackPath, serviceToken, bad)
	}
}

func TestALateAcknowledgement(t *testing.T) {
	w := stocked(t, 3, nil)
	w.must("POST", "/projects/P/subscriptions/s:modifyAckDeadline", serviceToken, `{"ackDeadlineSeconds":"5"}`)
	w.pull(2)
	w.clock.pass(6 * time.Second)
	w.refused(http.StatusRequestTimeout, "ack timeout", "POST", ackPath, serviceToken, ids(1))
	require.Zero(t, w.offsets().Current)
	require.Equal(t, []string{"0", "1"}, w.pull(2), "another pull begins anew")
	w.clock.pass(5900 * time.Millisecond)
	w.must("POST", ackPath, serviceToken, ids(1)) // whole seconds count
}

func TestAnOffsetIsMoved(t *testing.T) {
	w := stocked(t, 4, nil)
	w.pull(4)
	w.must("POST", ackPath, serviceToken, ids(3))
	require.Empty(t, w.pull(1))
	move := func(to any) answer {
		return w.ask("POST", "/projects/P/subscriptions/s:modifyOffset", serviceToken, map[string]any{"offset": to})
	}
	require.Equal(t, answer{200, "application/json; charset=utf-8", ""}, move(1))
	require.Equal(t, []string{"1", "2"}, w.pull(2), "replayed")
	require.Equal(t, 200, move("0").code)
	w.refused(500, "no ack pending", "POST", ackPath, serviceToken, ids(2))
	for _, bad := range []any{-1, 5, 999} {
		require.Equal(t, 400, move(bad).code)
	}
	for _, bad := range []any{"x", 1.5, nil, []int{1}} {
		require.Contains(t, move(bad).body, "Invalid Offset Arguments")
	}
	require.Zero(t, w.offsets().Current)
}

func TestWhatIsTooOldIsPassedOver(t *testing.T) {
	w := stocked(t, 2, func(cfg *pubsub.Config) { cfg.Retention = time.Hour })
	w.clock.pass(2 * time.Hour)
	w.publish("t", "2")
	require.Equal(t, wire.Offsets{Max: 3, Min: 2, Current: 2}, w.offsets())
	require.Equal(t, []string{"2"}, w.pull(5))
	w.must("POST", ackPath, serviceToken, ids(2))
	w.clock.pass(2 * time.Hour)
	require.Equal(t, wire.Offsets{Max: 3, Min: 3, Current: 3}, w.offsets())
}

// A topic's messages stay as long as is asked for it, also those that are there when it is asked.
func TestATopicHasARetentionOfItsOwn(t *testing.T) {
	w := stocked(t, 2, func(cfg *pubsub.Config) { cfg.Retention = time.Hour })
	require.NotContains(t, w.ask("GET", "/projects/P/topics/t", serviceToken, nil).body, "messageRetentionDuration", "it has the usual one")
	for _, bad := range []any{"59s", "2678401s", "-1s", "x", true, []int{1}} {
		for _, ask := range [][2]string{{"PUT", "/projects/P/topics/n"}, {"POST", "/projects/P/topics/t:modifyRetention"}} {
			require.Equal(t, 400, w.ask(ask[0], ask[1], serviceToken, map[string]any{"messageRetentionDuration": bad}).code, "%v", bad)
		}
	}
	w.refused(404, "Topic doesn't exist", "POST", "/projects/P/topics/none:modifyRetention", serviceToken, `{"messageRetentionDuration":"60s"}`)
	require.Contains(t, w.ask("PUT", "/projects/P/topics/n", serviceToken, `{"messageRetentionDuration":"90s"}`).body, `"messageRetentionDuration": "90s"`)
	w.must("POST", "/projects/P/topics/t:modifyRetention", serviceToken, `{"messageRetentionDuration":"10800s"}`)
	w.clock.pass(2 * time.Hour)
	w.publish("t", "2")
	require.Equal(t, wire.Offsets{Max: 3}, w.offsets(), "the first two are there")
	require.Contains(t, w.ask("GET", "/projects/P/topics/t", serviceToken, nil).body, `"messageRetentionDuration": "10800s"`)
	w.must("POST", "/projects/P/topics/t:modifyRetention", serviceToken, `{"messageRetentionDuration":3600}`)
	require.Equal(t, wire.Offsets{Max: 3, Min: 2, Current: 2}, w.offsets())
	require.NotContains(t, w.ask("GET", "/projects/P/topics/t", serviceToken, nil).body, "messageRetentionDuration")
}

func TestATopicThatIsMadeAgain(t *testing.T) {
	w := stocked(t, 3, nil)
	w.pull(2)
	w.must("POST", ackPath, serviceToken, ids(1))
	w.must("DELETE", "/projects/P/topics/t", serviceToken, nil)
	w.refused(409, "Subscription's topic doesn't exist", "POST", "/projects/P/subscriptions/s:pull", serviceToken, "{}")
	w.refused(409, "Subscription's topic doesn't exist", "GET", "/projects/P/subscriptions/s:offsets", serviceToken, nil)
	w.refused(404, "Topic doesn't exist", "POST", "/projects/P/topics/t:publish", serviceToken, `{"messages":[{"data":""}]}`)
	w.must("PUT", "/projects/P/topics/t", serviceToken, nil)
	require.Equal(t, []string{"0"}, w.publish("t", "new"))
	require.Equal(t, []string{"0"}, w.pull(5))
}

// Another node, or this one after a restart, knows of no pull: it takes an acknowledgement of anything that is there.
func TestAnAcknowledgementComesToAnotherNode(t *testing.T) {
	w := stocked(t, 3, nil)
	w.pull(2)
	other := *w
	directory, err := resource.Open(t.Context(), resource.Config{Facts: w.disk.Registry(), Shared: true, Now: w.clock.Now})
	require.NoError(t, err)
	other.open(pubsub.Config{
		Address: "127.0.0.1:0", Broker: w.broker, Directory: directory, Logs: w.logs, ServiceToken: serviceToken, Now: w.clock.Now, Shared: true,
	})
	w.clock.pass(time.Hour)
	other.refused(500, "wrong ack", "POST", ackPath, serviceToken, ids(3))
	other.must("POST", ackPath, serviceToken, ids(1))
	require.Equal(t, uint64(2), w.offsets().Current, "and this one knows")
	require.Equal(t, []string{"2"}, w.pull(5))
	w.must("POST", ackPath, serviceToken, ids(2))
	require.Empty(t, other.pull(5))

	w.clock.pass(time.Minute)
	after := *w
	after.open(pubsub.Config{Address: "127.0.0.1:0", Broker: w.broker, Directory: w.directory, Logs: w.logs, ServiceToken: serviceToken, Now: w.clock.Now})
	w.publish("t", "3")
	after.must("POST", ackPath, serviceToken, ids(3))
}

// A node that has been asked for messages before does not take what another one has handed out since for that.
func TestAnAcknowledgementOfAnothersPull(t *testing.T) {
	w := stocked(t, 9, func(cfg *pubsub.Config) { cfg.Shared = true })
	directory, err := resource.Open(t.Context(), resource.Config{Facts: w.disk.Registry(), Shared: true, Now: w.clock.Now})
	require.NoError(t, err)
	other := *w
	other.open(pubsub.Config{
		Address: "127.0.0.1:0", Broker: w.broker, Directory: directory, Logs: w.logs, ServiceToken: serviceToken, Now: w.clock.Now, Shared: true,
	})
	require.Equal(t, []string{"0", "1"}, w.pull(2))
	w.must("POST", ackPath, serviceToken, ids(1))
	require.Equal(t, []string{"2", "3"}, other.pull(2))
	w.must("POST", ackPath, serviceToken, ids(3)) // its own pull was acknowledged
	require.Equal(t, []string{"4", "5"}, w.pull(2))
	other.must("POST", ackPath, serviceToken, ids(5))
	require.Equal(t, []string{"6", "7"}, other.pull(2))
	w.clock.pass(time.Minute)
	require.Equal(t, []string{"6", "7"}, other.pull(2))
	w.must("POST", ackPath, serviceToken, ids(7)) // its own pull ended before
	w.refused(500, "wrong ack", "POST", ackPath, serviceToken, ids(9))
	require.Equal(t, uint64(8), w.offsets().Current)
	require.Equal(t, []string{"8"}, w.pull(2))
	w.clock.pass(time.Minute)
	w.refused(http.StatusRequestTimeout, "ack timeout", "POST", ackPath, serviceToken, ids(8))
}

// What a node cannot remember does not keep anybody from acknowledging.
func TestAnAcknowledgementOfAPullThatWasForgotten(t *testing.T) {
	w := stocked(t, 2, nil)
	w.refused(500, "no ack pending", "POST", ackPath, serviceToken, ids(0))
	w.pull(1)
	w.door.PullOthers()
	w.must("POST", ackPath, serviceToken, ids(0))
}

// What was pulled of a topic does not acknowledge what is in another one of its name.
func TestAnAcknowledgementOfATopicThatIsMadeAgain(t *testing.T) {
	w := stocked(t, 3, nil)
	w.pull(2)
	w.must("DELETE", "/projects/P/topics/t", serviceToken, nil)
	w.must("PUT", "/projects/P/topics/t", serviceToken, nil)
	w.publish("t", "new", "newer")
	w.refused(500, "no ack pending", "POST", ackPath, serviceToken, ids(1))
	require.Equal(t, []string{"0", "1"}, w.pull(5))
	w.must("POST", ackPath, serviceToken, ids(1))
}

// However long a deadline is, it is not over at once.
func TestALongDeadline(t *testing.T) {
	w := stocked(t, 0, nil)
	w.must("PUT", "/projects/P/subscriptions/long", serviceToken, `{"topic":"projects/P/topics/t","ackDeadlineSeconds":9223372037}`)
	w.publish("t", "0")
	w.must("POST", "/projects/P/subscriptions/long:pull", serviceToken, `{}`)
	w.must("POST", "/projects/P/subscriptions/long:acknowledge", serviceToken, `{"ackIds":["projects/P/subscriptions/long:0"]}`)
}

func TestTheStoreIsAway(t *testing.T) {
	w := stocked(t, 3, nil)
	w.pull(2)
	away := gateway.Errorf(gateway.Unavailable, "no majority")
	w.registry.Break(away)
	for _, r := range [][3]string{
		{"POST", "/projects/Q", `{"description":""}`}, {"PUT", "/projects/P/topics/u", ""}, {"POST", ackPath, `{"ackIds":["projects/P/subscriptions/s:1"]}`},
		{"POST", "/users/u", `{"email":""}`}, {"DELETE", "/projects/P/topics/t", ""},
	} {
		w.refused(503, "Backend Error", r[0], r[1], serviceToken, r[2])
	}
	w.registry.Break(nil)
	w.logs.Break(away)
	for _, path := range []string{"topics/t:publish", "subscriptions/s:pull"} {
		w.refused(503, "Backend Error", "POST", "/projects/P/"+path, serviceToken, `{"messages":[{"data":""}]}`)
	}
	w.refused(503, "Backend Error", "GET", "/projects/P/subscriptions/s:offsets", serviceToken, nil)
	w.logs.Break(nil)
	w.must("POST", ackPath, serviceToken, ids(1))
}

// A node that has lost the others tries for as long as it is let: clients hear that it does not go, and that what cannot be found now is not gone.
func TestNobodyWaitsForEverForTheStore(t *testing.T) {
	w := stocked(t, 2, nil)
	others := w.disk.Registry()
	directory, err := resource.Open(t.Context(), resource.Config{Facts: others, Shared: true, Now: w.clock.Now})
	require.NoError(t, err)
	w.open(pubsub.Config{
		Address: "127.0.0.1:0", Broker: w.broker, Directory: directory, Logs: w.logs, ServiceToken: serviceToken, Now: w.clock.Now, Shared: true, Patience: 100 * time.Millisecond,
	})
	w.pull(2)
	others.Stall(true)
	away := [][4]string{
		{serviceToken, "POST", "/projects/Q", `{"description":""}`}, {serviceToken, "PUT", "/projects/P", `{"description":"x"}`}, {serviceToken, "DELETE", "/projects/P", ""},
		{serviceToken, "PUT", "/projects/P/topics/u", ""}, {serviceToken, "DELETE", "/projects/P/topics/t", ""}, {serviceToken, "POST", "/projects/P/topics/t:modifyAcl", `{"authorized_users":[]}`},
		{serviceToken, "PUT", "/projects/P/subscriptions/u", `{"topic":"projects/P/topics/t"}`}, {serviceToken, "DELETE", "/projects/P/subscriptions/s", ""},
		{serviceToken, "POST", ackPath, `{"ackIds":["projects/P/subscriptions/s:1"]}`}, {serviceToken, "POST", "/projects/P/subscriptions/s:modifyOffset", `{"offset":1}`},
		{serviceToken, "POST", "/users/u", `{"email":""}`}, {serviceToken, "POST", "/projects/P/members/u", `{}`},
		{serviceToken, "GET", "/projects/P/topics/unknown", ""}, {serviceToken, "GET", "/projects/unknown/topics", ""}, {strings.Repeat("5ec8e7a0", 8), "GET", "/users/profile", ""},
	}
	for _, r := range away {
		w.refused(503, "Backend Error", r[1], r[2], r[0], r[3])
	}
	w.must("GET", "/projects/P/topics/t", serviceToken, nil)
	w.publish("t", "goes by another way")
	require.Len(t, w.pull(9), 3, "what is known is served")
	others.Stall(false)
	w.refused(404, "Topic doesn't exist", "GET", "/projects/P/topics/unknown", serviceToken, nil)
	w.refused(401, "Unauthorized", "GET", "/users/profile", away[len(away)-1][0], nil)
	w.must("POST", ackPath, serviceToken, ids(1))
}

func TestDataComesBackAsItWas(t *testing.T) {
	w := stocked(t, 0, nil)
	all := []string{"", "aGVsbG8=", "***not b64", "aGVsbG9=", "aGVs\nbG8=", "plain text", "AAECAw==", strings.Repeat("QUJD", 100_000), "ü", "a", "===="}
	w.publish("t", all...)
	var got wire.Pulled
	w.must("POST", "/projects/P/subscriptions/s:pull", serviceToken, `{"maxMessages":100}`, &got)
	require.Len(t, got.Received, len(all))
	for i, m := range got.Received {
		require.Equal(t, all[i], m.Message.Data)
		require.Empty(t, m.Message.Attributes)
	}
	attributes := `{"q":"say \"x\" \\n","ü":"☃\u0000","a":"","z":"<&>"}`
	w.must("POST", "/projects/P/topics/t:publish", serviceToken, `{"messages":[{"attributes":`+attributes+`}]}`)
	w.must("POST", ackPath, serviceToken, ids(len(all)-1))
	a := w.ask("POST", "/projects/P/subscriptions/s:pull", serviceToken, `{}`)
	var again wire.Pulled
	w.must("POST", "/projects/P/subscriptions/s:pull", serviceToken, `{}`, &again)
	require.Equal(t, map[string]string{"q": `say "x" \n`, "ü": "☃\x00", "a": "", "z": "<&>"}, again.Received[0].Message.Attributes)
	require.Regexp(t, `(?s)"a".*"q".*"z".*"ü"`, a.body, "in the order of their names")
	for _, bad := range []string{`{"messages":[{"attributes":{"":"x"}}]}`, `{"messages":[{"attributes":{"pubsub-data":"text"}}]}`, `{"messages":[{"attributes":{"a":1}}]}`, `{"messages":[{"data":5}]}`} {
		w.refused(400, "Invalid Message Arguments", "POST", "/projects/P/topics/t:publish", serviceToken, bad)
	}
}
