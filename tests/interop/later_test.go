package interop

import (
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
)

// Scenes of clients that grids have beside those with a name.

// phpDurable is stomp-php's durable subscription on an ActiveMQ: both headers, a window of one, and a name that is the client-id.
func phpDurable(p *play) {
	const topic, name = "/topic/ganga.status", "durable-client-1"
	attend := func(node int) *raw.Client {
		c := raw.Login(p, p.at(node), "1.0,1.1,1.2", "client-id:"+name)
		ask(p, c, "SUBSCRIBE", "", "destination:"+topic, "ack:client-individual", "id:"+name, "activemq.prefetchSize:1",
			"activemq.subscriptionName:"+name, "durable-subscriber-name:"+name, "durable-subscription-name:"+name)
		return c
	}
	leave := func(c *raw.Client) {
		c.Ask("DISCONNECT", "", "client-id:"+name)
		require.Empty(p, c.Closed())
	}
	leave(attend(0))
	sender := raw.Login(p, p.at(1), "1.2")
	for i := range 5 {
		sender.Ask("SEND", strconv.Itoa(i), "destination:"+topic, "persistent:true")
	}
	c := attend(2) // on another node than it was
	for i := range 4 {
		m := c.Expect("MESSAGE")
		require.Equal(p, strconv.Itoa(i), m.Body)
		require.Equal(p, name, m.Get("subscription"))
		c.Send("ACK", "", "id:"+m.Get("ack"), "message-id:"+m.Get("message-id"), "subscription:"+name)
	}
	last := c.Expect("MESSAGE")
	require.Equal(p, "4", last.Body)
	leave(c) // and does not acknowledge the last one
	c = attend(0)
	m := c.Expect("MESSAGE")
	require.Equal(p, []string{"4", last.Get("message-id")}, []string{m.Body, m.Get("message-id")})
	c.Ask("ACK", "", "id:"+m.Get("ack"))
	// It ends the consumer, and then the subscription.
	c.Ask("UNSUBSCRIBE", "", "id:"+name)
	c.Ask("UNSUBSCRIBE", "", "id:"+name, "activemq.subscriptionName:"+name, "durable-subscription-name:"+name)
	leave(c)
}

// queueWildcards are those of Ruby's stomp, and of a collector that reads all queues of its sites.
func queueWildcards(p *play) {
	c := raw.Login(p, p.at(0), "1.1")
	ask(p, c, "SUBSCRIBE", "", "id:one", "destination:/queue/accounting.*.cpu", "ack:client")
	sender := raw.Login(p, p.at(1), "1.1")
	for _, name := range []string{"accounting.cern.cpu", "accounting.cern.disk", "accounting.ral.cpu", "accounting.ral.tier2.cpu"} {
		sender.Ask("SEND", name, "destination:/queue/"+name, "persistent:true")
	}
	heard := map[string]bool{}
	for range 2 {
		m := c.Expect("MESSAGE")
		require.Equal(p, "/queue/"+m.Body, m.Get("destination"))
		require.Equal(p, "one", m.Get("subscription"))
		c.Send("ACK", "", "message-id:"+m.Get("message-id"), "subscription:one")
		heard[m.Body] = true
	}
	require.Equal(p, map[string]bool{"accounting.cern.cpu": true, "accounting.ral.cpu": true}, heard)
	c.Ask("UNSUBSCRIBE", "", "id:one")
	ask(p, c, "SUBSCRIBE", "", "id:rest", "destination:/queue/accounting.>")
	for range 2 {
		heard[c.Expect("MESSAGE").Body] = true
	}
	require.Len(p, heard, 4)
}

// temporaryQueue asks and is answered, as MCollective does it and as ActiveMQ's own examples do.
func temporaryQueue(p *play) {
	client := raw.Login(p, p.at(0), "1.1")
	ask(p, client, "SUBSCRIBE", "", "id:answers", "destination:/temp-queue/mcollective_reply")
	server := raw.Login(p, p.at(1), "1.1")
	server.Ask("SUBSCRIBE", "", "id:questions", "destination:/queue/mcollective.questions")
	for i := range 10 {
		client.Send("SEND", strconv.Itoa(i), "destination:/queue/mcollective.questions", "reply-to:/temp-queue/mcollective_reply", "correlation-id:q"+strconv.Itoa(i))
		question := server.Expect("MESSAGE")
		require.NotEmpty(p, question.Get("reply-to"))
		// The answer goes to the text as it came, read by a client that unescapes.
		to := strings.ReplaceAll(question.Get("reply-to"), `\c`, ":")
		server.Ask("SEND", "answer to "+question.Body, "destination:"+strings.ReplaceAll(to, ":", `\c`), "correlation-id:"+question.Get("correlation-id"))
		answer := client.Expect("MESSAGE")
		require.Equal(p, []string{"answer to " + strconv.Itoa(i), "q" + strconv.Itoa(i), "answers"},
			[]string{answer.Body, answer.Get("correlation-id"), answer.Get("subscription")})
	}
}

// browser looks at a queue and takes nothing.
func browser(p *play) {
	const queue = "/queue/operators.look"
	c := raw.Login(p, p.at(0), "1.1")
	for i := range 30 {
		c.Ask("SEND", strconv.Itoa(i), "destination:"+queue, "persistent:true")
	}
	for node := range p.cluster.Nodes {
		d := raw.Login(p, p.at(node), "1.1")
		ask(p, d, "SUBSCRIBE", "", "id:look", "destination:"+queue, "browser:true")
		for i := range 30 {
			m := d.Expect("MESSAGE")
			require.Equal(p, strconv.Itoa(i), m.Body)
			require.Empty(p, m.Get("browser"))
		}
		end := d.Expect("MESSAGE")
		require.Equal(p, []string{"end", "look"}, []string{end.Get("browser"), end.Get("subscription")})
		d.Ask("UNSUBSCRIBE", "", "id:look")
	}
	c.Ask("SUBSCRIBE", "", "id:take", "destination:"+queue)
	for i := range 30 {
		m := c.Expect("MESSAGE")
		require.Equal(p, strconv.Itoa(i), m.Body)
		require.Empty(p, m.Get("redelivered"))
	}
}
