package interop

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
)

// diracConnector is DIRAC's older connector: stomp.py 4.1.24, which names one version, escapes all headers of STOMP
// as of any other frame, and sorts them. Its producers send no headers of their own; its consumers ask for client-individual,
// and refuse what their callback could not do.
func diracConnector(p *play) {
	const queue, id = "/queue/lhcb.certification", "consumer1"
	login := func(i int) *raw.Client {
		c := raw.Dial(p, p.at(i))
		c.Send("STOMP", "", "accept-version:1.1", "host:/", "login:guest", "passcode:guest")
		require.Equal(p, "1.1", c.Expect("CONNECTED").Get("version"))
		return c
	}
	leave := func(c *raw.Client) {
		c.Send("DISCONNECT", "", "receipt:6a0fbe10-8d1c-4f0b")
		require.Equal(p, "6a0fbe10-8d1c-4f0b", c.Expect("RECEIPT").Get("receipt-id"))
		require.Empty(p, c.Closed())
	}

	producer := login(0)
	for i := range 100 {
		body := fmt.Sprintf(`{"jobID": %d}`, i)
		producer.Send("SEND", body, "content-length:"+strconv.Itoa(len(body)), "destination:"+queue)
	}
	leave(producer)

	consumer := login(1)
	consumer.Send("SUBSCRIBE", "", "ack:client-individual", "destination:"+queue, "id:"+id, "persistent:true")
	refused := map[string]bool{}
	for i := range 100 {
		m := consumer.Expect("MESSAGE")
		require.Equal(p, id, m.Get("subscription"))
		require.Empty(p, m.Get("redelivered"))
		// It unescapes what it reads and escapes what it writes: the id is what was on the wire.
		message := "message-id:" + strings.ReplaceAll(strings.ReplaceAll(m.Get("message-id"), `\c`, ":"), ":", `\c`)
		if i%10 == 9 {
			refused[m.Body] = true
			consumer.Send("NACK", "", message, "subscription:"+id)
		} else {
			consumer.Send("ACK", "", message, "subscription:"+id)
		}
	}
	require.Len(p, refused, 10)
	consumer.Send("UNSUBSCRIBE", "", "destination:"+queue, "id:"+id)
	leave(consumer)

	// What was refused is poison, and was not persistent: it is gone for good.
	reader := login(2)
	reader.Send("SUBSCRIBE", "", "ack:auto", "destination:"+queue, "id:1")
	reader.Send("SEND", "{}", "content-length:2", "destination:"+queue)
	require.Equal(p, "{}", reader.Expect("MESSAGE").Body)
	leave(reader)
}
