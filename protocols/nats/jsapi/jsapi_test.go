package jsapi

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRequestsAreTakenApart(t *testing.T) {
	for subject, want := range map[string]Request{
		"$JS.API.INFO":                               {Verb: AccountInfo},
		"$JS.API.STREAM.NAMES":                       {Verb: StreamNames},
		"$JS.API.STREAM.INFO.QUEUES":                 {Verb: StreamInfo, Stream: "QUEUES"},
		"$JS.API.STREAM.MSG.GET.QUEUES":              {Verb: "STREAM.MSG.GET", Stream: "QUEUES"},
		"$JS.API.CONSUMER.CREATE.QUEUES":             {Verb: ConsumerCreate, Stream: "QUEUES"},
		"$JS.API.CONSUMER.CREATE.QUEUES.w":           {Verb: ConsumerCreate, Stream: "QUEUES", Consumer: "w"},
		"$JS.API.CONSUMER.CREATE.QUEUES.w.queue.a.b": {Verb: ConsumerCreate, Stream: "QUEUES", Consumer: "w", Filter: "queue.a.b"},
		"$JS.API.CONSUMER.DURABLE.CREATE.QUEUES.w":   {Verb: ConsumerDurable, Stream: "QUEUES", Consumer: "w"},
		"$JS.API.CONSUMER.MSG.NEXT.QUEUES.w":         {Verb: ConsumerNext, Stream: "QUEUES", Consumer: "w"},
		"$JS.API.CONSUMER.LEADER.STEPDOWN.QUEUES.w":  {Verb: "CONSUMER.LEADER.STEPDOWN", Stream: "QUEUES", Consumer: "w"},
		"$JS.API.DIRECT.GET.KV_x":                    {Verb: DirectGet, Stream: "KV_x"},
		"$JS.API.DIRECT.GET.KV_x.$KV.x.a.b":          {Verb: DirectGet, Stream: "KV_x"},
	} {
		got, ok := ParseRequest(subject)
		require.True(t, ok, subject)
		require.Equal(t, want, got, subject)
	}
	for _, subject := range []string{
		"", "$JS.API", "$JS.API.", "$JS.API.INFO.x", "$JS.API.STREAM.NAMES.x", "$JS.API.STREAM", "$JS.API.STREAM.INFO", "$JS.API.STREAM.INFO.",
		"$JS.API.STREAM.INFO.a.b", "$JS.API.CONSUMER.MSG.NEXT.QUEUES", "$JS.API.CONSUMER.MSG.NEXT.QUEUES.a.b", "$JS.API.CONSUMER.CREATE..w",
		"$JS.API.CONSUMER.FLY.QUEUES.w", "$JS.ACK.x",
	} {
		_, ok := ParseRequest(subject)
		require.False(t, ok, subject)
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"orders", "a-b_c", "Ä", "$x", "%20"} {
		require.True(t, ValidName(name), name)
	}
	for _, name := range []string{"", "a.b", "a*", ">", "a b", "a/b", `a\b`, "a\x00", strings.Repeat("x", 256)} {
		require.False(t, ValidName(name), name)
	}
}

func TestAckSubjects(t *testing.T) {
	d := Delivery{Stream: "QUEUES", Consumer: "orders", Delivered: 2, StreamSeq: 1 << 60, ConsumerSeq: 7, Timestamp: 1234, Pending: 3}
	subject := string(AppendAckSubject(nil, d))
	require.Equal(t, "$JS.ACK.QUEUES.orders.2.1152921504606846976.7.1234.3", subject)
	got, ok := ParseAckSubject(subject)
	require.True(t, ok)
	require.Equal(t, d, got)
	for _, bad := range []string{"", "$JS.ACK.", "$JS.ACK.QUEUES.w.1.2.3.4", subject + ".x", "$JS.ACK.QUEUES.w.1.2.3.4.-5", "$JS.ACK..w.1.2.3.4.5", "$JS.ACK.QUEUES.w.1.2.3.99999999999999999999.5"} {
		_, ok := ParseAckSubject(bad)
		require.False(t, ok, bad)
	}
}

func TestSettlements(t *testing.T) {
	for body, want := range map[string]Settlement{
		"":                                   {Word: Ack},
		"+ACK":                               {Word: Ack},
		"+OK":                                {Word: Ack},
		"-NAK":                               {Word: Nak},
		"-NAK 5s":                            {Word: Nak, Delay: 5 * time.Second},
		`-NAK {"delay": 2000000}`:            {Word: Nak, Delay: 2 * time.Millisecond},
		"-NAK -5s":                           {Word: Nak},
		`-NAK {"delay":9000000000000000000}`: {Word: Nak, Delay: LongestDelay},
		"+WPI":                               {Word: InProgress},
		"+TERM":                              {Word: Term},
		"+TERM it is broken":                 {Word: Term},
	} {
		got, ok := ParseSettlement([]byte(body))
		require.True(t, ok, body)
		require.Equal(t, want, got, body)
	}
	next, ok := ParseSettlement([]byte(`+NXT {"batch":5}`))
	require.True(t, ok)
	require.Equal(t, AckNext, next.Word)
	require.Equal(t, `{"batch":5}`, string(next.Next))
	for _, body := range []string{"ACK", "+ACKS", "+ACK x", "-NAK soon", "-NAK {", "no"} {
		_, ok := ParseSettlement([]byte(body))
		require.False(t, ok, body)
	}
}

func TestPullRequests(t *testing.T) {
	for body, want := range map[string]Pull{
		"":    {Batch: 1},
		" 7 ": {Batch: 7},
		"{}":  {Batch: 1},
		`{"batch":10,"expires":1000000000,"no_wait":true,"max_bytes":100}`: {Batch: 10, Expires: time.Second, NoWait: true, MaxBytes: 100},
		`{"expires":1000000000,"idle_heartbeat":1}`:                        {Batch: 1, Expires: time.Second, Heartbeat: shortestHeartbeat},
	} {
		got, err := ParsePull([]byte(body))
		require.NoError(t, err, body)
		require.Equal(t, want, got, body)
	}
	for _, body := range []string{"x", "{", "-1", `{"batch":-1}`, `{"expires":-1}`, `{"group":"g"}`, `{"idle_heartbeat":5,"no_wait":true}`, `{"expires":10,"idle_heartbeat":6}`, `{"batch":1e99}`} {
		_, err := ParsePull([]byte(body))
		require.Error(t, err, body)
	}
}

func TestConfigurationsAreCompleted(t *testing.T) {
	r, err := ParseCreate([]byte(`{"stream_name":"QUEUES","config":{"durable_name":"w","deliver_policy":"all","ack_policy":"explicit","filter_subject":"queue.a","replay_policy":"instant","num_replicas":0},"action":"create"}`))
	require.NoError(t, err)
	require.Equal(t, ActionCreate, r.Action)
	c, filter, err := r.Config.Complete()
	require.NoError(t, err)
	require.Equal(t, "queue.a", filter)
	require.Equal(t, Config{
		Durable: "w", Name: "w", DeliverPolicy: "all", AckPolicy: "explicit", ReplayPolicy: "instant", FilterSubject: "queue.a",
		AckWait: 30 * time.Second, MaxDeliver: -1, MaxAckPending: 1000, MaxWaiting: 512,
	}, c)
	again, _, err := c.Complete()
	require.NoError(t, err)
	require.Equal(t, c, again, "a complete one stays as it is")
	c.BackOff = []time.Duration{time.Second, time.Minute}
	require.Equal(t, []time.Duration{time.Second, time.Second, time.Minute, time.Minute}, []time.Duration{c.Wait(0), c.Wait(1), c.Wait(2), c.Wait(9)})
}

func TestWhatAQueueCannotDoIsRefusedInWords(t *testing.T) {
	for config, reason := range map[string]string{
		`{}`: "needs a filter subject",
		`{"filter_subjects":["queue.a","queue.b"]}`:                         "several filter subjects",
		`{"filter_subject":"queue.*"}`:                                      "wildcards",
		`{"filter_subject":"queue.a","deliver_subject":"x"}`:                "push consumers",
		`{"filter_subject":"queue.a","ack_policy":"none"}`:                  "ack policy explicit",
		`{"filter_subject":"queue.a","ack_policy":"all"}`:                   "ack policy explicit",
		`{"filter_subject":"queue.a","deliver_policy":"new"}`:               "deliver policy all",
		`{"filter_subject":"queue.a","opt_start_seq":5}`:                    "deliver policy all",
		`{"filter_subject":"queue.a","replay_policy":"original"}`:           "replay policy instant",
		`{"filter_subject":"queue.a","headers_only":true}`:                  "headers only",
		`{"filter_subject":"queue.a","priority_groups":["x"]}`:              "priority groups",
		`{"filter_subject":"queue.a","num_replicas":3}`:                     "replicas",
		`{"filter_subject":"queue.a","ack_wait":-1}`:                        "below zero",
		`{"filter_subject":"queue.a","backoff":[1]}`:                        "below 100 ms",
		`{"filter_subject":"queue.a","sample_freq":"100%"}`:                 "sampling",
		`{"filter_subject":"queue.a","pause_until":"2030-01-01T00:00:00Z"}`: "pausing",
	} {
		r, err := ParseCreate([]byte(`{"config":` + config + `}`))
		require.NoError(t, err, config)
		_, _, err = r.Config.Complete()
		require.ErrorContains(t, err, reason, config)
	}
	for _, body := range []string{"", "x", "{}{}", `{"config":{"new_feature":1}}`, `{"action":"destroy"}`} {
		_, err := ParseCreate([]byte(body))
		require.ErrorIs(t, err, ErrJSON, body)
	}
}

// The connection whose subscription says most exactly what it wants to hear is the one that asked.
func TestTraces(t *testing.T) {
	report := func(events string) []byte {
		return []byte(`{"server":{"name":"n1","id":"s1"},"events":[{"type":"in","kind":0,"cid":3,"acc":"USERS","subj":"_INBOX.x.1"}` + events + `]}`)
	}
	for _, c := range []struct {
		events string
		id     uint64
	}{
		{`,{"type":"eg","kind":0,"cid":7,"sub":"_INBOX.x.1"}`, 7},
		{`,{"type":"eg","kind":0,"cid":9,"sub":">"},{"type":"eg","kind":0,"cid":7,"sub":"_INBOX.x.*"},{"type":"eg","kind":0,"cid":8,"sub":"_INBOX.>"}`, 7},
		{`,{"type":"eg","kind":0,"cid":7,"sub":"_INBOX.x.1"},{"type":"eg","kind":0,"cid":8,"sub":"_INBOX.x.1"}`, 8},
		{`,{"type":"eg","kind":1,"cid":9,"sub":">"},{"type":"eg","kind":0,"cid":7,"sub":"_INBOX.x.*"}`, 7},
		{`,{"type":"se","acc":"INBOUND"},{"type":"eg","kind":0,"cid":6,"sub":">"}`, 6},
	} {
		r, ok := ParseTrace(report(c.events))
		require.True(t, ok)
		require.Equal(t, "s1", r.Server.ID)
		id, ok := r.Connection("_INBOX.x.1")
		require.True(t, ok, c.events)
		require.Equal(t, c.id, id, c.events)
	}
	for _, bad := range [][]byte{report(""), nil, []byte("x"), report(`,{"type":"eg","kind":1,"cid":7,"sub":"_INBOX.x.1"}`),
		report(`,{"type":"eg","kind":0,"cid":7,"sub":">"},{"type":"eg","kind":0,"cid":8,"sub":"_INBOX.>"},{"type":"eg","kind":1,"cid":9,"sub":"_INBOX.x.1"}`)} {
		r, _ := ParseTrace(bad)
		_, ok := r.Connection("_INBOX.x.1")
		require.False(t, ok)
	}
}

func TestPages(t *testing.T) {
	all := []int{1, 2, 3, 4, 5}
	for _, c := range []struct {
		offset int
		want   []int
	}{{0, []int{1, 2}}, {4, []int{5}}, {9, []int{}}, {-1, []int{1, 2}}} {
		page, p := Page(all, c.offset, 2)
		require.Equal(t, c.want, append([]int{}, page...))
		require.Equal(t, 5, p.Total)
	}
	l, err := ParseList([]byte(`{"offset":3,"subject":"queue.a"}`))
	require.NoError(t, err)
	require.Equal(t, List{3, "queue.a"}, l)
	_, err = ParseList([]byte(`[]`))
	require.ErrorIs(t, err, ErrJSON)
}
