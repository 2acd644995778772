package interop

import (
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
)

// sluice runs a command at a node, and returns what it says.
func (p *play) sluice(i int, arguments ...string) string {
	n := p.cluster.Nodes[i]
	out, err := n.Command(append(arguments, "--data-dir", n.Dir())...).CombinedOutput()
	require.NoError(p, err, "%v: %s", arguments, out)
	return string(out)
}

// stocked sends persistent messages with numbers.
func stocked(c *raw.Client, destination string, n int, lines ...string) {
	for i := range n {
		c.Ask("SEND", strconv.Itoa(i), append([]string{"destination:" + destination, "persistent:true", "n:" + strconv.Itoa(i)}, lines...)...)
	}
}

// taken takes n messages, and returns their bodies in order.
func taken(p *play, c *raw.Client, destination string, n int) (bodies []string) {
	c.Ask("SUBSCRIBE", "", "id:taken", "destination:"+destination)
	for range n {
		bodies = append(bodies, c.Expect("MESSAGE").Body)
	}
	c.Ask("UNSUBSCRIBE", "", "id:taken")
	sort.Slice(bodies, func(i, j int) bool {
		return len(bodies[i]) < len(bodies[j]) || len(bodies[i]) == len(bodies[j]) && bodies[i] < bodies[j]
	})
	return bodies
}

func upTo(n int) (all []string) {
	for i := range n {
		all = append(all, strconv.Itoa(i))
	}
	return all
}

// operators work on queues from every node, whichever owns them: they look, move, remove, and send dead messages back.
func operators(p *play) {
	const many = 300 // more than an owner looks at at once
	for i := range p.cluster.Nodes {
		c := raw.Login(p, p.at((i+1)%3), "1.2")
		for k := range 4 { // some queues, so that every node owns one of them
			from, to := fmt.Sprintf("/queue/ops.%d.%d", i, k), fmt.Sprintf("/queue/ops.to.%d.%d", i, k)
			stocked(c, from, many)
			lines := strings.Split(strings.TrimSpace(p.sluice(i, "queue", "browse", from, "--json", "--body", "--count", "0")), "\n")
			require.Len(p, lines, many)
			for n, line := range lines {
				var m struct{ Body string }
				require.NoError(p, json.Unmarshal([]byte(line), &m))
				require.Equal(p, strconv.Itoa(n), m.Body)
			}
			require.Equal(p, "1 messages removed\n", p.sluice(i, "queue", "purge", from, "--selector", "n = '299'"))
			require.Equal(p, "299 messages moved\n", p.sluice(i, "queue", "move", from, to))
			require.Equal(p, upTo(many-1), taken(p, c, to, many-1))
			require.Equal(p, "0 messages removed\n", p.sluice(i, "queue", "purge", from))

			stocked(c, from, 5)
			c.Ask("SUBSCRIBE", "", "id:refuse", "destination:"+from, "ack:client-individual")
			for range 5 {
				c.Send("NACK", "", "id:"+c.Expect("MESSAGE").Get("ack"))
			}
			c.Ask("UNSUBSCRIBE", "", "id:refuse")
			back := 0
			require.Eventually(p, func() bool {
				var n int
				_, err := fmt.Sscanf(p.sluice(i, "dlq", "retry", "/queue/ActiveMQ.DLQ", "--selector", "hyphenated_props:original-destination = '"+from+"'"), "%d messages back", &n)
				back += n
				return err == nil && back == 5
			}, p.soon, 50*time.Millisecond)
			require.Equal(p, upTo(5), taken(p, c, from, 5))
		}
	}
}

// mixedAnswers has every node's STOMP and native clients ask and answer one another, wherever they are: by temporary queues, inboxes, topics and queues.
func mixedAnswers(p *play) {
	var natives []*natsgo.Conn
	for i := range p.cluster.Nodes {
		nc, err := natsgo.Connect("nats://"+p.cluster.Nodes[i].Addr("nats"), natsgo.NoReconnect())
		require.NoError(p, err)
		defer nc.Close()
		natives = append(natives, nc)
	}
	for i := range natives {
		for k, nc := range natives {
			stompAsks(p, i, nc, fmt.Sprintf("mixed.%d.%d", i, k))
			nativeAsks(p, i, nc, fmt.Sprintf("mixed.back.%d.%d", i, k))
		}
	}
}

// stompAsks has a STOMP client ask by a topic and by a queue.
func stompAsks(p *play, i int, nc *natsgo.Conn, name string) {
	answer := func(m *natsgo.Msg, to string) {
		if to != "" {
			_ = nc.Publish(to, append([]byte("answer to "), m.Data...))
		}
	}
	sub, err := nc.Subscribe("topic."+name, func(m *natsgo.Msg) { answer(m, m.Reply) })
	require.NoError(p, err)
	defer func() { _ = sub.Unsubscribe() }()
	js, err := jetstream.New(nc)
	require.NoError(p, err)
	worker, err := js.CreateOrUpdateConsumer(p.Context(), "QUEUES", jetstream.ConsumerConfig{Durable: strings.ReplaceAll(name, ".", "-"), FilterSubject: "queue." + name})
	require.NoError(p, err)
	consuming, err := worker.Consume(func(m jetstream.Msg) {
		answer(&natsgo.Msg{Data: m.Data()}, m.Headers().Get("Sluice-Reply"))
		_ = m.Ack()
	})
	require.NoError(p, err)
	defer consuming.Stop()
	c := raw.Login(p, p.at(i), "1.2")
	c.Ask("SUBSCRIBE", "", "id:mine", "destination:/temp-queue/mine")
	for _, to := range []string{"/topic/" + name, "/queue/" + name} {
		require.Eventually(p, func() bool { // a topic's subscriber is known when it is known
			c.Send("SEND", to, "destination:"+to, "reply-to:/temp-queue/mine")
			m, err := c.Within(time.Second)
			return err == nil && m.Body == "answer to "+to && m.Get("destination") == "/temp-queue/mine"
		}, p.soon, time.Millisecond)
	}
}

// nativeAsks has a native client ask, by a topic and by a queue, and a STOMP client answer to what it reads in reply-to.
func nativeAsks(p *play, i int, nc *natsgo.Conn, name string) {
	for _, kind := range []string{"topic", "queue"} {
		c := raw.Login(p, p.at(i), "1.2")
		c.Ask("SUBSCRIBE", "", "id:"+kind, "destination:/"+kind+"/"+name)
		inbox := natsgo.NewInbox()
		answers, err := nc.SubscribeSync(inbox)
		require.NoError(p, err)
		require.Eventually(p, func() bool {
			require.NoError(p, nc.PublishMsg(&natsgo.Msg{Subject: kind + "." + name, Reply: map[string]string{"topic": inbox}[kind], Header: natsgo.Header{"reply-to": {inbox}}}))
			m, err := c.Within(time.Second)
			if err != nil {
				return false
			}
			c.Send("SEND", "answer", "destination:"+m.Get("reply-to"))
			a, err := answers.NextMsg(time.Second)
			return err == nil && string(a.Data) == "answer"
		}, p.soon, time.Millisecond)
		_ = c.Conn().Close()
		require.NoError(p, answers.Unsubscribe())
	}
}
