package stomp

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

func TestB5Rows125And139CommitAndAbortReuseTheID(t *testing.T) {
	s := start(t, newFakeBroker())
	c := subscribed(t, s, "1.1", "")
	for i := range 3 {
		c.send("BEGIN\ntransaction:tx1\nreceipt:b\n\n^SEND\ndestination:/queue/a\ntransaction:tx1\nreceipt:in\n\naborted^")
		c.expectReceipt("b")
		c.expectReceipt("in") // at once, as ActiveMQ does
		c.send("ABORT\ntransaction:tx1\nreceipt:a\n\n^")
		c.expectReceipt("a")
		c.send("BEGIN\ntransaction:tx1\n\n^SEND\ndestination:/queue/a\ntransaction:tx1\n\n" + strconv.Itoa(i) + "^")
		c.expectAlive() // nothing is visible before the commit
		c.send("COMMIT\ntransaction:tx1\nreceipt:c\n\n^")
		var body string
		for range 2 { // the receipt and the message
			if r := c.frame(); r.command == "MESSAGE" {
				body = r.body
				require.False(t, r.has("transaction"))
			} else {
				require.Equal(t, []string{"receipt-id:c"}, r.lines)
			}
		}
		require.Equal(t, strconv.Itoa(i), body)
	}
}

func TestB5Row126Refusals(t *testing.T) {
	c := login(t, start(t, newFakeBroker()), "1.1")
	c.send("BEGIN\ntransaction:t\n\n^")
	for frame, words := range map[string]string{
		"BEGIN\ntransaction:t\n":  "The transaction was already started: t",
		"BEGIN\n":                 "Must specify the transaction you are beginning",
		"COMMIT\n":                "Must specify the transaction you are committing",
		"ABORT\n":                 "Must specify the transaction you are aborting",
		"COMMIT\ntransaction:x\n": "Invalid transaction id: x",
		"ABORT\ntransaction:x\n":  "Invalid transaction id: x",
		"SEND\ndestination:/queue/a\ntransaction:x\n":     "Invalid transaction id: x",
		"ACK\nsubscription:0\nmessage-id:1\ntransaction:": "Invalid transaction id: ",
	} {
		c.send(frame + "receipt:r\n\n^")
		r := c.expect("ERROR")
		require.Contains(t, r.body, words)
		if !strings.HasSuffix(frame, ":") {
			require.Equal(t, "r", r.get("receipt-id"))
		}
	}
	c.expectAlive()
}

func TestB5Rows127And130AckAgainAfterAbort(t *testing.T) {
	for _, mode := range []string{"client", "client-individual"} {
		for _, command := range []string{"ACK", "NACK"} {
			b := newFakeBroker()
			s := start(t, b)
			fill(t, s, 2)
			c := subscribed(t, s, "1.2", "ack:"+mode+"\n")
			_, ms := c.bodies(2)
			for i := range 2 {
				c.send("BEGIN\ntransaction:t\n\n^")
				c.settle(command + "\ntransaction:t\nid:" + ms[i].get("ack") + "\nreceipt:settled\n\n^")
				c.send("ABORT\ntransaction:t\n\n^")
				c.expectAlive() // Row136: nothing comes again to the live consumer
			}
			for i := range 2 {
				c.settle(command + "\nid:" + ms[i].get("ack") + "\nreceipt:settled\n\n^")
			}
			require.Zero(t, b.unsettled())
		}
	}
}

func TestB5Row128AcksInAnyOrderInsideATransaction(t *testing.T) {
	for _, mode := range []string{"client", "client-individual"} {
		b := newFakeBroker()
		s := start(t, b)
		fill(t, s, 5)
		c := subscribed(t, s, "1.1", "ack:"+mode+"\n")
		_, ms := c.bodies(5)
		c.send("BEGIN\ntransaction:t\n\n^")
		for _, i := range []int{2, 0, 4, 1, 3, 3} {
			c.settle("ACK\nsubscription:0\ntransaction:t\nmessage-id:" + ms[i].get("message-id") + "\nreceipt:settled\n\n^")
		}
		require.Equal(t, 5, b.unsettled(), "nothing is settled before the commit")
		c.settle("COMMIT\ntransaction:t\nreceipt:settled\n\n^")
		require.Zero(t, b.unsettled())
		eventually(t, "the window is back", func() bool { return b.extension() == 0 })
	}
}

func TestB5Row129MixedAckAndNack(t *testing.T) {
	for _, tx := range []string{"", "transaction:t\n"} {
		b := newFakeBroker()
		s := start(t, b)
		fill(t, s, 10)
		c := subscribed(t, s, "1.2", "ack:client-individual\n")
		_, ms := c.bodies(10)
		c.send("BEGIN\ntransaction:t\n\n^")
		for i, m := range ms {
			command := "ACK"
			if i%2 == 1 {
				command = "NACK"
			}
			c.settle(command + "\n" + tx + "id:" + m.get("ack") + "\nreceipt:settled\n\n^")
		}
		c.settle("COMMIT\ntransaction:t\nreceipt:settled\n\n^")
		require.Zero(t, b.unsettled())
		require.Len(t, b.deadLetters(), 5)
	}
}

func TestB4Row100RepeatedTransactionsAtPrefetchOne(t *testing.T) {
	s := start(t, newFakeBroker())
	fill(t, s, 50)
	c := subscribed(t, s, "1.2", "ack:client-individual\nactivemq.prefetchSize:1\n")
	seen := map[string]bool{}
	m := c.expect("MESSAGE")
	for i := range 50 {
		seen[m.body] = true
		tx := fmt.Sprintf("transaction:t%d\n", i)
		c.send("BEGIN\n" + tx + "\n^ACK\nid:" + m.get("ack") + "\n" + tx + "\n^COMMIT\n" + tx + "receipt:done\n\n^")
		for done, next := false, i == 49; !done || !next; {
			if r := c.frame(); r.command == "MESSAGE" {
				m, next = r, true
			} else {
				require.Equal(t, []string{"receipt-id:done"}, r.lines)
				done = true
			}
		}
	}
	require.Len(t, seen, 50)
	c.expectAlive()
}

func TestB4Row109AckInsideTransactionOpensTheWindow(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b)
	fill(t, s, 2)
	c := subscribed(t, s, "1.2", "ack:client\nactivemq.prefetchSize:1\n")
	first := c.expect("MESSAGE")
	c.expectAlive()
	c.send("BEGIN\ntransaction:t\n\n^ACK\ntransaction:t\nid:" + first.get("ack") + "\n\n^")
	second := c.expect("MESSAGE")
	require.Equal(t, "2", second.body)
	c.send("ABORT\ntransaction:t\n\n^BEGIN\ntransaction:t2\n\n^")
	c.settle("ACK\ntransaction:t2\nid:" + second.get("ack") + "\nreceipt:settled\n\n^")
	c.settle("COMMIT\ntransaction:t2\nreceipt:settled\n\n^")
	require.Zero(t, b.unsettled())
	eventually(t, "the window is back", func() bool { return b.extension() == 0 })
}

func TestB5Rows131And132AcksInTransactions(t *testing.T) {
	for _, kind := range []string{"queue", "topic"} {
		b := newFakeBroker()
		s := start(t, b)
		c := login(t, s, "1.1")
		c.send("SUBSCRIBE\nid:0\ndestination:/" + kind + "/a\nack:client\nreceipt:s\n\n^")
		c.expectReceipt("s")
		p := login(t, s, "1.1")
		for round := range 5 {
			tx := fmt.Sprintf("transaction:t%d\n", round)
			c.send("BEGIN\n" + tx + "\n^")
			for range 10 {
				p.send("SEND\ndestination:/" + kind + "/a\n\nx^")
				m := c.expect("MESSAGE")
				c.send("ACK\nsubscription:0\n" + tx + "message-id:" + m.get("message-id") + "\n\n^")
			}
			c.settle("COMMIT\n" + tx + "receipt:settled\n\n^")
			require.Zero(t, b.unsettled())
			eventually(t, "the window is back", func() bool { return b.extension() == 0 })
		}
	}
}

func TestB5Row133SeveralDestinations(t *testing.T) {
	c := subscribed(t, start(t, newFakeBroker()), "1.1", "ack:client\n")
	c.send("SEND\ndestination:/queue/a\n\nx^")
	m := c.expect("MESSAGE")
	c.send("BEGIN\ntransaction:t\n\n^SEND\ndestination:/queue/b\ntransaction:t\n\ny^SEND\ndestination:/topic/c\ntransaction:t\n\nz^")
	c.send("ACK\nsubscription:0\ntransaction:t\nmessage-id:" + m.get("message-id") + "\n\n^")
	c.settle("COMMIT\ntransaction:t\nreceipt:settled\n\n^")
	c.send("SUBSCRIBE\nid:2\ndestination:/queue/b\n\n^")
	require.Equal(t, "y", c.expect("MESSAGE").body)
}

func TestB5Row134AckInTransactionSurvivesUnsubscribe(t *testing.T) {
	s := start(t, newFakeBroker())
	fill(t, s, 2)
	c := subscribed(t, s, "1.1", "ack:client\n")
	_, ms := c.bodies(2)
	c.send("BEGIN\ntransaction:t\n\n^ACK\nsubscription:0\ntransaction:t\nmessage-id:" + ms[0].get("message-id") + "\n\n^")
	c.settle("UNSUBSCRIBE\nid:0\nreceipt:settled\n\n^")
	c.settle("COMMIT\ntransaction:t\nreceipt:settled\n\n^")
	all, _ := subscribed(t, s, "1.1", "").bodies(1)
	require.Equal(t, []string{"2"}, all)
}

func TestB5Row135CommitOrder(t *testing.T) {
	c := subscribed(t, start(t, newFakeBroker()), "1.1", "")
	c.send("SEND\ndestination:/queue/a\n\nm1^BEGIN\ntransaction:t\n\n^SEND\ndestination:/queue/a\ntransaction:t\n\nt1^" +
		"SEND\ndestination:/queue/a\n\nm2^SEND\ndestination:/queue/a\ntransaction:t\n\nt2^COMMIT\ntransaction:t\n\n^" +
		"SEND\ndestination:/queue/a\n\nm3^")
	all, _ := c.bodies(5)
	require.Equal(t, []string{"m1", "m2", "t1", "t2", "m3"}, all)
}

func TestB5Row137ReackInANewTransaction(t *testing.T) {
	s := start(t, newFakeBroker())
	fill(t, s, 1)
	c := subscribed(t, s, "1.1", "ack:client\n")
	id := c.expect("MESSAGE").get("message-id")
	for i, end := range []string{"ABORT", "ABORT", "COMMIT"} {
		tx := fmt.Sprintf("transaction:t%d\n", i)
		c.send("BEGIN\n" + tx + "\n^ACK\nsubscription:0\n" + tx + "message-id:" + id + "\n\n^")
		c.settle(end + "\n" + tx + "receipt:settled\n\n^")
	}
	c.send("ACK\nsubscription:0\nmessage-id:" + id + "\n\n^")
	c.expectError("Unexpected ACK received for message-id [" + unescape(id) + "]")
}

func TestHeldDeliveryCannotBeAckedElsewhere(t *testing.T) {
	s := start(t, newFakeBroker())
	fill(t, s, 1)
	c := subscribed(t, s, "1.2", "ack:client\n")
	id := c.expect("MESSAGE").get("ack")
	c.send("BEGIN\ntransaction:1\n\n^BEGIN\ntransaction:2\n\n^ACK\ntransaction:1\nid:" + id + "\n\n^")
	for _, tx := range []string{"", "transaction:2\n"} {
		c.send("ACK\n" + tx + "id:" + id + "\n\n^")
		c.expectError("Unexpected ACK received for message-id [" + id + "]")
	}
	c.settle("COMMIT\ntransaction:1\nreceipt:settled\n\n^")
}

func TestFailedCommitFreesItsAcks(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b)
	fill(t, s, 1)
	c := subscribed(t, s, "1.2", "ack:client\n")
	id := c.expect("MESSAGE").get("ack")
	b.mu.Lock()
	b.denied["queue://no"] = true
	b.mu.Unlock()
	c.send("BEGIN\ntransaction:1\n\n^ACK\ntransaction:1\nid:" + id + "\n\n^SEND\ndestination:/queue/no\ntransaction:1\n\nx^")
	c.send("COMMIT\ntransaction:1\nreceipt:c\n\n^")
	require.Equal(t, "c", c.expectError("User is not authorized to write to: queue://no").get("receipt-id"))
	c.settle("ACK\nid:" + id + "\nreceipt:settled\n\n^")
	eventually(t, "the window is back", func() bool { return b.extension() == 0 })
}

func TestDisconnectAborts(t *testing.T) {
	b := newFakeBroker()
	s := start(t, b)
	c := login(t, s, "1.1")
	c.send("BEGIN\ntransaction:t\n\n^SEND\ndestination:/queue/a\ntransaction:t\n\nx^")
	c.leave()
	require.Zero(t, b.stored())
}

func TestCommitReceiptMeansStored(t *testing.T) {
	b := newFakeBroker()
	c := login(t, start(t, b), "1.1")
	b.mu.Lock()
	b.hold = true
	b.mu.Unlock()
	c.send("BEGIN\ntransaction:t\n\n^SEND\ndestination:/queue/a\ntransaction:t\nreceipt:1\n\nx^COMMIT\ntransaction:t\nreceipt:2\n\n^")
	c.expectReceipt("1")
	eventually(t, "commit is under way", func() bool { return b.holding() == 1 })
	b.release(gateway.Errorf(gateway.NoSpace, "The store is full"), false)
	require.Equal(t, "2", c.expectError("The store is full").get("receipt-id"))
}

// Acknowledgements open the window, so that without a bound an endless transaction
// would hold all messages that ever come.
func TestAcksInTransactionsAreBoundedToo(t *testing.T) {
	b := newFakeBroker()
	c := login(t, start(t, b, func(cfg *Config) { cfg.Limits.TransactionBytes = 10 * heldAck }), "1.2")
	c.settle("SUBSCRIBE\nid:1\ndestination:/queue/a\nack:client-individual\nreceipt:settled\n\n^")
	c.send(strings.Repeat("SEND\ndestination:/queue/a\n\nx^", 11))
	var ids []string
	for range 11 {
		ids = append(ids, c.expect("MESSAGE").get("ack"))
	}
	for range 3 { // what was freed counts no more
		c.send("BEGIN\ntransaction:0\n\n^BEGIN\ntransaction:1\n\n^")
		for i, id := range ids {
			c.send("ACK\nid:" + id + "\ntransaction:" + strconv.Itoa(i%2) + "\n\n^")
		}
		require.Contains(t, c.expect("ERROR").body, "more than 1280 bytes, the limit: abort this one")
		c.send("COMMIT\ntransaction:0\nreceipt:r\n\n^")
		require.Equal(t, "r", c.expect("ERROR").get("receipt-id"))
		c.settle("ABORT\ntransaction:1\nreceipt:settled\n\n^")
		require.Zero(t, b.extension(), "the window is as it was")
		require.Equal(t, 11, b.unsettled())
	}
	c.send("BEGIN\ntransaction:2\n\n^")
	for _, id := range ids[:10] {
		c.settle("ACK\nid:" + id + "\ntransaction:2\nreceipt:settled\n\n^")
	}
	c.settle("COMMIT\ntransaction:2\nreceipt:settled\n\n^")
	require.Equal(t, 1, b.unsettled())
}

func TestTransactionLimits(t *testing.T) {
	b := newFakeBroker()
	c := login(t, start(t, b, func(cfg *Config) {
		cfg.Limits.Transactions, cfg.Limits.TransactionMessages, cfg.Limits.TransactionBytes = 2, 3, 10000
	}), "1.1")
	c.send("BEGIN\ntransaction:1\n\n^BEGIN\ntransaction:2\n\n^BEGIN\ntransaction:3\n\n^")
	c.expectError("The connection has 2 open transactions, the limit")
	c.send(strings.Repeat("SEND\ndestination:/queue/a\ntransaction:1\n\nx^", 2) +
		strings.Repeat("SEND\ndestination:/queue/a\ntransaction:2\nreceipt:r\n\nx^", 2))
	c.expectReceipt("r")
	r := c.expect("ERROR")
	require.Equal(t, "r", r.get("receipt-id"))
	require.Contains(t, r.body, "hold 3 messages, the limit")
	// What was refused a part is not committed as a whole.
	c.send("COMMIT\ntransaction:2\nreceipt:r2\n\n^")
	require.Equal(t, "r2", c.expect("ERROR").get("receipt-id"))
	c.settle("COMMIT\ntransaction:1\nreceipt:settled\n\n^")
	require.Equal(t, 2, b.stored())
	c.send("BEGIN\ntransaction:4\n\n^SEND\ndestination:/queue/a\ntransaction:4\n\n" + strings.Repeat("x", 20000) + "^")
	require.Contains(t, c.expect("ERROR").body, "more than 10000 bytes")
	c.settle("ABORT\ntransaction:4\nreceipt:settled\n\n^")
}
