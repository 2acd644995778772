package nats

import (
	"strings"
	"testing"
	"unsafe"

	natsgo "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// The client library leaves names, values and the body in the memory of the whole
// message. What is dropped must not stay with what is kept: no limit would count it.
func TestDroppedFieldsDoNotStayInMemory(t *testing.T) {
	d := &Door{}
	d.cfg.Limits.defaults()
	accept := func(dropped int) (in *natsgo.Msg, m *gateway.Message) {
		in = &natsgo.Msg{Subject: "queue.a", Data: []byte("body"), Header: natsgo.Header{
			"kept": {"value"}, "Nats-Dropped": {strings.Repeat("x", dropped)},
		}}
		m, err := d.accept(in, queue("a"), &entry{stream: queueStream})
		require.NoError(t, err)
		require.Equal(t, gateway.Header{{Name: "kept", Value: "value"}}, m.Header)
		require.Equal(t, "body", string(m.Body))
		return in, m
	}
	in, m := accept(1 << 20)
	require.NotSame(t, &in.Data[0], &m.Body[0])
	require.NotSame(t, unsafe.StringData(in.Header["kept"][0]), unsafe.StringData(m.Header[0].Value))
	for name := range in.Header {
		require.NotSame(t, unsafe.StringData(name), unsafe.StringData(m.Header[0].Name))
	}
	in, m = accept(100)
	require.Same(t, &in.Data[0], &m.Body[0], "a little is not worth a copy")
}

// A refusal must not send a client's megabytes back, six times as long as JSON.
func TestRefusalsRepeatLittle(t *testing.T) {
	err := unsupported(natsgo.Header{"Nats-Expected-" + strings.Repeat("<", 1<<20): {"x"}}, queueStream)
	require.ErrorContains(t, err, "the header Nats-Expected-<")
	require.Less(t, len(appendRefusal(nil, err)), 1000)
}
