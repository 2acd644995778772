package gatewaytest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// LogsContract is what every implementation of gateway.Logs keeps. open opens the logs of a directory, which may hold some already, with the registry
// whose facts they follow, and is given how to close them.
func LogsContract(t *testing.T, open func(t *testing.T, dir string) (l gateway.Logs, r gateway.Registry, shut func())) {
	for name, part := range map[string]func(t *testing.T, l gateway.Logs, r gateway.Registry){
		"what is appended is read": logIsRead, "a log is there as its fact says": logFollowsItsFact,
		"many append at once": logHasNoHoles, "a log is read by the time": logByTime, "a log begins where its fact says": logBegins,
		"a log may get another topic": logIsHandedOn,
		"copies may be large":         logTakesLargeCopies, "copies are stored once": logTakesCopiesOnce, "many append the same copies": logTakesCopiesOfMany,
		"copies that are not to be stored once are stored as they are": logTakesCopiesAsTheyAre,
	} {
		t.Run(name, func(t *testing.T) {
			l, r, shut := open(t, t.TempDir())
			defer shut()
			part(t, l, r)
		})
	}
	t.Run("logs outlive their node", func(t *testing.T) {
		dir := t.TempDir()
		l, r, shut := open(t, dir)
		keepLog(t, l, r, "P.T", "one")
		require.NoError(t, appendTo(l, "P.T", logged("a"), logged("b")))
		shut()
		l, _, shut = open(t, dir)
		defer shut()
		require.Equal(t, []string{"0 a", "1 b"}, readLog(t, l, "P.T", gateway.LogQuery{}))
		require.NoError(t, appendTo(l, "P.T", logged("c")))
		require.Equal(t, []string{"2 c"}, readLog(t, l, "P.T", gateway.LogQuery{From: 2}))
	})
	t.Run("copies are known after the node has gone", func(t *testing.T) {
		dir := t.TempDir()
		l, r, shut := open(t, dir)
		keepLog(t, l, r, "P.T", "one")
		require.NoError(t, appendTo(l, "P.T", copies("r", 3, 5)...))
		require.NoError(t, appendTo(l, "P.T", logged("x")))
		shut()
		l, _, shut = open(t, dir)
		defer shut()
		require.NoError(t, appendTo(l, "P.T", copies("r", 3, 5, 6)...))
		require.Equal(t, []string{"0 r3", "1 r5", "2 x", "3 r6"}, readLog(t, l, "P.T", gateway.LogQuery{}))
	})
}

// keepLog makes the fact that gives a topic a log, and waits until there is one.
func keepLog(t testing.TB, l gateway.Logs, r gateway.Registry, topic, id string) {
	_, err := r.Put(t.Context(), gateway.LogKeys+topic, fmt.Appendf(nil, `{"id":%q,"retention_ms":0,"more":[1]}`, id))
	require.NoError(t, err)
	Eventually(t, func() bool { _, err := l.Read(t.Context(), topic, gateway.LogQuery{}); return err == nil }, "the fact is known")
}

func logged(body string) *gateway.Message {
	return &gateway.Message{
		ID: "id-" + body, Destination: gateway.Destination{Kind: gateway.KindTopic, Name: "P.T"}, Header: gateway.Header{{Name: "k", Value: "v\n\"\\ü"}, {Name: "k", Value: ""}},
		Body: []byte(body), Persistent: true, Priority: 4, Timestamp: 1000,
	}
}

type told chan error

// Complete implements gateway.Completion.
func (c told) Complete(_ uint64, err error) { c <- err }

func appendTo(l gateway.Logs, topic string, batch ...*gateway.Message) error {
	c := make(told, 1)
	l.Append(topic, batch, c, 0)
	return <-c
}

// readLog is offsets and bodies.
func readLog(t testing.TB, l gateway.Logs, topic string, q gateway.LogQuery) []string {
	if q.Messages == 0 {
		q.Messages, q.Bytes = 1000, 1<<20
	}
	p, err := l.Read(t.Context(), topic, q)
	require.NoError(t, err)
	all := []string{}
	for i, m := range p.Messages {
		require.Equal(t, p.At+uint64(i), m.Offset, "dense")
		all = append(all, fmt.Sprint(m.Offset, " ", string(m.Body)))
	}
	return all
}

func logIsRead(t *testing.T, l gateway.Logs, r gateway.Registry) {
	keepLog(t, l, r, "P.T", "one")
	p, err := l.Read(t.Context(), "P.T", gateway.LogQuery{From: 7, Messages: 10, Bytes: 10})
	require.NoError(t, err)
	require.Equal(t, gateway.LogPage{Log: "one"}, p, "a log without a message")
	one, batch := logged("a"), []*gateway.Message{logged("b"), logged(""), logged(strings.Repeat("d", 100_000))}
	require.NoError(t, appendTo(l, "P.T", one))
	require.NoError(t, appendTo(l, "P.T", batch...))
	require.Equal(t, []uint64{0, 1, 2, 3}, []uint64{one.Offset, batch[0].Offset, batch[1].Offset, batch[2].Offset})
	p, err = l.Read(t.Context(), "P.T", gateway.LogQuery{Messages: 1, Bytes: 1})
	require.NoError(t, err)
	require.Equal(t, []uint64{0, 4, 0}, []uint64{p.First, p.Next, p.At})
	require.Len(t, p.Messages, 1, "the first one is not held up by its length")
	got := p.Messages[0]
	require.Equal(t, []any{one.ID, one.Destination, one.Header, one.Body, one.Timestamp, one.Priority, true},
		[]any{got.ID, got.Destination, got.Header, got.Body, got.Timestamp, got.Priority, got.Persistent})
	require.Equal(t, []string{"1 b", "2 "}, readLog(t, l, "P.T", gateway.LogQuery{From: 1, Messages: 5, Bytes: 50_000}), "no more bytes than that")
	require.Equal(t, []string{"2 "}, readLog(t, l, "P.T", gateway.LogQuery{From: 2, Messages: 1, Bytes: 1 << 20}))
	require.Empty(t, readLog(t, l, "P.T", gateway.LogQuery{From: 99}))
	p, err = l.Read(t.Context(), "P.T", gateway.LogQuery{From: 99})
	require.NoError(t, err)
	require.Equal(t, uint64(4), p.At, "nobody reads beyond the end")
	require.Equal(t, gateway.Limit, gateway.KindOf(appendTo(l, "P.T", make([]*gateway.Message, gateway.MaxLogBatch+1)...)))
}

func logFollowsItsFact(t *testing.T, l gateway.Logs, r gateway.Registry) {
	_, err := l.Read(t.Context(), "P.T", gateway.LogQuery{})
	require.Equal(t, gateway.NotFound, gateway.KindOf(err))
	require.Equal(t, gateway.NotFound, gateway.KindOf(appendTo(l, "P.T", logged("a"))))
	keepLog(t, l, r, "P.T", "one")
	keepLog(t, l, r, "P.U", "other")
	require.NoError(t, appendTo(l, "P.T", logged("a")))
	require.NoError(t, appendTo(l, "P.U", logged("u")))
	keepLog(t, l, r, "P.T", "one")
	require.Equal(t, []string{"0 a"}, readLog(t, l, "P.T", gateway.LogQuery{}), "the same log")
	keepLog(t, l, r, "P.T", "two")
	Eventually(t, func() bool { return len(readLog(t, l, "P.T", gateway.LogQuery{})) == 0 }, "another log")
	require.NoError(t, appendTo(l, "P.T", logged("b")))
	require.Equal(t, []string{"0 b"}, readLog(t, l, "P.T", gateway.LogQuery{}))
	p, err := l.Read(t.Context(), "P.T", gateway.LogQuery{})
	require.NoError(t, err)
	require.Equal(t, "two", p.Log)
	_, err = r.Put(t.Context(), gateway.LogKeys+"P.T", nil)
	require.NoError(t, err)
	Eventually(t, func() bool { _, err := l.Read(t.Context(), "P.T", gateway.LogQuery{}); return err != nil }, "no log")
	require.Equal(t, []string{"0 u"}, readLog(t, l, "P.U", gateway.LogQuery{}))
}

func logHasNoHoles(t *testing.T, l gateway.Logs, r gateway.Registry) {
	keepLog(t, l, r, "P.T", "one")
	const writers, each = 4, 25
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			last := -1
			for i := range each {
				batch := []*gateway.Message{logged(fmt.Sprint(w, "-", i, "a")), logged(fmt.Sprint(w, "-", i, "b"))}[:1+i%2]
				if err := appendTo(l, "P.T", batch...); err != nil {
					t.Error(err)
					return
				}
				for k, m := range batch {
					if int(m.Offset) <= last || m.Offset != batch[0].Offset+uint64(k) {
						t.Errorf("offset %d after %d", m.Offset, last)
					}
				}
				last = int(batch[len(batch)-1].Offset)
			}
		})
	}
	all.Wait()
	require.Len(t, readLog(t, l, "P.T", gateway.LogQuery{}), writers*(each+each/2))
}

func logBegins(t *testing.T, l gateway.Logs, r gateway.Registry) {
	_, err := r.Put(t.Context(), gateway.LogKeys+"P.T", []byte(`{"id":"one","first":5}`))
	require.NoError(t, err)
	Eventually(t, func() bool { _, err := l.Read(t.Context(), "P.T", gateway.LogQuery{}); return err == nil }, "the fact is known")
	for _, from := range []uint64{0, 7} {
		p, err := l.Read(t.Context(), "P.T", gateway.LogQuery{From: from, Messages: 1, Bytes: 1})
		require.NoError(t, err)
		require.Equal(t, gateway.LogPage{Log: "one", First: 5, Next: 5, At: 5}, p, "without a message")
	}
	a, b := logged("a"), logged("b")
	require.NoError(t, appendTo(l, "P.T", a))
	require.NoError(t, appendTo(l, "P.T", b))
	require.Equal(t, []uint64{5, 6}, []uint64{a.Offset, b.Offset})
	require.Equal(t, []string{"5 a", "6 b"}, readLog(t, l, "P.T", gateway.LogQuery{}))
}

func logIsHandedOn(t *testing.T, l gateway.Logs, r gateway.Registry) {
	put := func(topic string) {
		_, err := r.Put(t.Context(), gateway.LogKeys+topic, []byte(`{"id":"one","first":5,"stream":"three"}`))
		require.NoError(t, err)
		Eventually(t, func() bool { _, err := l.Read(t.Context(), topic, gateway.LogQuery{}); return err == nil }, "the fact is known")
	}
	gone := func(topic string) {
		_, err := r.Put(t.Context(), gateway.LogKeys+topic, nil)
		require.NoError(t, err)
		Eventually(t, func() bool { _, err := l.Read(t.Context(), topic, gateway.LogQuery{}); return err != nil }, "it is gone")
	}
	put("P.T")
	require.NoError(t, appendTo(l, "P.T", logged("a")))
	put("P.U")
	require.NoError(t, appendTo(l, "P.U", logged("b")))
	require.Equal(t, []string{"5 a", "6 b"}, readLog(t, l, "P.T", gateway.LogQuery{}))
	gone("P.T")
	require.NoError(t, appendTo(l, "P.U", logged("c")))
	require.Equal(t, []string{"5 a", "6 b", "7 c"}, readLog(t, l, "P.U", gateway.LogQuery{}))
	p, err := l.Read(t.Context(), "P.U", gateway.LogQuery{})
	require.NoError(t, err)
	require.Equal(t, "one", p.Log)
	gone("P.U")
}

func logByTime(t *testing.T, l gateway.Logs, r gateway.Registry) {
	keepLog(t, l, r, "P.T", "one")
	var before [3]int64
	for i := range before {
		before[i] = time.Now().UnixMilli()
		Eventually(t, func() bool { return time.Now().UnixMilli() > before[i]+1 }, "the clock goes on")
		require.NoError(t, appendTo(l, "P.T", logged(fmt.Sprint(i))))
	}
	for i, at := range before {
		p, err := l.Read(t.Context(), "P.T", gateway.LogQuery{Since: at + 1})
		require.NoError(t, err)
		require.Equal(t, uint64(i), p.At)
	}
	p, err := l.Read(t.Context(), "P.T", gateway.LogQuery{Since: time.Now().UnixMilli() + 60_000})
	require.NoError(t, err)
	require.Equal(t, uint64(3), p.At, "nothing was stored since")
}

// copies are what a route makes of the messages at some offsets.
func copies(route string, offsets ...uint64) (batch []*gateway.Message) {
	for _, o := range offsets {
		m := logged(fmt.Sprint(route, o))
		m.Source = &gateway.Source{Route: route, Log: "source", Offset: o, Hops: 2, Once: true}
		batch = append(batch, m)
	}
	return batch
}

func logTakesCopiesOnce(t *testing.T, l gateway.Logs, r gateway.Registry) {
	keepLog(t, l, r, "P.T", "one")
	require.NoError(t, appendTo(l, "P.T", copies("a", 0)...))
	require.NoError(t, appendTo(l, "P.T", copies("b", 7, 9)...))
	require.NoError(t, appendTo(l, "P.T", logged("x")))
	again := copies("a", 0, 1, 4)
	require.NoError(t, appendTo(l, "P.T", again...))
	require.Equal(t, []uint64{0, 4, 5}, []uint64{again[0].Offset, again[1].Offset, again[2].Offset}, "what was there has the offset of the last copy")
	all := copies("b", 7, 8, 9)
	require.NoError(t, appendTo(l, "P.T", all...))
	require.Equal(t, []uint64{2, 2, 2}, []uint64{all[0].Offset, all[1].Offset, all[2].Offset})
	require.Equal(t, []string{"0 a0", "1 b7", "2 b9", "3 x", "4 a1", "5 a4"}, readLog(t, l, "P.T", gateway.LogQuery{}))
	p, err := l.Read(t.Context(), "P.T", gateway.LogQuery{From: 2, Messages: 2, Bytes: 1 << 20})
	require.NoError(t, err)
	require.Equal(t, &gateway.Source{Route: "b", Log: "source", Offset: 9, Hops: 2}, p.Messages[0].Source)
	require.Nil(t, p.Messages[1].Source)
	require.Equal(t, copies("b", 9)[0].Header, p.Messages[0].Header)
	other := copies("a", 10)
	other[0].Source.Log = "another"
	for text, batch := range map[string][]*gateway.Message{
		"another log's": append(copies("a", 9), other...), "not a copy": append(copies("a", 9), logged("y")), "another route's": append(copies("a", 9), copies("b", 10)...),
		"twice": copies("a", 9, 9), "backwards": copies("a", 10, 9), "no name": copies("", 9), "no subject": copies("a.b", 9), "too long": copies(strings.Repeat("a", 65), 9),
	} {
		require.Equal(t, gateway.Invalid, gateway.KindOf(appendTo(l, "P.T", batch...)), text)
	}
	other[0].Source.Offset = 0
	require.NoError(t, appendTo(l, "P.T", other...), "another log begins at its own front")
	require.Len(t, readLog(t, l, "P.T", gateway.LogQuery{}), 7)
}

func logTakesCopiesAsTheyAre(t *testing.T, l gateway.Logs, r gateway.Registry) {
	keepLog(t, l, r, "P.T", "one")
	as := func(batch ...*gateway.Message) []*gateway.Message {
		for _, m := range batch {
			if m.Source != nil {
				m.Source.Once = false
			}
		}
		return batch
	}
	require.NoError(t, appendTo(l, "P.T", as(append(copies("a", 3, 4), logged("x"), copies("b", 1)[0], copies("a", 9)[0])...)...))
	require.NoError(t, appendTo(l, "P.T", as(copies("b", 1)...)...))
	require.Equal(t, gateway.Invalid, gateway.KindOf(appendTo(l, "P.T", as(copies("a.b", 1)...)...)))
	require.NoError(t, appendTo(l, "P.T", copies("a", 9, 10)...))
	require.NoError(t, appendTo(l, "P.T", copies("b", 1, 2)...))
	require.Equal(t, []string{"0 a3", "1 a4", "2 x", "3 b1", "4 a9", "5 b1", "6 a10", "7 b2"}, readLog(t, l, "P.T", gateway.LogQuery{}))
	p, err := l.Read(t.Context(), "P.T", gateway.LogQuery{From: 4, Messages: 1})
	require.NoError(t, err)
	require.Equal(t, &gateway.Source{Route: "a", Log: "source", Offset: 9, Hops: 2}, p.Messages[0].Source)
}

func logTakesCopiesOfMany(t *testing.T, l gateway.Logs, r gateway.Registry) {
	keepLog(t, l, r, "P.T", "one")
	const writers, most = 4, 60
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for at := uint64(0); at < most; {
				var offsets []uint64
				for range 1 + (w+int(at))%5 {
					offsets, at = append(offsets, at), at+1
				}
				if err := appendTo(l, "P.T", copies("r", offsets...)...); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 2 { // nobody else is refused because copies are
		all.Go(func() {
			for i := range most {
				if err := appendTo(l, "P.T", []*gateway.Message{logged("x"), logged("x")}[i%2:]...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	p, err := l.Read(t.Context(), "P.T", gateway.LogQuery{Messages: 1000, Bytes: 1 << 20})
	require.NoError(t, err)
	made := uint64(0)
	for _, m := range p.Messages {
		if m.Source != nil {
			require.Equal(t, made, m.Source.Offset)
			require.Equal(t, fmt.Sprint("r", made), string(m.Body))
			made++
		}
	}
	require.GreaterOrEqual(t, made, uint64(most))
	require.Len(t, p.Messages, int(made)+3*most)
}

func logTakesLargeCopies(t *testing.T, l gateway.Logs, r gateway.Registry) {
	keepLog(t, l, r, "P.T", "one")
	large := func(offsets ...uint64) (batch []*gateway.Message) {
		for _, m := range copies("r", offsets...) {
			m.Body = []byte(strings.Repeat("x", 600_000))
			batch = append(batch, m)
		}
		return batch
	}
	require.NoError(t, appendTo(l, "P.T", large(1, 2, 3)...))
	require.NoError(t, appendTo(l, "P.T", large(2)...))
	again := large(1, 3, 4)
	require.NoError(t, appendTo(l, "P.T", again...))
	require.Equal(t, []uint64{2, 2, 3}, []uint64{again[0].Offset, again[1].Offset, again[2].Offset})
	require.NoError(t, appendTo(l, "P.T", copies("r", 4, 5, 6, 7)...))
	again = copies("r", 6, 7)
	require.NoError(t, appendTo(l, "P.T", again...))
	require.Equal(t, []uint64{6, 6}, []uint64{again[0].Offset, again[1].Offset})
	p, err := l.Read(t.Context(), "P.T", gateway.LogQuery{})
	require.NoError(t, err)
	require.Equal(t, uint64(7), p.Next)
}
