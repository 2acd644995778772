package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/protocols/internal/measure"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

// told reads all frames and puts them into words.
func told(src io.Reader, mostBody int) (all []string, err error) {
	r := newReader(src, mostBody)
	var f frame
	for {
		if err := r.next(&f); err != nil {
			return all, err
		}
		all = append(all, fmt.Sprintf("%s %s %s %q", f.command, f.field(lineSubscription), f.field(lineMessageID), f.body))
	}
}

const stream = "\n\nRECEIPT\nreceipt-id:7\n\n\x00\n" +
	"MESSAGE\nsubscription:0\nmessage-id:ID\\c1\ncontent-length:3\n\na\x00b\x00" +
	"MESSAGE\nmessage-id:2\nsubscription:1\nmessage-id:never\n\nno length\x00\n" +
	"HEARTLESS\n\n\x00"

func TestFramesAreReadHoweverTheyArrive(t *testing.T) {
	want := []string{`RECEIPT   ""`, `MESSAGE 0 ID\c1 "a\x00b"`, `MESSAGE 1 2 "no length"`, `HEARTLESS   ""`}
	for name, src := range map[string]io.Reader{
		"at once":      strings.NewReader(stream),
		"byte by byte": iotest.OneByteReader(strings.NewReader(stream)),
		"in halves":    iotest.HalfReader(strings.NewReader(stream)),
	} {
		all, err := told(src, 100)
		require.ErrorIs(t, err, io.EOF, name)
		require.Equal(t, want, all, name)
	}
}

func TestLargeFramesGetTheBufferTheyNeed(t *testing.T) {
	body := strings.Repeat("x", 1<<20)
	for _, head := range []string{"MESSAGE\n\n", fmt.Sprintf("MESSAGE\ncontent-length:%d\n\n", len(body))} {
		all, err := told(strings.NewReader(strings.Repeat(head+body+"\x00", 3)), 1<<20)
		require.ErrorIs(t, err, io.EOF)
		require.Len(t, all, 3)
		require.Contains(t, all[2], body)
	}
}

func TestFramesOutOfFormAreErrors(t *testing.T) {
	for name, text := range map[string]string{
		"a longer body than is due": "MESSAGE\ncontent-length:101\n\n",
		"an endless body":           "MESSAGE\n\n" + strings.Repeat("x", 1<<20),
		"an endless head":           "MESSAGE\n" + strings.Repeat("x", 1<<20),
		"a negative length":         "MESSAGE\ncontent-length:-1\n\n\x00",
		"an absurd length":          "MESSAGE\ncontent-length:99999999999999999999999999\n\n\x00",
		"no NUL at the end":         "MESSAGE\ncontent-length:1\n\nabc\x00",
	} {
		_, err := told(strings.NewReader(text), 100)
		require.Error(t, err, name)
		require.False(t, errors.Is(err, io.EOF), "%s: %v", name, err)
	}
}

// What the server's reader understands, this one does, too, if it is written by our writer;
// what it reads does not depend on how it arrives; and it never fails by a panic.
func FuzzReader(f *testing.F) {
	f.Add([]byte(stream))
	f.Add([]byte("MESSAGE\ncontent-length:0\n\n\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		whole, wholeErr := told(bytes.NewReader(data), 1<<10)
		pieces, piecesErr := told(iotest.OneByteReader(bytes.NewReader(data)), 1<<10)
		require.Equal(t, whole, pieces)
		require.Equal(t, wholeErr == io.EOF, piecesErr == io.EOF)

		server := wire.NewReader(bytes.NewReader(data), wire.AfterLogin(1<<10))
		server.SetVersion(wire.V11)
		var came wire.Frame
		for server.Next(&came) == nil {
			written := wire.AppendFrame(nil, wire.V11, "MESSAGE", came.Header, came.Body)
			all, err := told(bytes.NewReader(written), 1<<10)
			require.ErrorIs(t, err, io.EOF, "%q", written)
			require.Len(t, all, 1, "%q", written)
			require.True(t, strings.HasSuffix(all[0], fmt.Sprintf("%q", came.Body)), "%q", written)
		}
	})
}

// A message that comes by the subscription to another destination is a fault, and does not stand in for one that is lost.
func TestMisroutedMessagesAreNoneThatWereDue(t *testing.T) {
	r := &run{Scenario: Scenario{Destinations: 4, Producers: 4, Consumers: 2, Messages: 8, Size: MinSize, Ack: "auto"}, seal: newSealer(7), all: make(chan struct{})}
	c := &consumer{conn: &conn{}, run: r, ledger: newLedger(r.Scenario), latency: measure.NewHistogram(), destinations: r.subscriptionsOf(1)}
	for _, came := range []struct {
		subscription string
		flow         uint32
	}{{"0", 1}, {"1", 3}, {"0", 3}, {"1", 2}, {"9", 1}, {"", 1}} {
		body := make([]byte, MinSize)
		r.seal.seal(body, came.flow, 0, 0)
		require.NoError(t, c.take(&frame{head: []byte("\nsubscription:" + came.subscription + "\n"), body: body}))
	}
	require.Equal(t, Verdict{Received: 2, Misrouted: 4}, c.ledger.verdict)
	require.False(t, c.ledger.verdict.Clean())
	require.Contains(t, c.ledger.verdict.String(), "4 misrouted")
}
