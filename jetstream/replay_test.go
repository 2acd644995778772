package jetstream_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// The messages of a transaction keep their bodies, whatever is read after them: they are carried out when all is read.
func TestReplayedTransactionsKeepTheirBodies(t *testing.T) {
	dir := t.TempDir()
	s, shut := openStore(t, dir, true, 1)
	var done gatewaytest.Answer
	const count = 3000
	for i := range count {
		r := &gateway.Record{Type: gateway.RecordMessage, Message: gatewaytest.Message("q", fmt.Sprint(i), string(bytes.Repeat([]byte{byte(i)}, 4000)))}
		if i%100 == 0 {
			r = &gateway.Record{Type: gateway.RecordPrepare, Transaction: fmt.Sprint(i), Messages: []*gateway.Message{
				gatewaytest.Message("a", "1", fmt.Sprintf("one of %d", i)), gatewaytest.Message("b", "2", fmt.Sprintf("two of %d", i)),
			}}
		}
		s.Journal(0).Append(r, &done)
	}
	done.Await(t, count)
	shut()
	s, shut = openStore(t, dir, true, 1)
	defer shut()
	found := map[string][]*gateway.Message{}
	at := uint64(1)
	require.NoError(t, s.Journal(0).Replay(context.Background(), func(seq uint64, _ int, r *gateway.Record) error {
		require.Equal(t, at, seq)
		at++
		if r.Type == gateway.RecordPrepare {
			found[r.Transaction] = r.Messages
		}
		return nil
	}))
	require.EqualValues(t, count+1, at)
	require.Len(t, found, count/100)
	for id, m := range found {
		require.Equal(t, []string{"one of " + id, "two of " + id}, []string{string(m[0].Body), string(m[1].Body)})
	}
}

// BenchmarkReplay: a backlog of messages of 300 bytes.
func BenchmarkReplay(b *testing.B) {
	dir := b.TempDir()
	s, shut := openStore(b, dir, false, 1)
	defer shut()
	var done gatewaytest.Answer
	const count = 100_000
	for i := range count {
		s.Journal(0).Append(&gateway.Record{Type: gateway.RecordMessage, Message: gatewaytest.Message("q", fmt.Sprint(i), string(make([]byte, 256)))}, &done)
	}
	done.Await(b, count)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += count {
		require.NoError(b, s.Journal(0).Replay(context.Background(), func(uint64, int, *gateway.Record) error { return nil }))
	}
}
