package stomp

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// noon is when messages are sent in these tests.
var noon = time.UnixMilli(1_700_000_000_000)

// adapted sends a message with these headers and returns what the broker gets.
func adapted(t *testing.T, p Personality, headers string) *gateway.Message {
	t.Helper()
	b := newFakeBroker()
	c := login(t, start(t, b, like(p), func(cfg *Config) { cfg.Clock = func() time.Time { return noon } }), "1.1")
	c.send("SEND\ndestination:/queue/a\nreceipt:r\n" + headers + "\nx^")
	c.expectReceipt("r")
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queue(gateway.Destination{Kind: gateway.KindQueue, Name: "a"}).waiting[0].Message
}

func TestA3ExpiryInEveryDialect(t *testing.T) {
	now := noon.UnixMilli()
	at := func(ms int64) string { return strconv.FormatInt(now+ms, 10) }
	for p, cases := range map[Personality]map[string]int64{
		ActiveMQ: {"ttl:1000\n": 0, "expiration:1000\n": 0, "expires:" + at(5) + "\n": now + 5},
		Strict:   {"ttl:1000\n": 0, "expiration:1000\n": 0},
		RabbitMQ: {"expiration:1000\n": now + 1000, "ttl:1000\n": 0, "expiration:1000\nexpires:" + at(5) + "\n": now + 5, "expiration:0\n": 0},
		Artemis:  {"ttl:1000\n": now + 1000, "expiration:1000\n": 0, "expires:" + at(5) + "\n": now + 5},
		Apollo:   {"ttl:1000\n": now + 1000, "ttl:0\n": 0},
	} {
		for headers, want := range cases {
			m := adapted(t, p, headers)
			require.Equal(t, want, m.Expires, "%d %s", p, headers)
			for line := range strings.SplitSeq(strings.TrimSpace(headers), "\n") {
				name, value, _ := strings.Cut(line, ":")
				if got, ok := m.Header.Get(name); ok {
					require.Equal(t, value, got, "it is forwarded as it came")
				} else {
					require.Equal(t, "expires", name)
				}
			}
		}
	}
}

func TestB3Rows78And79DelaysInEveryDialect(t *testing.T) {
	at := strconv.FormatInt(noon.UnixMilli()+2000, 10)
	for _, c := range []struct {
		p       Personality
		headers string
		want    string
	}{
		{ActiveMQ, "AMQ_SCHEDULED_DELAY:2000\n", "AMQ_SCHEDULED_DELAY=2000"},
		{ActiveMQ, "AMQ_SCHEDULED_DELAY:1\nAMQ_SCHEDULED_PERIOD:2\nAMQ_SCHEDULED_REPEAT:3\nAMQ_SCHEDULED_CRON:0 1 * * *\n",
			"AMQ_SCHEDULED_DELAY=1 AMQ_SCHEDULED_PERIOD=2 AMQ_SCHEDULED_REPEAT=3 AMQ_SCHEDULED_CRON=0 1 * * *"},
		{ActiveMQ, "x-delay:2000\nAMQ_SCHEDULED_TIME:" + at + "\n", "x-delay=2000 AMQ_SCHEDULED_TIME=" + at},
		{RabbitMQ, "x-delay:2000\n", "AMQ_SCHEDULED_DELAY=2000"},
		{RabbitMQ, "x-delay:-5\n", "AMQ_SCHEDULED_DELAY=0"},
		{RabbitMQ, "AMQ_SCHEDULED_DELAY:7\nx-delay:2000\n", "AMQ_SCHEDULED_DELAY=7 x-delay=2000"},
		{Artemis, "_AMQ_SCHED_DELIVERY:" + at + "\n", "AMQ_SCHEDULED_DELAY=2000"},
		{Artemis, "AMQ_SCHEDULED_TIME:" + at + "\n", "AMQ_SCHEDULED_DELAY=2000"},
		{Artemis, "AMQ_SCHEDULED_TIME:1\n", "AMQ_SCHEDULED_DELAY=0"},
		{Artemis, "AMQ_SCHEDULED_DELAY:2000\n", "AMQ_SCHEDULED_DELAY=2000"},
	} {
		var got []string
		for _, f := range adapted(t, c.p, c.headers).Header {
			got = append(got, f.Name+"="+f.Value)
		}
		require.Equal(t, c.want, strings.Join(got, " "), c.headers)
	}
	for p, bad := range map[Personality][]string{
		ActiveMQ: {"AMQ_SCHEDULED_DELAY:x", "AMQ_SCHEDULED_DELAY:-1", "AMQ_SCHEDULED_PERIOD:1.5", "AMQ_SCHEDULED_REPEAT:", "AMQ_SCHEDULED_DELAY:99999999999999"},
		RabbitMQ: {"x-delay:soon", "expiration:x", "expiration:-1", "x-delay:9223372036854775807"}, Artemis: {"AMQ_SCHEDULED_TIME:x", "_AMQ_SCHED_DELIVERY:9223372036854775807", "ttl:x"},
	} {
		c := login(t, start(t, newFakeBroker(), like(p)), "1.1")
		for _, header := range bad {
			c.send("SEND\ndestination:/queue/a\nreceipt:r\n" + header + "\n\nx^")
			require.Equal(t, "r", c.expect("ERROR").get("receipt-id"), header)
		}
		c.expectAlive()
	}
}

func TestA3GroupsByAnyName(t *testing.T) {
	for _, name := range []string{"JMSXGroupID", "message_group", "_AMQ_GROUP_ID"} {
		for p := range dialects {
			m := adapted(t, Personality(p), name+":g\nJMSXGroupSeq:-1\n")
			group, _ := m.Header.Get("JMSXGroupID")
			require.Equal(t, "g", group)
			as, _ := m.Header.Get(name)
			require.Equal(t, "g", as, "it is echoed as it came")
		}
	}
	m := adapted(t, ActiveMQ, "message_group:other\nJMSXGroupID:g\n_AMQ_GROUP_ID:third\n")
	require.Len(t, m.Header, 3)
	group, _ := m.Header.Get("JMSXGroupID")
	require.Equal(t, "g", group)
	require.Equal(t, "g", through(t, "1.1", "1.1", "SEND\ndestination:/queue/a\nmessage_group:g\n\nx^").get("JMSXGroupID"))
}

func TestB3Row72JMSXUserIDIsWhoSentIt(t *testing.T) {
	for _, on := range []bool{true, false} {
		b := newFakeBroker()
		s := start(t, b, func(cfg *Config) { cfg.UserID = on })
		c := dial(t, s)
		c.send("CONNECT\nlogin:alice\npasscode:x\n\n^")
		c.expect("CONNECTED")
		c.send("SUBSCRIBE\nid:1\ndestination:/queue/a\n\n^SEND\ndestination:/queue/a\nJMSXUserID:mallory\n\nx^")
		m := c.expect("MESSAGE")
		require.Equal(t, on, m.has("JMSXUserID"))
		require.NotContains(t, m.lines, "JMSXUserID:mallory")
		if on {
			require.Equal(t, "alice", m.get("JMSXUserID"))
		}
	}
}

func TestA3RetainedAndOtherHeadersPass(t *testing.T) {
	m := through(t, "1.1", "1.1", "SEND\ndestination:/queue/a\nretain:set\nActiveMQ.Retain:true\ntransformation:jms-map-json\ncorrelation-id:7\namqp-message-id:9\n\nx^")
	require.Subset(t, m.lines, []string{"retain:set", "ActiveMQ.Retain:true", "transformation:jms-map-json", "correlation-id:7", "amqp-message-id:9"})
}

// An ERROR for a header tells the receipt, also where the message had the header already.
func TestRefusedHeadersInATransaction(t *testing.T) {
	c := login(t, start(t, newFakeBroker()), "1.1")
	c.send("BEGIN\ntransaction:t\n\n^SEND\ndestination:/queue/a\ntransaction:t\nreceipt:r\nAMQ_SCHEDULED_DELAY:x\n\nx^")
	require.Equal(t, "r", c.expectError("Invalid value for the AMQ_SCHEDULED_DELAY header: x").get("receipt-id"))
	c.settle("COMMIT\ntransaction:t\nreceipt:settled\n\n^")
}
