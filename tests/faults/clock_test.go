package faults

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
	"github.com/sluice-mq/sluice/tests/node"
)

// The clock is set while a native worker and a STOMP consumer hold messages: to nobody's harm. What was published twice is still known, and who
// does not acknowledge is still late when the time is over.
func TestTheClockIsSet(t *testing.T) {
	if os.Getenv("SLUICE_FAULT_ROUNDS") == "" {
		t.Skip("only in `make faults`: it builds a standard library")
	}
	const held = 20
	n := node.StartWith(t, node.Clocked(t))
	nc, err := nats.Connect("nats://" + n.Addr("nats"))
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	stomp := raw.Login(t, n.Addr("stomp"), "1.2")
	stomp.Send(subscribe, "", "destination:/queue/stomp", "id:1", "ack:client-individual")
	consumer := func(name string, wait time.Duration) jetstream.Consumer {
		c, err := js.CreateOrUpdateConsumer(ctx, "QUEUES", jetstream.ConsumerConfig{Durable: name, FilterSubject: "queue." + name, AckWait: wait})
		require.NoError(t, err)
		return c
	}
	patient, hasty := consumer("patient", time.Minute), consumer("hasty", 2*time.Second)
	for round, step := range []time.Duration{time.Hour, -2 * time.Hour, time.Hour} {
		var mine []jetstream.Msg
		id := fmt.Sprint("id ", round)
		for i := range held {
			_, err := js.Publish(ctx, "queue.patient", fmt.Appendf(nil, "%d", i), jetstream.WithMsgID(fmt.Sprint(id, i)))
			require.NoError(t, err)
			m, err := patient.Next()
			require.NoError(t, err)
			mine = append(mine, m)
		}
		_, err := js.Publish(ctx, "queue.hasty", nil)
		require.NoError(t, err)
		_, err = hasty.Next()
		require.NoError(t, err)
		_, err = js.Publish(ctx, "queue.stomp", nil, jetstream.WithMsgID(id))
		require.NoError(t, err)
		m := stomp.Expect("MESSAGE")

		n.Step(step)
		late, err := hasty.Next(jetstream.FetchMaxWait(20 * time.Second))
		require.NoError(t, err, "who does not acknowledge keeps a message for ever")
		require.NoError(t, late.DoubleAck(ctx))
		again, err := js.Publish(ctx, "queue.patient", []byte("0"), jetstream.WithMsgID(fmt.Sprint(id, 0)))
		require.NoError(t, err)
		require.True(t, again.Duplicate, "an id is forgotten")
		for _, m := range mine {
			require.NoError(t, m.DoubleAck(ctx), "a message was taken from its worker")
		}
		stomp.Send("ACK", "", "id:"+m.Get("ack"), "receipt:r")
		require.Equal(t, "r", stomp.Expect("RECEIPT").Get("receipt-id"))
		_, err = patient.Next(jetstream.FetchMaxWait(500 * time.Millisecond))
		require.Error(t, err, "a message came again")
	}
}
