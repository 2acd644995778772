package stomp

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

// A message must not hold room for the fields that were dropped from it: its size
// does not count them, so no limit would.
func TestDroppedFieldsLeaveNoRoomBehind(t *testing.T) {
	f := wire.Frame{Command: "SEND", Header: gateway.Header{{Name: "kept", Value: "1"}}}
	for range 900 {
		f.Header = append(f.Header, gateway.Field{Name: "destination", Value: "/queue/a"})
	}
	m, _, err := messageOf(&f, &target{Destination: gateway.Destination{Kind: gateway.KindQueue, Name: "a"}})
	require.NoError(t, err)
	require.Equal(t, gateway.Header{{Name: "kept", Value: "1"}}, m.Header)
	require.LessOrEqual(t, cap(m.Header), 16)
}

// One delivery that a client keeps must not hold the memory of all that it
// acknowledges after it.
func TestAnOldDeliveryDoesNotKeepTheSettledOnesAfterIt(t *testing.T) {
	var u unacked
	oldest := u.add("oldest", 1)
	var last uint64
	for i := range uint64(100_000) {
		last = u.add("m", i+2)
		tags, ok := u.take(u.byNumber(last), false, nil)
		require.True(t, ok)
		require.Equal(t, []uint64{i + 2}, tags)
	}
	require.Less(t, cap(u.items), 1000)
	if i := u.byNumber(last); i >= 0 {
		_, ok := u.take(i, false, nil)
		require.False(t, ok, "it is settled")
	}
	tags, ok := u.take(u.byNumber(oldest), false, nil)
	require.True(t, ok)
	require.Equal(t, []uint64{1}, tags)
	require.Equal(t, last+1, u.add("n", 7), "numbers are never used twice")
}

// Some clients trim blanks around header names, so a sender must not get the
// server's names past us with blanks around them.
func TestServersNamesWithBlanksAreNotForwarded(t *testing.T) {
	for _, name := range []string{"content-length ", " content-length", "\tmessage-id", "subscription\v", "destination\n", "redelivered\r", "receipt\u00a0"} {
		f := wire.Frame{Command: "SEND", Header: gateway.Header{{Name: name, Value: "9"}, {Name: "mine", Value: "1"}}}
		m, _, err := messageOf(&f, &target{Destination: gateway.Destination{Kind: gateway.KindQueue, Name: "a"}})
		require.NoError(t, err)
		require.Equal(t, gateway.Header{{Name: "mine", Value: "1"}}, m.Header, "%q", name)
		// Other doors may let it in all the same.
		m = &gateway.Message{Text: true, Header: gateway.Header{{Name: name, Value: "9"}}}
		require.NotContains(t, string(appendShared(nil, wire.V12, m, false)), strings.Trim(name, " \t\v\n\r\u00a0")+" ")
		require.NotContains(t, string(appendShared(nil, wire.V10, m, false)), ":9")
	}
	m := &gateway.Message{Text: true, Header: gateway.Header{{Name: "ack ", Value: "smuggled"}}}
	require.NotContains(t, string(appendShared(nil, wire.V12, m, true)), "smuggled")
}
