package stomp

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

func TestB3Row65ReceiptHeaderStaysAndDisconnectClosesAfterReceipt(t *testing.T) {
	m := through(t, "1.1", "1.1", "SEND\ndestination:/queue/a\nreceipt:secret\n\nx^")
	require.False(t, m.has("receipt"))
	c := login(t, start(t, newFakeBroker()), "1.1")
	c.send("DISCONNECT\nreceipt:d\n\n^")
	c.expectReceipt("d")
	c.expectClosed()
}

func TestB3Row66SubscribeReceiptBeforeFirstMessage(t *testing.T) {
	s := start(t, newFakeBroker())
	p := login(t, s, "1.1")
	for i := range 20 {
		q := "/queue/q" + strconv.Itoa(i)
		p.send("SEND\ndestination:" + q + "\nreceipt:x\n\nwaiting^")
		p.expectReceipt("x")
		c := login(t, s, "1.1")
		c.send("SUBSCRIBE\nid:1\ndestination:" + q + "\nreceipt:s\n\n^")
		c.expectReceipt("s")
		c.expect("MESSAGE")
	}
}

func TestB3Row67OnlyFramesWithReceiptGetOne(t *testing.T) {
	c := login(t, start(t, newFakeBroker()), "1.1")
	for i := range 10 {
		receipt := ""
		if i%2 == 1 {
			receipt = fmt.Sprintf("receipt:%d\n", i)
		}
		c.send("SEND\ndestination:/queue/a\n" + receipt + "\nx^")
	}
	for i := 1; i < 10; i += 2 {
		c.expectReceipt(strconv.Itoa(i))
	}
	c.expectAlive()
}

func TestB3Row68SendManyThenDisconnect(t *testing.T) {
	b := newFakeBroker()
	c := login(t, start(t, b), "1.1")
	c.send(strings.Repeat("SEND\ndestination:/queue/a\n\nx^", 10000) + "DISCONNECT\nreceipt:bye\n\n^")
	c.expectReceipt("bye")
	c.expectClosed()
	require.Len(t, b.queue(gateway.Destination{Kind: gateway.KindQueue, Name: "a"}).waiting, 10000)
}

func TestB3Rows69And70And71And80StandardHeaders(t *testing.T) {
	m := through(t, "1.1", "1.1", "SEND\ndestination:/queue/a\ncorrelation-id:c1\npriority:3\ntype:t345\n"+
		"JMSXGroupID:abc\nmessage-id:mine\nredelivered:true\nsubscription:mine\nJMSXUserID:mine\n"+
		"JMSXDeliveryCount:9\ntimestamp:1234\nfoo:abc\nBar:123\n\nx^")
	require.Equal(t, []string{
		"destination:/queue/a", "subscription:0", `message-id:ID\cnode-1-2-0\c1\c-1\c1\c1`, "priority:3", "expires:0",
		"timestamp:1234", "correlation-id:c1", "type:t345", "JMSXGroupID:abc", "foo:abc", "Bar:123",
	}, m.lines)
	require.Equal(t, "4", through(t, "1.1", "1.1", "SEND\ndestination:/queue/a\n\nx^").get("priority"))
	require.Equal(t, "9", through(t, "1.1", "1.1", "SEND\ndestination:/queue/a\npriority:42\n\nx^").get("priority"))
	require.Equal(t, "0", through(t, "1.1", "1.1", "SEND\ndestination:/queue/a\npriority:-1\n\nx^").get("priority"))
}

func TestB3Row73PersistentOnlyWhenTrue(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "persistent:false\n": false, "persistent:true\n": true, "persistent:True\n": true, "persistent:yes\n": false,
	} {
		require.Equal(t, want, through(t, "1.0", "1.0", "SEND\ndestination:/queue/a\n"+header+"\nx^").has("persistent"), header)
	}
}

func TestB3Row77OddReplyToIsKept(t *testing.T) {
	for _, to := range []string{"sms:8139", "some destination", "/queue/b"} {
		require.Equal(t, to, through(t, "1.0", "1.0", "SEND\ndestination:/queue/a\nreply-to:"+to+"\n\nx^").get("reply-to"))
	}
}

func TestB3Row82Denied(t *testing.T) {
	for _, receipt := range []string{"", "r1"} {
		b := newFakeBroker()
		b.denied["queue://secret"] = true
		c := login(t, start(t, b), "1.1")
		header := ""
		if receipt != "" {
			header = "receipt:" + receipt + "\n"
		}
		c.send("SEND\ndestination:/queue/secret\n" + header + "\nx^")
		r := c.expectError("User is not authorized to write to: queue://secret")
		require.Equal(t, receipt, r.get("receipt-id"))
		c.send("SUBSCRIBE\nid:1\ndestination:/queue/secret\n" + header + "\n^")
		r = c.expectError("User is not authorized to read from: queue://secret")
		require.Equal(t, receipt, r.get("receipt-id"))
		c.expectAlive()
	}
}

func TestB3Row84Order(t *testing.T) {
	s := start(t, newFakeBroker())
	c := login(t, s, "1.1")
	c.send("SUBSCRIBE\nid:1\ndestination:/queue/a\n\n^")
	for i := range 500 {
		c.send("SEND\ndestination:/queue/a\n\n" + strconv.Itoa(i) + "^")
	}
	for i := range 500 {
		require.Equal(t, strconv.Itoa(i), c.expect("MESSAGE").body)
	}
}

func TestB3Row85AbruptCloseUnderTraffic(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b)
	for range 20 {
		c := login(t, s, "1.1")
		c.send("SUBSCRIBE\nid:1\ndestination:/queue/a\nack:client\n\n^" + strings.Repeat("SEND\ndestination:/queue/a\n\nx^", 100))
		c.expect("MESSAGE")
		c.nc.Close()
	}
	eventually(t, "sessions end", func() bool { return b.sessions() == 0 })
}

func TestB3Row86ReceiptsNotReadHoldThePublisher(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b, func(cfg *Config) { cfg.Limits.OutstandingFrames = 64 })
	c := login(t, s, "1.1")
	const n = 20000
	long := strings.Repeat("r", 1000)
	sent := make(chan error, 1)
	go func() {
		for i := range n {
			if _, err := io.WriteString(c.nc, fmt.Sprintf("SEND\ndestination:/queue/a\nreceipt:%s%d\n\nx\x00", long, i)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	// 20 MB of receipts do not fit into the socket's buffers: the publisher must stand.
	held := b.stored
	last, same := -1, 0
	eventually(t, "the publisher stands", func() bool {
		if now := held(); now == last {
			same++
		} else {
			last, same = now, 0
		}
		return same > 100
	})
	require.Less(t, last, n)
	for i := range n {
		require.Equal(t, long+strconv.Itoa(i), c.expect("RECEIPT").get("receipt-id"))
	}
	require.NoError(t, <-sent)
}

func TestB3Row87BadNumbersAreErrors(t *testing.T) {
	c := login(t, start(t, newFakeBroker()), "1.1")
	for _, name := range []string{"priority", "expires", "timestamp"} {
		c.send("SEND\ndestination:/queue/a\nreceipt:r\n" + name + ":abc\n\nx^")
		require.Equal(t, "r", c.expectError("Invalid value for the "+name+" header: abc").get("receipt-id"))
	}
	c.expectAlive()
}

func TestB3Rows90And91BadDestinations(t *testing.T) {
	c := login(t, start(t, newFakeBroker()), "1.1")
	for header, words := range map[string]string{
		"":                                  "SEND received without a Destination specified!",
		"destination:\n":                    "Invalid empty or 'null' Destination header",
		"destination:  \n":                  "Invalid empty or 'null' Destination header",
		"destination:/queue/\n":             "Invalid empty or 'null' Destination header",
		"destination:/queue/a.>\n":          "SEND to the pattern queue://a.>: a message needs one destination",
		"destination:/topic/*\n":            "SEND to the pattern topic://*: a message needs one destination",
		"destination:/queue/a,,/queue/b\n":  "Invalid empty or 'null' Destination header",
		"destination:,\n":                   "Invalid empty or 'null' Destination header",
		"destination:/queue/a,/topic/b.*\n": "SEND to the pattern topic://b.*: a message needs one destination",
		"destination:/temp-queue/a.>\n":     "/temp-queue/a.> is a temporary destination and cannot have wildcards",
		"destination:" + strings.Repeat("a,", 256) + "a\n": "The destination has 257 parts, the limit is 256",
		"destination:/queue/a\tb\n":                        "destination name holds the control character 0x09 at byte 1",
	} {
		c.send("SEND\n" + header + "receipt:r\n\nx^")
		require.Equal(t, "r", c.expectError(words).get("receipt-id"))
		if !strings.Contains(words, "SEND") {
			c.send("SUBSCRIBE\nid:1\n" + header + "receipt:r\n\n^")
			c.expectError(words)
		}
	}
	c.send("SUBSCRIBE\nid:1\n\n^")
	c.expectError("Invalid empty or 'null' Destination header")
	c.expectAlive()
}

func TestB3Row92EmptyValueIsDelivered(t *testing.T) {
	m := through(t, "1.1", "1.1", "SEND\ndestination:/queue/a\nempty:\n\nx^")
	require.Contains(t, m.lines, "empty:")
}

func TestUninterpretedHeadersPassThrough(t *testing.T) {
	m := through(t, "1.2", "1.2", "SEND\ndestination:/queue/a\nttl:43200000\nid:7\nack:auto\nvo:atlas\nAMQ_SCHEDULED_CRON:x\n\nx^")
	require.Subset(t, m.lines, []string{"ttl:43200000", "id:7", "ack:auto", "vo:atlas", "AMQ_SCHEDULED_CRON:x"})
}

func TestPublishersAckIsHiddenWhereOursStands(t *testing.T) {
	for _, kind := range []string{"queue", "topic"} {
		s := start(t, newFakeBroker())
		c := login(t, s, "1.2")
		c.send("SUBSCRIBE\nid:i\ndestination:/" + kind + "/a\nack:client-individual\nreceipt:r\n\n^")
		c.expectReceipt("r")
		c.send("SEND\ndestination:/" + kind + "/a\nack:auto\nk:v\n\nx^")
		m := c.expect("MESSAGE")
		require.Equal(t, "1-0", m.get("ack"))
		require.NotContains(t, m.lines, "ack:auto")
		require.Contains(t, m.lines, "k:v")
	}
}

func TestReceiptsComeInOrderWhateverTheCompletions(t *testing.T) {
	b := newFakeBroker()
	b.hold = true
	c := login(t, start(t, b), "1.1")
	for i := range 50 {
		c.send("SEND\ndestination:/queue/a\nreceipt:" + strconv.Itoa(i) + "\n\nx^")
	}
	c.send("BEGIN\ntransaction:t\nreceipt:50\n\n^")
	eventually(t, "all sent", func() bool { return b.holding() == 50 })
	b.release(nil, true)
	for i := range 51 {
		c.expectReceipt(strconv.Itoa(i))
	}
}

func TestReceiptWaitsForTheStore(t *testing.T) {
	b := newFakeBroker()
	b.hold = true
	c := login(t, start(t, b), "1.1")
	c.send("SEND\ndestination:/queue/a\nreceipt:1\n\nx^DISCONNECT\nreceipt:2\n\n^")
	eventually(t, "sent", func() bool { return b.holding() == 1 })
	_ = c.nc.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, err := c.r.Peek(2)
	require.Error(t, err, "nothing may be said before the store has it")
	b.release(nil, false)
	c.expectReceipt("1")
	c.expectReceipt("2")
	c.expectClosed()
}

func TestFailedSends(t *testing.T) {
	b := newFakeBroker()
	b.fail = gateway.WrapError(gateway.Internal, errStore, "internal error")
	c := login(t, start(t, b), "1.1")
	c.send("SEND\ndestination:/queue/a\nreceipt:1\n\nx^SEND\ndestination:/queue/a\n\nx^")
	require.Equal(t, "1", c.expectError("internal error").get("receipt-id"))
	require.False(t, c.expectError("internal error").has("receipt-id"))
	c.expectAlive()
	b.mu.Lock()
	b.fail = errStore
	b.mu.Unlock()
	c.send("SEND\ndestination:/queue/a\n\nx^")
	c.expectError("internal error") // the cause is for the log alone
	c = login(t, start(t, b, strict), "1.1")
	c.send("SEND\ndestination:/queue/a\nreceipt:1\n\nx^")
	require.Equal(t, "1", c.expect("ERROR").get("receipt-id"))
	c.expectClosed()
}

func TestDrainFinishesWhatHasArrived(t *testing.T) {
	b := newFakeBroker()
	b.hold = true
	s := start(t, b)
	c := login(t, s, "1.1")
	c.send(strings.Repeat("SEND\ndestination:/queue/a\n\nx^", 1000) + "SEND\ndestination:/queue/a\nreceipt:last\n\nx^SEND\ndestin")
	drained := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	go func() { drained <- s.Drain(ctx) }()
	eventually(t, "all received", func() bool { return b.holding() == 1001 })
	select {
	case <-drained:
		t.Fatal("drained before the outcomes were known")
	default:
	}
	b.release(nil, true)
	c.expectReceipt("last")
	c.expectClosed()
	c.nc.Close()
	require.NoError(t, <-drained)
}

func TestDrainGivesUpInTime(t *testing.T) {
	b := newFakeBroker()
	b.hold = true
	s := start(t, b)
	c := login(t, s, "1.1")
	c.send("SEND\ndestination:/queue/a\nreceipt:never\n\nx^")
	eventually(t, "sent", func() bool { return b.holding() == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Drain(ctx), context.DeadlineExceeded)
	eventually(t, "session ends", func() bool { return b.sessions() == 0 })
	b.release(nil, false) // a late outcome hurts nobody
}

func TestPublisherStandsWhileTheStoreDoes(t *testing.T) {
	b := newFakeBroker()
	b.hold = true
	for _, limit := range []func(*Limits){
		func(l *Limits) { l.OutstandingFrames = 4 },
		func(l *Limits) { l.OutstandingBytes = 4000 },
	} {
		c := login(t, start(t, b, func(cfg *Config) { limit(&cfg.Limits) }), "1.1")
		body := strings.Repeat("x", 900)
		c.send(strings.Repeat("SEND\ndestination:/queue/a\n\n"+body+"^", 12) + "DISCONNECT\nreceipt:bye\n\n^")
		for range 3 {
			eventually(t, "the limit is reached", func() bool { return b.holding() == 4 })
			b.release(nil, true)
		}
		c.expectReceipt("bye")
		c.expectClosed()
	}
}

// A broker that keeps a message to a topic back has a subscriber that is behind: what
// comes meanwhile, even from few publishers, would use up what may wait for it.
func TestPublisherStandsWhileASubscriberIsBehind(t *testing.T) {
	b := newFakeBroker()
	b.hold, b.behind = true, true
	c := login(t, start(t, b), "1.1")
	c.send(strings.Repeat("SEND\ndestination:/topic/a\n\nx^", 4) + "DISCONNECT\nreceipt:bye\n\n^")
	for i := range 4 {
		eventually(t, "the next message comes", func() bool { return b.holding() == 1 })
		require.Equal(t, i+1, b.stored(), "one message at a time")
		b.release(nil, false)
	}
	c.expectReceipt("bye")
	c.expectClosed()
}

// A message to a topic that somebody keeps waits for the disk. What is behind it is read meanwhile, so that many share a sync; their number is bounded
// as for queues, and each has its receipt, or its error, in its turn.
func TestPublisherGoesOnWhileTheDiskWorks(t *testing.T) {
	b := newFakeBroker()
	b.hold = true
	c := login(t, start(t, b, func(cfg *Config) { cfg.Limits.OutstandingFrames = 8 }), "1.1")
	for i := range 20 {
		c.send(fmt.Sprintf("SEND\ndestination:/topic/a,/queue/b\nreceipt:%d\n\nx^", i))
	}
	for _, at := range []int{0, 8, 16} {
		n := min(8, 20-at)
		eventually(t, "as many as may be under way come", func() bool { return b.holding() == n })
		if at == 8 {
			b.release(gateway.Errorf(gateway.NoSpace, "full"), true)
		} else {
			b.release(nil, true)
		}
		for i := range n {
			if at == 8 {
				require.Equal(t, strconv.Itoa(at+i), c.expectError("full").get("receipt-id"))
			} else {
				c.expectReceipt(strconv.Itoa(at + i))
			}
		}
	}
}

// brokenBroker breaks where it is told to.
type brokenBroker struct{ *fakeBroker }

type brokenSession struct{ gateway.Session }

type brokenSubscription struct{ gateway.Subscription }

func (b brokenBroker) Open(ctx context.Context, l gateway.Login) (gateway.Session, error) {
	s, err := b.fakeBroker.Open(ctx, l)
	return brokenSession{s}, err
}

func (brokenSession) Send(*gateway.Message, gateway.Completion, uint64) { panic("broken send") }

func (s brokenSession) Subscribe(o gateway.SubscribeOptions) (gateway.Subscription, error) {
	sub, err := s.Session.Subscribe(o)
	return brokenSubscription{sub}, err
}

func (brokenSubscription) Next([]gateway.Delivery, int) int { panic("broken subscription") }

func TestPanicEndsOneConnectionAlone(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b, func(cfg *Config) { cfg.Broker = brokenBroker{b} })
	other := login(t, s, "1.1")
	for _, frame := range []string{
		"SEND\ndestination:/queue/a\n\nx^", "SUBSCRIBE\nid:1\ndestination:/queue/a\n\n^",
	} {
		c := login(t, s, "1.1")
		c.send(frame)
		_, err := c.next()
		require.Error(t, err)
		eventually(t, "session ends", func() bool { return b.sessions() == 1 })
	}
	other.expectAlive()
}
