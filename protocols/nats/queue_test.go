package nats_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/nats"
)

func TestPublishToAQueue(t *testing.T) {
	h := newHouse(t, options{})
	js := h.jetStream()
	first, err := js.Publish(ctx(t), "queue.orders.new", []byte("one"))
	require.NoError(t, err)
	require.Equal(t, "QUEUES", first.Stream)
	second, err := js.PublishMsg(ctx(t), &natsgo.Msg{
		Subject: "queue.orders.new", Data: []byte("two"),
		Header: natsgo.Header{"persistent": {"false"}, "priority": {"4"}, "k": {"v", "w"}, "content-type": {"text/plain"}},
	}, jetstream.WithExpectStream("QUEUES"), jetstream.WithMsgID("m1"))
	require.NoError(t, err)
	require.Greater(t, second.Sequence, first.Sequence)

	got := h.subscribe(h.session(), queue("orders.new")).next(2)
	require.Equal(t, "one", string(got[0].Body))
	require.True(t, got[0].Persistent && !got[0].Text)
	require.Empty(t, got[0].Header)
	require.NotEmpty(t, got[0].ID)
	require.NotZero(t, got[0].Timestamp)
	require.Equal(t, "two", string(got[1].Body))
	require.True(t, !got[1].Persistent && got[1].Text)
	require.Equal(t, gateway.Header{{Name: "content-type", Value: "text/plain"}, {Name: "k", Value: "v"}, {Name: "k", Value: "w"}}, got[1].Header)
}

func TestTheOlderClientInterfaceWorksToo(t *testing.T) {
	h := newHouse(t, options{})
	js, err := h.connect().JetStream() //nolint:staticcheck // it is what many services still use
	require.NoError(t, err)
	ack, err := js.Publish("queue.a", []byte("x"))
	require.NoError(t, err)
	require.Equal(t, "QUEUES", ack.Stream)
	h.subscribe(h.session(), queue("a")).next(1)
}

func TestAsyncPublishesArriveInOrder(t *testing.T) {
	const n = 10_000
	h := newHouse(t, options{limits: nats.Limits{OutstandingMessages: 100}})
	js := h.jetStream(jetstream.WithPublishAsyncMaxPending(2000))
	futures := make([]jetstream.PubAckFuture, n)
	for i := range futures {
		var err error
		futures[i], err = js.PublishMsgAsync(&natsgo.Msg{Subject: "queue.a", Data: []byte(strconv.Itoa(i))}, jetstream.WithStallWait(patience))
		require.NoError(t, err)
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(patience):
		require.FailNow(t, "not all were acknowledged")
	}
	last := uint64(0)
	for _, f := range futures {
		ack := <-f.Ok()
		require.Greater(t, ack.Sequence, last)
		last = ack.Sequence
	}
	for i, m := range h.subscribe(h.session(), queue("a")).next(n) {
		require.Equal(t, strconv.Itoa(i), string(m.Body))
	}
	h.count(nats.Stats{Received: n})
}

func TestNoPubAckBeforeTheStoreSaidYes(t *testing.T) {
	h := newHouse(t, options{})
	nc := h.connect()
	inbox := listen(t, nc, "_INBOX.x")
	goOn := h.store.Stop()
	require.NoError(t, nc.PublishRequest("queue.a", "_INBOX.x", []byte("x")))
	require.Eventually(t, func() bool { return h.door.Stats().Outstanding == 1 }, patience, time.Millisecond)
	_, err := inbox.NextMsg(20 * time.Millisecond)
	require.ErrorIs(t, err, natsgo.ErrTimeout)
	goOn()
	require.Regexp(t, `^\{"stream":"QUEUES","seq":\d+\}$`, string(hear(t, inbox).Data))
}

func TestWithoutReplySubjectItIsStoredAllTheSame(t *testing.T) {
	h := newHouse(t, options{})
	require.NoError(t, h.connect().Publish("queue.a", []byte("x")))
	got := h.subscribe(h.session(), queue("a")).next(1)
	require.True(t, got[0].Persistent)
}

func TestNamesAreUnescaped(t *testing.T) {
	h := newHouse(t, options{})
	_, err := h.jetStream().Publish(ctx(t), "queue.a%20b.%.$c/d", nil)
	require.NoError(t, err)
	h.subscribe(h.session(), queue("a b..$c/d")).next(1)
}

func TestRefusals(t *testing.T) {
	h := newHouse(t, options{
		limits: nats.Limits{HeaderFields: 3},
		deny: func(_ gateway.Principal, _ gateway.Action, d gateway.Destination) error {
			switch d.Name {
			case "secret":
				return gateway.Errorf(gateway.Denied, "you may not write to %s", d)
			case "broken":
				return errors.New("the rules are gone: /etc/passwd")
			case "later":
				return gateway.Errorf(gateway.Unavailable, "later")
			}
			return nil
		},
	})
	js := h.jetStream()
	many := natsgo.Header{"a": {"1", "2", "3", "4"}}
	for _, c := range []struct {
		subject         string
		header          natsgo.Header
		body            int
		code, errorCode int
		text            string
	}{
		{"queue.secret", nil, 0, 403, 10003, "you may not write to queue://secret"},
		{"queue.broken", nil, 0, 500, 10077, "internal error"},
		{"queue.later", nil, 0, 503, 10008, "later"},
		{"queue.%2A", nil, 0, 400, 10003, "cannot send to the wildcard destination queue://*"},
		{"queue.a%00", nil, 0, 400, 10003, "destination name holds the control character 0x00 at byte 1"},
		{"queue." + strings.Repeat("x", 1025), nil, 0, 400, 10003, "destination name is 1025 bytes long, the limit is 1024"},
		{"queue.a", nil, 17 << 20, 400, 10054, "the message is 17825857 bytes long, the limit is 16842752"},
		{"queue.a", many, 0, 400, 10054, "the message has more than 3 header fields"},
		{"queue.a", natsgo.Header{"expires": {"soon"}}, 0, 400, 10003, `the header expires is not a whole number: "soon"`},
		{"queue.a", natsgo.Header{"Nats-Expected-Stream": {"OTHER"}}, 0, 400, 10060, "expected stream does not match"},
		{"queue.a", natsgo.Header{"Nats-Expected-Last-Sequence": {"7"}}, 0, 400, 10003, "the header Nats-Expected-Last-Sequence is not supported"},
		{"queue.a", natsgo.Header{"Nats-Rollup": {"all"}}, 0, 400, 10003, "the header Nats-Rollup is not supported"},
		{"queue.a", natsgo.Header{"Nats-TTL": {"1s"}}, 0, 400, 10003, "the header Nats-TTL is not supported"},
		{"topic.a", natsgo.Header{"Nats-Expected-Stream": {"QUEUES"}}, 0, 400, 10060, "expected stream does not match"},
	} {
		_, err := js.PublishMsg(ctx(t), &natsgo.Msg{Subject: c.subject, Header: c.header, Data: make([]byte, c.body)})
		var refusal *jetstream.APIError
		require.ErrorAs(t, err, &refusal, "%.40s", c.subject)
		require.Equal(t, jetstream.APIError{Code: c.code, ErrorCode: jetstream.ErrorCode(c.errorCode), Description: c.text}, *refusal)
	}
	h.store.Full.Store(true)
	_, err := js.Publish(ctx(t), "queue.a", nil)
	var refusal *jetstream.APIError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, jetstream.APIError{Code: 503, ErrorCode: 10047, Description: "the store has no space left"}, *refusal)
	require.EqualValues(t, 15, h.door.Stats().Refused)
	require.Contains(t, h.log.String(), "the rules are gone: /etc/passwd")
	require.NotContains(t, h.log.String(), "you may not write", "a client's mistakes are no news")
}

// When the store fails, every message does: the log says so once, not each time.
func TestOurFaultsDoNotFloodTheLog(t *testing.T) {
	var now atomic.Int64
	h := newHouse(t, options{
		clock: func() time.Time { return time.Unix(now.Load(), 0) },
		deny: func(_ gateway.Principal, a gateway.Action, _ gateway.Destination) error {
			if a == gateway.Write {
				return errors.New("broken")
			}
			return nil
		},
	})
	nc := h.connect()
	refuse := func(n int) {
		for range n {
			require.NoError(t, nc.Publish("queue.a", nil))
		}
	}
	refuse(100)
	h.count(nats.Stats{Received: 100, Refused: 100})
	now.Store(2)
	refuse(1)
	h.count(nats.Stats{Received: 101, Refused: 101})
	require.NoError(t, h.door.Drain(ctx(t)))
	require.Equal(t, 2, strings.Count(h.log.String(), "could not be taken"))
	require.Contains(t, h.log.String(), "not_logged_before=99")
}

// A header that the library cannot read is not silently left out.
func TestUnreadableHeadersAreRefused(t *testing.T) {
	h := newHouse(t, options{})
	nc := h.connect()
	inbox := listen(t, nc, "_INBOX.x")
	raw, err := h.server.InProcessConn()
	require.NoError(t, err)
	defer raw.Close()
	go func() { // the server talks too
		buf := make([]byte, 4096)
		for {
			if _, err := raw.Read(buf); err != nil {
				return
			}
		}
	}()
	header := "NATS/1.0\r\nno colon here\r\n\r\n"
	_, err = fmt.Fprintf(raw, "CONNECT {\"verbose\":false,\"headers\":true}\r\nHPUB queue.a _INBOX.x %d %d\r\n%sx\r\n", len(header), len(header)+1, header)
	require.NoError(t, err)
	require.JSONEq(t, `{"error":{"code":400,"err_code":10003,"description":"the header cannot be read"}}`, string(hear(t, inbox).Data))
}

// What the broker cannot take at once waits within bounds; beyond them it is dropped and counted.
func TestDropsAreCounted(t *testing.T) {
	h := newHouse(t, options{limits: nats.Limits{OutstandingMessages: 10, PendingMessages: 20}})
	nc := h.connect()
	goOn := h.store.Stop()
	publish := func(n int) {
		for range n {
			require.NoError(t, nc.Publish("queue.a", []byte("x")))
		}
	}
	publish(10 + 1) // the last one waits for room and counts as pending
	h.count(nats.Stats{Received: 11, Outstanding: 10})
	publish(19 + 70)
	h.count(nats.Stats{Received: 11, Outstanding: 10, Dropped: 70})
	require.Eventually(t, func() bool { return strings.Contains(h.log.String(), "native messages are dropped") }, patience, time.Millisecond)
	goOn()
	h.subscribe(h.session(), queue("a")).next(30)
	require.NoError(t, h.door.Drain(ctx(t)))
	h.count(nats.Stats{Received: 30, Dropped: 70})
}

func TestBytesAreBoundedToo(t *testing.T) {
	h := newHouse(t, options{limits: nats.Limits{OutstandingBytes: 10_000}})
	js := h.jetStream()
	goOn := h.store.Stop()
	var futures []jetstream.PubAckFuture
	for range 8 {
		f, err := js.PublishAsync("queue.a", make([]byte, 4000))
		require.NoError(t, err)
		futures = append(futures, f)
	}
	huge, err := js.PublishAsync("queue.a", make([]byte, 50_000))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return h.door.Stats().Received == 3 }, patience, time.Millisecond)
	require.Equal(t, 2, h.door.Stats().Outstanding)
	goOn()
	for _, f := range append(futures, huge) {
		select {
		case <-f.Ok():
		case err := <-f.Err():
			require.NoError(t, err)
		case <-time.After(patience):
			require.FailNow(t, "not acknowledged")
		}
	}
}
