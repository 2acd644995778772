package nats_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// No stream gets at subjects of ours, reads others' streams, or publishes where its owner could not.
func TestStreamsThatReachTooFar(t *testing.T) {
	h := newHouse(t, options{})
	makeStream(t, h.jetStreamOf("store"), jetstream.StreamConfig{Name: "Q_00", Subjects: []string{"q.>"}})
	js := h.jetStream()
	makeStream(t, js, jetstream.StreamConfig{Name: "FINE", Subjects: []string{"fine.>"}})
	type change = func(*jetstream.StreamConfig)
	subjects := func(s ...string) change { return func(c *jetstream.StreamConfig) { c.Subjects = s } }
	source := func(s jetstream.StreamSource) change {
		return func(c *jetstream.StreamConfig) { c.Subjects, c.Sources = nil, []*jetstream.StreamSource{&s} }
	}
	republish := func(to string) change {
		return func(c *jetstream.StreamConfig) { c.RePublish = &jetstream.RePublish{Source: ">", Destination: to} }
	}
	transform := func(to string) change {
		return func(c *jetstream.StreamConfig) {
			c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: "x.*.*", Destination: to}
		}
	}
	for name, c := range map[string]struct {
		change change
		want   string
	}{
		"everything":            {subjects(">"), "subjects overlap"},
		"first token":           {subjects("*.orders"), "subjects overlap"},
		"queues":                {subjects("x", "queue.>"), "subjects overlap"},
		"a queue":               {subjects("queue.orders"), "subjects overlap"},
		"a token of queues":     {subjects("*.>"), "subjects overlap"},
		"topics":                {subjects("topic.a.*"), "subjects overlap"},
		"the node's":            {subjects("sluice.n1.$JS.>"), "subjects overlap"},
		"the API":               {subjects("$JS.API.>"), "subjects overlap"},
		"acknowledgements":      {subjects("$JS.ACK.>"), "subjects overlap"},
		"the system":            {subjects("$SYS.>"), "subjects overlap"},
		"inboxes":               {subjects("_INBOX.>"), "subjects overlap"},
		"hidden inboxes":        {subjects("_R_.>"), "subjects overlap"},
		"republish":             {republish("queue.orders"), "republish"},
		"republish all":         {republish(">"), "republish"},
		"republish somewhere":   {republish("{{wildcard(1)}}.{{wildcard(2)}}"), "republish"},
		"republish a token":     {republish("$1.x"), "republish"},
		"republish to the API":  {republish("$JS.API.STREAM.DELETE.X"), "republish"},
		"republish to system":   {republish("$SYS.REQ.SERVER.PING"), "republish"},
		"transform":             {transform("queue.{{wildcard(1)}}.{{wildcard(2)}}"), "transform"},
		"transform somewhere":   {transform("{{wildcard(1)}}.{{wildcard(2)}}"), "transform"},
		"mirror of the queues":  {func(c *jetstream.StreamConfig) { c.Subjects, c.Mirror = nil, &jetstream.StreamSource{Name: "QUEUES"} }, "no stream of messages"},
		"source of the topics":  {source(jetstream.StreamSource{Name: "TOPICS"}), "no stream of messages"},
		"another account":       {source(jetstream.StreamSource{Name: "Q_00", External: &jetstream.ExternalStream{APIPrefix: "sluice.n1.$JS.API"}}), "other accounts"},
		"another domain":        {source(jetstream.StreamSource{Name: "Q_00", Domain: "hub"}), "other accounts"},
		"transform of a source": {source(jetstream.StreamSource{Name: "FINE", SubjectTransforms: []jetstream.SubjectTransformConfig{{Source: "fine.>", Destination: "queue.>"}}}), "transform"},
	} {
		cfg := jetstream.StreamConfig{Name: "BAD", Subjects: []string{"x.>"}}
		c.change(&cfg)
		_, err := js.CreateStream(ctx(t), cfg)
		require.ErrorContains(t, err, c.want, name)
		var refusal *jetstream.APIError
		require.ErrorAs(t, err, &refusal, name)
		cfg.Name = "FINE"
		_, err = js.UpdateStream(ctx(t), cfg)
		require.ErrorContains(t, err, c.want, name)
	}
	for _, name := range []string{"QUEUES", "TOPICS"} {
		_, err := js.CreateStream(ctx(t), jetstream.StreamConfig{Name: name, Subjects: []string{"y"}})
		require.Error(t, err, name)
	}
	// Ours are not there, whatever is asked.
	for _, ask := range []string{
		"STREAM.INFO.Q_00", "STREAM.DELETE.Q_00", "STREAM.PURGE.Q_00", "STREAM.MSG.GET.Q_00", "STREAM.MSG.DELETE.Q_00", "CONSUMER.NAMES.Q_00", "CONSUMER.LIST.Q_00",
		"CONSUMER.INFO.Q_00.x", "CONSUMER.DELETE.Q_00.x", "STREAM.SNAPSHOT.Q_00", "STREAM.RESTORE.Q_00", "STREAM.PEER.REMOVE.Q_00",
	} {
		m := natsgo.NewMsg("$JS.API." + ask)
		m.Data = []byte(`{"seq":1,"no_erase":true}`)
		m.Header.Set("Nats-Request-Info", `{"acc":"SLUICE"}`)
		answer, err := js.Conn().RequestMsgWithContext(ctx(t), m)
		require.NoError(t, err, ask)
		require.Contains(t, string(answer.Data), `"error":`, ask)
	}
	for _, ask := range []string{"META.LEADER.STEPDOWN", "SERVER.REMOVE", "ACCOUNT.PURGE.SLUICE", "CONSUMER.MSG.NEXT.Q_00.c", "DIRECT.GET.Q_00", "FLY.ME"} {
		_, err := js.Conn().RequestWithContext(ctx(t), "$JS.API."+ask, nil)
		require.ErrorIs(t, err, natsgo.ErrNoResponders, ask)
	}
	_, err := h.jetStreamOf("store").Stream(ctx(t), "Q_00")
	require.NoError(t, err)
}

// What is said twice in a request counts once: what was looked at is what the server gets.
func TestRequestsThatSayThingsTwice(t *testing.T) {
	h := newHouse(t, options{})
	js := h.jetStream()
	for i, body := range []string{
		`{"name":"S%d","subjects":["queue.>"],"subjects":["s%[1]d"]}`,
		`{"name":"S%d","Subjects":["queue.>"],"subjects":["s%[1]d"],"RePublish":{"dest":"queue.a"},"republish":null}`,
		`{"name":"S%d","subjects":["s%[1]d"]}{"name":"S%[1]d","subjects":["queue.>"]}`,
		`{"name":"S%d","subjects":["s%[1]d"],"sources":[{"name":"X","external":{"api":"a.b"}}],"sources":[]}`,
	} {
		_, err := js.Conn().RequestWithContext(ctx(t), fmt.Sprintf("$JS.API.STREAM.CREATE.S%d", i), fmt.Appendf(nil, body, i))
		require.NoError(t, err)
		s, err := js.Stream(ctx(t), fmt.Sprintf("S%d", i))
		if err != nil {
			require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
			continue
		}
		require.Equal(t, []string{fmt.Sprintf("s%d", i)}, s.CachedInfo().Config.Subjects)
		require.Nil(t, s.CachedInfo().Config.RePublish)
		require.Empty(t, s.CachedInfo().Config.Sources)
	}
}

// A consumer pushes to no queue.
func TestConsumersThatReachTooFar(t *testing.T) {
	h := newHouse(t, options{})
	js := h.jetStream()
	makeStream(t, js, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}})
	for _, to := range []string{"queue.a", "topic.a", "$JS.API.STREAM.DELETE.S", "$SYS.x", "sluice.n1.queue.a", "$JS.ACK.QUEUES.w.1.1.1.1.1"} {
		for _, subject := range []string{"CONSUMER.CREATE.S.c", "CONSUMER.DURABLE.CREATE.S.c", "CONSUMER.CREATE.S"} {
			cfg := map[string]any{"deliver_subject": to, "ack_policy": "explicit"}
			switch {
			case strings.Contains(subject, "DURABLE"):
				cfg["durable_name"] = "c"
			case strings.HasSuffix(subject, ".c"):
				cfg["name"] = "c"
			}
			body, err := json.Marshal(map[string]any{"stream_name": "S", "config": cfg})
			require.NoError(t, err)
			m, err := js.Conn().RequestWithContext(ctx(t), "$JS.API."+subject, body)
			require.NoError(t, err)
			require.Contains(t, string(m.Data), "is not a client's own", "%s to %s", subject, to)
		}
	}
}

// Who has the server say something, by asking for messages with the subject of a request in the place of an inbox, says no more
// than a client can.
func TestTheServerSaysNoMoreThanClients(t *testing.T) {
	h := newHouse(t, options{})
	js := h.jetStream()
	nc := js.Conn()
	s := makeStream(t, js, jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}})
	body, err := json.Marshal(map[string]any{"name": "EVIL", "subjects": []string{"queue.>"}})
	require.NoError(t, err)
	evil, err := json.Marshal(map[string]any{"stream_name": "S", "config": map[string]any{"name": "evil", "deliver_subject": "queue.a", "ack_policy": "none"}})
	require.NoError(t, err)
	_, err = js.Publish(ctx(t), "s.a", body)
	require.NoError(t, err)
	_, err = js.Publish(ctx(t), "s.a", evil)
	require.NoError(t, err)
	_, err = s.CreateConsumer(ctx(t), jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckNonePolicy})
	require.NoError(t, err)
	for _, as := range []string{"$JS.API.STREAM.CREATE.EVIL", "$JS.API.CONSUMER.CREATE.S.evil"} {
		require.NoError(t, nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT.S.c", as, nil))
	}
	require.Eventually(t, func() bool {
		c, err := s.Consumer(ctx(t), "c")
		require.NoError(t, err)
		return c.CachedInfo().Delivered.Stream == 2
	}, patience, 10*time.Millisecond)
	for range 20 { // behind what is on its way
		_, err = js.Stream(ctx(t), "EVIL")
		require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
		_, err = s.Consumer(ctx(t), "evil")
		require.ErrorIs(t, err, jetstream.ErrConsumerNotFound)
	}
}

// Acknowledgements of clients' own consumers, and their requests for messages, do not come to the door.
func TestTheDoorIsNotInTheWay(t *testing.T) {
	h := newHouse(t, options{})
	js := h.jetStream()
	overheard := listen(t, h.connect(natsgo.UserInfo("inbound", "x")), "$JS.>")
	asked := listen(t, h.connect(natsgo.UserInfo("system", "x")), "sluice.n1.api.STREAM.>")
	s := makeStream(t, js, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, AllowDirect: true})
	c, err := s.CreateConsumer(ctx(t), jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	publish(t, js, "S", "s", 10)
	for _, m := range fetch(t, c, 10) {
		require.NoError(t, m.DoubleAck(ctx(t)))
	}
	_, err = s.GetMsg(ctx(t), 1)
	require.NoError(t, err)
	_, err = js.AccountInfo(ctx(t))
	require.NoError(t, err)
	require.Equal(t, "sluice.n1.api.STREAM.CREATE.S", hear(t, asked).Subject)
	for range 3 { // the door tells itself of the requests, and hears nothing else
		require.Regexp(t, `^\$JS\.ASKED\.`, hear(t, overheard).Subject)
	}
	empty(t, overheard, asked)
}

// What is pulled into a queue, with its subject in the place of an inbox, is not stored there: it comes with the subject that it was published to.
func TestNothingIsPulledIntoAQueue(t *testing.T) {
	h := newHouse(t, options{})
	js := h.jetStream()
	s := makeStream(t, js, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	_, err := s.CreateConsumer(ctx(t), jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	publish(t, js, "S", "s", 1)
	require.NoError(t, js.Conn().PublishRequest("$JS.API.CONSUMER.MSG.NEXT.S.c", "queue.a", nil))
	require.Eventually(t, func() bool { return h.door.Stats().Refused == 1 }, patience, time.Millisecond)
	_, err = js.Publish(ctx(t), "queue.a", nil)
	require.NoError(t, err)
	h.settled("a", 1, 0)
}
