package wire

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What most clients send never asks for room. What is longer asks once, for all of it, and not before 64 KiB of it have come.
func TestLargeFramesAskForRoomOnce(t *testing.T) {
	limits := AfterLogin(1 << 20)
	body := func(n int) string { return strings.Repeat("b", n) }
	for _, c := range []struct {
		name, text string
		asks       []int
	}{
		{"counted", "SEND\ncontent-length:65536\n\n" + body(64<<10) + "\x00", nil},
		{"to the NUL", "SEND\n\n" + body(32<<10) + "\x00", nil},
		{"large", "SEND\ncontent-length:1000000\n\n" + body(1000000) + "\x00", []int{1000000}},
		{"large to the NUL", "SEND\n\n" + body(1000000) + "\x00", []int{1 << 20}},
		{"two", strings.Repeat("SEND\ncontent-length:100000\n\n"+body(100000)+"\x00\n", 2), []int{100000, 100000}},
		{"header", "SEND\n" + strings.Repeat("h:"+body(9<<10)+"\n", 20) + "\n" + body(1000000) + "\x00", []int{limits.Frame}},
	} {
		var asks []int
		r := NewReader(strings.NewReader(c.text), limits)
		r.SetRoom(func(n int) error { asks = append(asks, n); return nil })
		var f Frame
		for range max(len(c.asks), 1) {
			require.NoError(t, r.Next(&f), c.name)
		}
		require.Equal(t, c.asks, asks, c.name)
	}
	no := errors.New("no room")
	for _, text := range []string{"SEND\ncontent-length:1000000\n\n" + body(1000000), "SEND\n\n" + body(1000000), "SEND\n" + strings.Repeat("h:"+body(9<<10)+"\n", 20)} {
		source := strings.NewReader(text)
		r := NewReader(source, limits)
		r.SetRoom(func(int) error { return no })
		var f Frame
		require.ErrorIs(t, r.Next(&f), no)
		require.ErrorIs(t, r.Next(&f), no)
		require.Less(t, len(text)-source.Len(), 130<<10, "nothing more is read")
	}
}
