package jetstream

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// FuzzDecodeLogged: bytes from a damaged disk never panic, and what is read of them is what would be written.
func FuzzDecodeLogged(f *testing.F) {
	m := &gateway.Message{ID: "x", Destination: gateway.Destination{Kind: gateway.KindQueue, Name: "P.T"}, Header: gateway.Header{{Name: "a", Value: "b"}}, Body: []byte("c"), Persistent: true}
	f.Add(appendLogged(nil, m))
	m.Source = &gateway.Source{Route: "r-1", Log: "l", Offset: 1 << 40, Hops: 3}
	f.Add(appendLogged(nil, m))
	f.Add([]byte{copyVersion, 1, 1, 'r', 1, 'l', 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeLogged(bytes.Clone(b))
		if err != nil {
			return
		}
		again, err := decodeLogged(appendLogged(nil, m))
		require.NoError(t, err)
		require.Equal(t, m.Source, again.Source)
		require.Equal(t, appendLogged(nil, m), appendLogged(nil, again))
	})
}
