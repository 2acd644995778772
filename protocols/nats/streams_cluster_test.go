package nats_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// ready waits until the servers agree on what streams there are.
func ready(t *testing.T, houses []*house) {
	t.Helper()
	for _, h := range houses {
		js := h.jetStream()
		require.Eventually(t, func() bool {
			within, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := js.AccountInfo(within)
			return err == nil
		}, time.Minute, 50*time.Millisecond)
	}
}

// eventually repeats what a cluster refuses while it settles.
func eventually(t *testing.T, do func() error) {
	t.Helper()
	var err error
	require.Eventually(t, func() bool { err = do(); return err == nil }, time.Minute, 50*time.Millisecond, "%v", err)
}

// Clients of any node use the same streams, with one copy and with three, beside the queues of theirs; and with three copies
// they go on when a node is gone.
func TestOwnStreamsInACluster(t *testing.T) {
	t.Parallel()
	all := servers(t, 3)
	houses := street(t, all, t.TempDir())
	acquainted(t, houses)
	ready(t, houses)
	js := make([]jetstream.JetStream, 3)
	for i, h := range houses {
		js[i] = h.jetStream()
	}
	for _, replicas := range []int{1, 3} {
		name := "R" + strconv.Itoa(replicas)
		eventually(t, func() error {
			_, err := js[0].CreateStream(ctx(t), jetstream.StreamConfig{Name: name, Subjects: []string{name + ".>"}, Replicas: replicas})
			return err
		})
		for i := range 30 {
			eventually(t, func() error {
				ack, err := js[i%3].Publish(ctx(t), name+".x", []byte(strconv.Itoa(i)), jetstream.WithMsgID(strconv.Itoa(i)))
				if err == nil {
					require.Equal(t, name, ack.Stream)
				}
				return err
			})
		}
		eventually(t, func() error {
			_, err := js[1].CreateOrUpdateConsumer(ctx(t), name, jetstream.ConsumerConfig{Durable: "d", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute})
			return err
		})
		for i := range js { // each node's client takes ten, whoever leads
			var c jetstream.Consumer
			eventually(t, func() (err error) { c, err = js[i].Consumer(ctx(t), name, "d"); return err })
			for j, m := range fetch(t, c, 10) {
				require.Equal(t, strconv.Itoa(10*i+j), string(m.Data()))
				require.NoError(t, m.DoubleAck(ctx(t)))
			}
		}
	}
	eventually(t, func() error {
		_, err := js[2].CreateStream(ctx(t), jetstream.StreamConfig{Name: "MIRROR", Mirror: &jetstream.StreamSource{Name: "R3"}, Replicas: 3})
		return err
	})
	eventually(t, func() error {
		s, err := js[0].Stream(ctx(t), "MIRROR")
		if err == nil && s.CachedInfo().State.Msgs < 30 {
			err = jetstream.ErrMsgNotFound
		}
		return err
	})
	var kv jetstream.KeyValue
	eventually(t, func() (err error) {
		kv, err = js[2].CreateOrUpdateKeyValue(ctx(t), jetstream.KeyValueConfig{Bucket: "b", Replicas: 3})
		return err
	})
	eventually(t, func() error { _, err := kv.PutString(ctx(t), "k", "v"); return err })
	for i, h := range houses { // queues beside, on the same connections
		h.fill("work", 1)
		require.NoError(t, fetch(t, h.consumer(js[i], "w", "work"), 1)[0].DoubleAck(ctx(t)))
		for _, subjects := range [][]string{{"queue.>"}, {"sluice.n2.queue.a"}, {">"}} {
			_, err := js[i].CreateStream(ctx(t), jetstream.StreamConfig{Name: "BAD", Subjects: subjects})
			require.ErrorContains(t, err, "subjects overlap")
		}
	}
	names := js[1].StreamNames(ctx(t))
	var listed []string
	for name := range names.Name() {
		listed = append(listed, name)
	}
	require.NoError(t, names.Err())
	require.Equal(t, []string{"QUEUES", "KV_b", "MIRROR", "R1", "R3"}, listed)

	require.NoError(t, houses[0].door.Drain(ctx(t)))
	all[0].Shutdown()
	all[0].WaitForShutdown()
	eventually(t, func() error {
		_, err := js[1].Publish(ctx(t), "R3.x", []byte("30"), jetstream.WithMsgID("30"))
		return err
	})
	var c jetstream.Consumer
	eventually(t, func() (err error) { c, err = js[2].Consumer(ctx(t), "R3", "d"); return err })
	eventually(t, func() error {
		m, err := c.Next(jetstream.FetchMaxWait(time.Second))
		if err == nil {
			require.Equal(t, "30", string(m.Data()))
			err = m.Ack()
		}
		return err
	})
	eventually(t, func() error {
		e, err := kv.Get(ctx(t), "k")
		if err == nil {
			require.Equal(t, "v", string(e.Value()))
		}
		return err
	})
}
