package app

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// depot is a store's registry and logs, in memory.
type depot struct {
	t        *testing.T
	registry *gatewaytest.Registry
	logs     *gatewaytest.Logs
	now      int64
}

func newDepot(t *testing.T) *depot {
	p := &depot{t: t, registry: gatewaytest.NewDisk(1).Registry()}
	var err error
	p.logs, err = gatewaytest.NewLogs(t.Context(), p.registry, func() int64 { return p.now })
	require.NoError(t, err)
	return p
}

func (p *depot) put(key, value string) {
	p.t.Helper()
	_, err := p.registry.Put(p.t.Context(), key, []byte(value))
	require.NoError(p.t, err)
}

func (p *depot) publish(topic string, bodies ...string) {
	p.t.Helper()
	for _, b := range bodies {
		c := make(told, 1)
		p.logs.Append(topic, []*gateway.Message{{Destination: gateway.Destination{Kind: gateway.KindTopic, Name: topic}, Body: []byte(b)}}, c, 0)
		require.NoError(p.t, <-c)
	}
}

type told chan error

// Complete implements gateway.Completion.
func (c told) Complete(_ uint64, err error) { c <- err }

// has are a topic's messages with their offsets; nil if there is no such topic.
func (p *depot) has(topic string) (all []string) {
	page, err := p.logs.Read(p.t.Context(), topic, gateway.LogQuery{Messages: 1e6, Bytes: math.MaxInt})
	if err != nil {
		return nil
	}
	all = []string{}
	for _, m := range page.Messages {
		all = append(all, fmt.Sprint(m.Offset, string(m.Body)))
	}
	return all
}

func (p *depot) facts() map[string]string {
	all := make(map[string]string)
	require.NoError(p.t, eachFact(p.t.Context(), p.registry, func(key string, value []byte) error { all[key] = string(value); return nil }))
	return all
}

// note has an export know of all facts.
func (p *depot) note() *logExport {
	x := newLogExport(p.logs)
	require.NoError(p.t, eachFact(p.t.Context(), p.registry, func(key string, value []byte) error { x.note(key, value); return nil }))
	return x
}

// copyTo brings everything to another place.
func (p *depot) copyTo(to *depot) (*logIntake, *factIntake) {
	p.t.Helper()
	in := newLogIntake(p.t.Context(), "n1", to.registry, to.logs)
	facts, err := newFactIntake(p.t.Context(), to.registry, in)
	require.NoError(p.t, err)
	x := p.note()
	require.NoError(p.t, eachFact(p.t.Context(), p.registry, facts.take))
	require.NoError(p.t, x.run(p.t.Context(), in))
	require.NoError(p.t, in.rest())
	return in, facts
}

// What is restored has the offsets that it had, though what came before is too old; another topic of the same name stays as it is, and so does what is there of subscriptions.
func TestLogsAreRestoredWithTheirOffsets(t *testing.T) {
	a, b := newDepot(t), newDepot(t)
	a.put("log/P.t", `{"id":"one","retention_ms":1000,"acl":["x"],"project":"p"}`)
	a.put("log/P.u", `{"id":"two","retention_ms":0}`)
	a.put("log/P.empty", `{"id":"three","retention_ms":0}`)
	a.put("pubsub/cursor/P.s", `{"subscription":"s","log":"one","offset":3}`)
	a.put("pubsub/cursor/P.r", `{"subscription":"r","log":"two","offset":1}`)
	a.publish("P.t", "a", "b")
	a.now = 900
	a.publish("P.t", "c", "d", "e")
	a.now = 1500
	a.publish("P.u", "x", "y")
	b.put("log/P.u", `{"id":"four","retention_ms":0}`)
	b.put("pubsub/cursor/P.r", `{"subscription":"q","log":"four","offset":0}`)
	b.publish("P.u", "theirs")
	in, facts := a.copyTo(b)
	require.Equal(t, []string{"2c", "3d", "4e"}, b.has("P.t"))
	require.Equal(t, []string{"0theirs"}, b.has("P.u"))
	require.Equal(t, []string{}, b.has("P.empty"))
	require.Equal(t, []uint64{2, 3}, []uint64{in.topics, in.messages})
	require.Empty(t, facts.left)
	all := b.facts()
	require.Len(t, all, 5, "nothing unfinished is left")
	require.Equal(t, `{"subscription":"q","log":"four","offset":0}`, all["pubsub/cursor/P.r"])
	require.Equal(t, `{"subscription":"s","log":"one","offset":3}`, all["pubsub/cursor/P.s"])
	var was, is resource.Topic
	require.NoError(t, json.Unmarshal([]byte(a.facts()["log/P.t"]), &was))
	require.NoError(t, json.Unmarshal([]byte(all["log/P.t"]), &is))
	require.NotEmpty(t, is.Stream)
	require.EqualValues(t, 2, is.First)
	is.Stream, is.First = "", 0
	require.Equal(t, was, is)
	b.publish("P.t", "f")
	require.Equal(t, "5f", b.has("P.t")[3])

	in, _ = a.copyTo(b) // once more
	require.Zero(t, in.topics)
	require.Equal(t, []string{"2c", "3d", "4e", "5f"}, b.has("P.t"))
}

// A subscription that would go on behind the end of the log that is there is left out: what comes there it would never see.
func TestNoSubscriptionGoesOnBehindItsLog(t *testing.T) {
	a, b := newDepot(t), newDepot(t)
	for _, p := range []*depot{a, b} {
		p.put("log/P.t", `{"id":"one","retention_ms":0}`)
		p.publish("P.t", "a", "b")
	}
	a.publish("P.t", "c", "d")
	a.put("pubsub/cursor/P.s", `{"subscription":"s","log":"one","offset":4}`)
	a.put("pubsub/sub/P.s", `{"id":"s","log":"one","start":2}`)
	_, facts := a.copyTo(b)
	require.Equal(t, []string{"pubsub/cursor/P.s"}, facts.left)
	require.Contains(t, b.facts(), "pubsub/sub/P.s")
}

// Who comes into a cluster brings his topics, and once what was sent to those that the cluster has others of. What a restore has left unfinished is nobody's.
func TestLogsAreAdoptedOnce(t *testing.T) {
	a, b := newDepot(t), newDepot(t)
	a.put("log/P.t", `{"id":"one","retention_ms":0}`)
	a.put("log/P.u", `{"id":"two","retention_ms":0}`)
	a.put("log/unfinished=s", `{"id":"three","stream":"s","retention_ms":0,"node":"n1"}`)
	a.publish("P.t", "a", "b")
	a.publish("P.u", "c")
	a.publish("unfinished=s", "x")
	b.put("log/P.u", `{"id":"four","retention_ms":0}`)
	b.publish("P.u", "theirs")
	path := filepath.Join(t.TempDir(), "adopted.json")
	for range 2 { // the first time it is not over before the node dies
		x := adoption{path: path}
		require.NoError(t, x.read())
		require.NoError(t, x.facts(t.Context(), newLogIntake(t.Context(), "n1", b.registry, b.logs), a.registry, a.logs))
	}
	require.Equal(t, []string{"0a", "1b"}, b.has("P.t"))
	require.Equal(t, []string{"0theirs", "1c"}, b.has("P.u"))
	require.Len(t, b.facts(), 2)
}

// A log is not taken for whole before it has come as far as the facts that were read before say.
func TestABackupWaitsForTheLog(t *testing.T) {
	a, b := newDepot(t), newDepot(t)
	a.put("log/P.t", `{"id":"one","retention_ms":0}`)
	a.publish("P.t", "a")
	a.put("pubsub/cursor/P.s", `{"subscription":"s","log":"one","offset":2}`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	in := newLogIntake(t.Context(), "n1", b.registry, b.logs)
	require.ErrorIs(t, a.note().run(ctx, in), context.Canceled)
	a.publish("P.t", "b")
	require.NoError(t, a.note().run(ctx, in))
}

// gap is a taker in whose presence something happens.
type gap struct {
	*logIntake
	once func()
}

func (g *gap) AddLogged(m *gateway.Message) error {
	if g.once != nil {
		g.once()
		g.once = nil
	}
	return g.logIntake.AddLogged(m)
}

// Messages that become too old while a log is read leave no hole, and of a topic that goes, or becomes another one, meanwhile nothing is restored that a subscription could miss.
func TestALogChangesWhileItIsRead(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(a *depot)
		want    func(t *testing.T, b *depot)
	}{
		"old": {func(a *depot) { a.now = 1500 }, func(t *testing.T, b *depot) {
			got := b.has("P.t")
			require.Len(t, got, 500)
			require.Equal(t, []string{"2000late0", "2499late499"}, []string{got[0], got[499]})
		}},
		"gone": {func(a *depot) { _, _ = a.registry.Put(t.Context(), "log/P.t", nil) }, func(t *testing.T, b *depot) {
			b.publish("P.t", "next")
			require.Equal(t, []string{"2500next"}, b.has("P.t"))
		}},
		"another": {func(a *depot) { a.put("log/P.t", `{"id":"other","retention_ms":0}`) }, func(t *testing.T, b *depot) {
			b.publish("P.t", "next")
			require.Equal(t, []string{"2500next"}, b.has("P.t"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newDepot(t), newDepot(t)
			a.put("log/P.t", `{"id":"one","retention_ms":1000}`)
			for i := range 2000 {
				a.publish("P.t", fmt.Sprint("early", i))
			}
			a.now = 900
			for i := range 500 {
				a.publish("P.t", fmt.Sprint("late", i))
			}
			in := newLogIntake(t.Context(), "n1", b.registry, b.logs)
			in.facts["P.t"] = []byte(a.facts()["log/P.t"])
			require.NoError(t, a.note().run(t.Context(), &gap{in, func() { c.happens(a) }}))
			require.NoError(t, in.rest())
			require.Len(t, b.facts(), 1)
			c.want(t, b)
		})
	}
}

// An intake that does not end leaves nothing that anybody reads, and the next one clears it away; that of another node is none of its business.
func TestAnUnfinishedLogIsCleared(t *testing.T) {
	b := newDepot(t)
	for _, node := range []string{"n1", "n2"} {
		in := newLogIntake(t.Context(), node, b.registry, b.logs)
		in.facts["P.t"] = []byte(`{"id":"one","retention_ms":0}`)
		require.NoError(t, in.AddLog("P.t", 0))
		require.NoError(t, in.AddLogged(&gateway.Message{Body: []byte("a")}))
		require.NoError(t, in.flush())
	}
	require.Len(t, b.facts(), 2)
	require.Nil(t, b.has("P.t"))
	require.NoError(t, newLogIntake(t.Context(), "n1", b.registry, b.logs).clear())
	require.Len(t, b.facts(), 1)
	in := newLogIntake(t.Context(), "n1", b.registry, b.logs)
	in.facts["P.t"] = []byte(`{"id":"one","retention_ms":0}`)
	require.NoError(t, in.AddLog("P.t", 0))
	b.logs.Break(gateway.Errorf(gateway.Unavailable, "not now"))
	require.NoError(t, in.AddLogged(&gateway.Message{Body: []byte("a")}))
	require.Error(t, in.rest())
	require.Nil(t, b.has("P.t"))
}

// A backup without logs, as they were made before, gives topics other logs: their subscriptions would wait for offsets that are far off.
func TestATopicWithoutALogGetsAnotherOne(t *testing.T) {
	b := newDepot(t)
	in := newLogIntake(t.Context(), "n1", b.registry, b.logs)
	facts, err := newFactIntake(t.Context(), b.registry, in)
	require.NoError(t, err)
	old := `{"id":"the-old-one","created":7,"retention_ms":60000,"first":3,"stream":"s","acl":["a"],"project":"p"}`
	require.NoError(t, facts.take("log/P.t", []byte(old)))
	require.NoError(t, in.rest())
	var was, is resource.Topic
	require.NoError(t, json.Unmarshal([]byte(old), &was))
	require.NoError(t, json.Unmarshal([]byte(b.facts()["log/P.t"]), &is))
	require.Len(t, is.ID, 36)
	require.Zero(t, is.First)
	require.Empty(t, is.Stream)
	is.ID, is.First, is.Stream = was.ID, was.First, was.Stream
	require.Equal(t, was, is)
}

// What routes have copied is known after a restore, whichever log is read first; but a copy of a message that came after the backup was begun is a message as others, so that what
// has its offset later is copied.
func TestCopiesInABackup(t *testing.T) {
	a, b := newDepot(t), newDepot(t)
	a.put("log/P.source", `{"id":"source","retention_ms":0}`)
	a.put("log/P.z", `{"id":"target","retention_ms":0}`)
	a.put("log/P.a", `{"id":"another","retention_ms":0}`)
	a.publish("P.source", "0", "1")
	take := func(p *depot, topic string, once bool, offsets ...uint64) {
		for _, o := range offsets {
			c := make(told, 1)
			p.logs.Append(topic, []*gateway.Message{{
				Destination: gateway.Destination{Kind: gateway.KindTopic, Name: topic}, Body: fmt.Append(nil, "of ", o), Persistent: true,
				Source: &gateway.Source{Route: "r", Log: "source", Offset: o, Once: once},
			}}, c, 0)
			require.NoError(t, <-c)
		}
	}
	take(a, "P.z", true, 0, 1, 2, 3) // the last two are of messages that the backup has not
	take(a, "P.a", true, 0, 2)
	a.copyTo(b)
	require.Equal(t, []string{"0of 0", "1of 1", "2of 2", "3of 3"}, b.has("P.z"))
	take(b, "P.z", true, 0, 1, 2)
	take(b, "P.a", true, 0, 1)
	require.Equal(t, []string{"0of 0", "1of 1", "2of 2", "3of 3", "4of 2"}, b.has("P.z"))
	require.Equal(t, []string{"0of 0", "1of 2", "2of 1"}, b.has("P.a"))
	require.Len(t, a.has("P.z"), 4, "it is as it was")
	page, err := a.logs.Read(t.Context(), "P.z", gateway.LogQuery{From: 3, Messages: 1})
	require.NoError(t, err)
	require.NotNil(t, page.Messages[0].Source)
}
