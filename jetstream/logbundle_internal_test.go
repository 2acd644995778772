package jetstream

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// FuzzBundles: bytes from a damaged disk never panic, and what is read of them is what would be written.
func FuzzBundles(f *testing.F) {
	records, _ := bundled([][]byte{
		appendRecord(nil, &gateway.Record{Type: gateway.RecordMessage, Message: &gateway.Message{ID: "x", Body: []byte("one")}}),
		appendRecord(nil, &gateway.Record{Type: gateway.RecordMessage, Message: &gateway.Message{Body: []byte("two"), Header: gateway.Header{{Name: "a", Value: "b"}}}}),
		appendRecord(nil, &gateway.Record{Type: gateway.RecordMessage, Message: &gateway.Message{}}),
	}, 200)
	for _, r := range records {
		f.Add(r)
	}
	f.Add([]byte{bundleVersion, 1, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte{slotVersion, 1, 3, 3, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := decodeSlot(b); err == nil {
			require.Equal(t, s, must(decodeSlot(appendSlot(nil, s))))
			require.Less(t, s.index, s.of)
		}
		all, err := decodeBundle(bytes.Clone(b), 0, gateway.MaxLogBatch)
		if err != nil {
			return
		}
		var again [][]byte
		for _, m := range all {
			again = append(again, appendRecord(nil, &gateway.Record{Type: gateway.RecordMessage, Message: m}))
		}
		records, ok := bundled(again, len(b))
		require.True(t, ok)
		require.Len(t, records, len(all))
		require.Equal(t, all, must(decodeBundle(records[0], 0, len(all))))
		require.Equal(t, all[1:], must(decodeBundle(bytes.Clone(records[0]), 1, len(all))))
		require.Equal(t, all[1:2], must(decodeBundle(bytes.Clone(records[0]), 1, 1)))
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// What belongs together is one record only as long as that is not large: whoever wants a message of it reads it whole.
func TestWhatIsLargeIsNotBundled(t *testing.T) {
	one := make([]byte, bundleMost/2)
	_, ok := bundled([][]byte{one, one}, bundleMost)
	require.False(t, ok)
	_, ok = bundled([][]byte{one[1:], one[20:]}, bundleMost-21)
	require.True(t, ok)
	_, ok = bundled([][]byte{one}, len(one))
	require.False(t, ok)
}

// Bundled are the records of messages that are appended together.
func Bundled(messages []*gateway.Message) [][]byte {
	var records [][]byte
	for _, m := range messages {
		records = append(records, Single(m))
	}
	records, _ = bundled(records, 0)
	return records
}

// Single is the record of a message that is appended alone.
func Single(m *gateway.Message) []byte {
	return appendLogged(nil, m)
}
