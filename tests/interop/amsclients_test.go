package interop

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Programs over the library: what they do in their loops.

// retried is how the library repeats: what ended with a timeout, at a balancer or without a connection, and nothing else.
func retried(try func() error) error {
	for deadline := time.Now().Add(soon); ; time.Sleep(20 * time.Millisecond) {
		err := try()
		var r *raised
		if err == nil || !errors.As(err, &r) || !r.repeated() || time.Now().After(deadline) {
			return err
		}
	}
}

// TestAMSLibraryOverARestart is a node that dies while somebody publishes with retries and somebody has pulled and not acknowledged.
func TestAMSLibraryOverARestart(t *testing.T) {
	const before, after = 30, 30
	l := startAMS(t, "")
	l.createTopic("t")
	l.createSub("s", "t", 60)
	for i := range before {
		must(l.publish("t", amsMessage{Data: fmt.Append(nil, i)}))(t)
	}
	pulled := must(l.pull("s", 10, false))(t)
	require.Len(t, pulled, 10)

	ids, failed := map[string]string{}, make(chan error, 1)
	begun := make(chan struct{}, after)
	go func() { // waited for below
		var err error
		for i := before; i < before+after && err == nil; i++ {
			err = retried(func() error {
				got, err := l.publish("t", amsMessage{Data: fmt.Append(nil, i)})
				if err == nil {
					ids[got[0]] = fmt.Sprint(i)
				}
				return err
			})
			begun <- struct{}{}
		}
		failed <- err
	}()
	<-begun
	l.node.Kill()
	l.node.Restart()
	require.NoError(t, <-failed)
	require.Len(t, ids, after, "two have the same id")

	require.NoError(t, retried(func() error { return l.ack("s", pulled[9].AckID) }), "what was pulled before")
	rest := must(l.pullack("s", 1000))(t)
	var order []string
	for _, m := range rest {
		if want, ok := ids[m.MessageID]; ok {
			require.Equal(t, want, string(m.Data), "an id is another message's")
		}
		if !slices.Contains(order, string(m.Data)) { // one whose answer was lost is there twice
			order = append(order, string(m.Data))
		}
	}
	require.LessOrEqual(t, len(rest), before+after-10+1)
	require.Len(t, order, before+after-10)
	for i, data := range order {
		require.Equal(t, fmt.Sprint(i+10), data)
	}
}

// TestSSMOverAMS is APEL's messenger: a message at a time, with its id as an attribute; the receiver asks for one, saves it and acknowledges. It
// takes an empty queue for what it is if the answer comes within ten seconds, and shuts down if not.
func TestSSMOverAMS(t *testing.T) {
	l := startAMS(t, "")
	l.createTopic("gLite-APEL")
	l.createSub("receiver", "gLite-APEL", 10)
	_, site := l.createMember("site", "publisher")
	var nothing object
	l.call("topic_modifyacl", "POST", l.in("topics/gLite-APEL:modifyAcl"), `{"authorized_users": ["site"]}`, &nothing)
	_, central := l.createMember("central", "consumer")
	l.call("sub_modifyacl", "POST", l.in("subscriptions/receiver:modifyAcl"), `{"authorized_users": ["central"]}`, &nothing)
	require.Empty(t, nothing)
	const records = 20
	for i := range records {
		ids, err := site.publish("gLite-APEL", amsMessage{Data: []byte(smime), Attributes: map[string]string{"empaid": fmt.Sprintf("691f3a%02d/691f3a%02d8c5d7e", i, i)}})
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(i), ids[0])
	}
	for i := range records {
		got := must(central.pull("receiver", 1, false))(t)
		require.Len(t, got, 1)
		require.Equal(t, fmt.Sprintf("691f3a%02d/691f3a%02d8c5d7e", i, i), got[0].Message.Attributes["empaid"])
		require.Equal(t, smime, string(got[0].Message.Data))
		require.NoError(t, central.ack("receiver", got[0].AckID))
	}
	idle := time.Now()
	require.Empty(t, must(central.pull("receiver", 1, false))(t))
	require.Less(t, time.Since(idle), 8*time.Second)
}

// TestAMSProbe is the probe that watches the service: everything from nothing, and nothing left behind. It does it again and again.
func TestAMSProbe(t *testing.T) {
	l := startAMS(t, "")
	for range 3 {
		l.createTopic("sensor_topic")
		l.createSub("sensor_sub", "sensor_topic", 10)
		var sent []amsMessage
		for i := range 100 {
			sent = append(sent, amsMessage{Data: fmt.Appendf(nil, "data%d", i), Attributes: map[string]string{"att_key": fmt.Sprintf("attr%d", i)}})
		}
		require.Len(t, must(l.publish("sensor_topic", sent...))(t), 100)
		got := must(l.pull("sensor_sub", 100, false))(t)
		var ids []string
		for i, m := range got {
			ids = append(ids, m.AckID)
			require.Equal(t, []any{sent[i].Data, sent[i].Attributes}, []any{m.Message.Data, m.Message.Attributes})
		}
		require.Len(t, ids, 100)
		require.NoError(t, l.ack("sensor_sub", ids...))
		var nothing object
		l.call("sub_delete", "DELETE", l.in("subscriptions/sensor_sub"), "", &nothing)
		l.call("topic_delete", "DELETE", l.in("topics/sensor_topic"), "", &nothing)
		require.Empty(t, nothing)
	}
}

// TestAMSRepublisher is the republisher: in bulk, and only the last id is acknowledged, after more pulls.
func TestAMSRepublisher(t *testing.T) {
	t.Parallel()
	l := startAMS(t, "")
	l.createTopic("in")
	l.createTopic("SITE-A")
	l.createSub("republish", "in", 10)
	l.createSub("site", "SITE-A", 10)
	for i := range 250 {
		must(l.publish("in", amsMessage{Data: fmt.Append(nil, i), Attributes: map[string]string{"site": []string{"A", "B"}[i%2]}}))(t)
	}
	for {
		got := must(l.pull("republish", 100, true))(t)
		if len(got) == 0 {
			break
		}
		for _, m := range got {
			if m.Message.Attributes["site"] == "A" {
				must(l.publish("SITE-A", amsMessage{Data: m.Message.Data}))(t)
			}
		}
		must(l.pull("republish", 1, true))(t) // as after an acknowledgement that failed
		must(l.pull("republish", 100, true))(t)
		require.NoError(t, l.ack("republish", got[len(got)-1].AckID))
	}
	all := must(l.pullack("site", 1000))(t)
	require.Len(t, all, 125)
	for i, m := range all {
		require.Equal(t, fmt.Sprint(2*i), string(m.Data))
	}
}
