package interop

import (
	"strconv"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/node"
)

func jetStream(t *testing.T, n *node.Node) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(dialNATS(t, n))
	require.NoError(t, err)
	return js
}

// What clients keep in streams, buckets and object stores of their own is there after the node was killed, and ours is not theirs.
func TestOwnStreamsSurviveTheNode(t *testing.T) {
	t.Parallel()
	const count = 500
	n := node.Start(t)
	js := jetStream(t, n)
	_, err := js.CreateStream(within(t), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
	require.NoError(t, err)
	c, err := js.CreateOrUpdateConsumer(within(t), "ORDERS", jetstream.ConsumerConfig{Durable: "w", AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	kv, err := js.CreateKeyValue(within(t), jetstream.KeyValueConfig{Bucket: "settings"})
	require.NoError(t, err)
	objects, err := js.CreateObjectStore(within(t), jetstream.ObjectStoreConfig{Bucket: "files"})
	require.NoError(t, err)
	for i := range count {
		_, err := js.Publish(within(t), "orders.new", []byte(strconv.Itoa(i)))
		require.NoError(t, err)
		_, err = js.Publish(within(t), "queue.orders", []byte(strconv.Itoa(i)))
		require.NoError(t, err)
		_, err = kv.PutString(within(t), "last", strconv.Itoa(i))
		require.NoError(t, err)
	}
	file := make([]byte, 1<<20)
	_, err = objects.PutBytes(within(t), "file", file)
	require.NoError(t, err)
	n.Kill()
	n.Restart()

	js = jetStream(t, n)
	names := js.StreamNames(within(t))
	var listed []string
	for name := range names.Name() {
		listed = append(listed, name)
	}
	require.NoError(t, names.Err())
	require.Equal(t, []string{"QUEUES", "KV_settings", "OBJ_files", "ORDERS"}, listed)
	c, err = js.Consumer(within(t), "ORDERS", "w")
	require.NoError(t, err)
	queue, err := js.CreateOrUpdateConsumer(within(t), "QUEUES", jetstream.ConsumerConfig{Durable: "q", FilterSubject: "queue.orders"})
	require.NoError(t, err)
	for _, from := range []jetstream.Consumer{c, queue} {
		batch, err := from.Fetch(count, jetstream.FetchMaxWait(soon))
		require.NoError(t, err)
		i := 0
		for m := range batch.Messages() {
			require.Equal(t, strconv.Itoa(i), string(m.Data()))
			require.NoError(t, m.Ack())
			i++
		}
		require.Equal(t, count, i)
	}
	kv, err = js.KeyValue(within(t), "settings")
	require.NoError(t, err)
	entry, err := kv.Get(within(t), "last")
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(count-1), string(entry.Value()))
	objects, err = js.ObjectStore(within(t), "files")
	require.NoError(t, err)
	got, err := objects.GetBytes(within(t), "file")
	require.NoError(t, err)
	require.Equal(t, file, got)
	for _, ours := range []string{"Q_00", "Q_01", "QUEUE_00"} {
		_, err = js.Stream(within(t), ours)
		require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
	}
}

// Below the store's reserve there are no new streams, as queues take no messages.
func TestOwnStreamsKeepClearOfTheReserve(t *testing.T) {
	n := node.Start(t, "store.reserve=1TiB")
	js := jetStream(t, n)
	var refusal *jetstream.APIError
	_, err := js.CreateStream(within(t), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, jetstream.ErrorCode(10047), refusal.ErrorCode)
	_, err = js.Publish(within(t), "queue.a", nil)
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, jetstream.ErrorCode(10047), refusal.ErrorCode)
}

func TestOwnStreamsCanBeSwitchedOff(t *testing.T) {
	n := node.Start(t, "nats.storage=0B")
	js := jetStream(t, n)
	_, err := js.CreateStream(within(t), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	require.ErrorContains(t, err, "switched off on this node")
	_, err = js.Publish(within(t), "queue.a", nil)
	require.NoError(t, err)
}
