package core_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/core"
	"github.com/sluice-mq/sluice/gateway/policy"
	"github.com/sluice-mq/sluice/gateway/schema"
)

// strict are topics with one schema.
type strict struct {
	schema *schema.Schema
	topics map[string]bool
}

// Check implements gateway.Schemas.
func (s strict) Check(topic string, number int, m *gateway.Message) error {
	if !s.topics[topic] {
		return nil
	}
	return s.schema.Check(number, m)
}

// What a topic's schema does not take is neither stored nor seen, whichever way it comes: by itself, to several destinations at once, later, or in a transaction, of which
// nothing is done then. Other destinations take anything.
func TestSchemasAreAskedBeforeAnythingIsDone(t *testing.T) {
	number, err := schema.Compile(schema.Text{Kind: schema.JSON, Text: []byte(`{"type":"integer"}`)}, schema.Text{})
	require.NoError(t, err)
	w := newWorld(t, func(c *core.Config) {
		c.Schemas = strict{number, map[string]bool{"strict": true, "only": true}}
		c.Policies = policy.NewTable([]policy.Policy{
			{On: []gateway.Destination{queue("in")}, ForwardTo: []gateway.Destination{queue("on"), topic("only")}},
			{On: []gateway.Destination{topic("only")}, ForwardTo: []gateway.Destination{topic("strict"), queue("in")}, ForwardOnly: true},
		})
	})
	s := w.session()
	seen, free := w.subscribe(s, topic("strict"), 100, true), w.subscribe(s, topic("free"), 100, true)
	waits := w.subscribe(s, queue("strict"), 100, true)
	also := func(m *gateway.Message, d ...gateway.Destination) *gateway.Message { m.Also = d; return m }
	later := message(topic("strict"), `"later"`, true)
	later.Header = gateway.Header{{Name: "AMQ_SCHEDULED_DELAY", Value: "1"}}
	var o outcome
	const sends = 7
	for i, m := range []*gateway.Message{
		message(topic("strict"), "words", true), message(topic("strict"), `"words"`, false), later,
		also(message(topic("free"), "x", true), topic("strict")), also(message(topic("strict"), "x", true), queue("strict")),
		message(queue("in"), "forwarded", true), also(message(queue("free"), "forwarded", true), topic("only")),
	} {
		s.Send(m, &o, uint64(i))
	}
	s.Commit(&gateway.Transaction{Sends: []*gateway.Message{
		message(queue("strict"), "not this", true), message(topic("strict"), "1", true), message(topic("strict"), "two", true),
	}}, &o, sends)
	const refused = "Message 0 data is not valid"
	for i, text := range map[uint64]string{0: refused, 1: refused, 2: refused, 3: refused, 4: refused, 5: refused, 6: refused, sends: "Message 2 data is not valid JSON format,"} {
		err := o.wait(t, sends+1)[i]
		require.ErrorContains(t, err, text, "%d", i)
		require.Equal(t, gateway.Invalid, gateway.KindOf(err))
	}
	w.send(s, topic("free"), true, "anything")
	w.send(s, queue("strict"), true, "anything")
	w.send(s, topic("strict"), true, "7")
	s.Commit(&gateway.Transaction{Sends: []*gateway.Message{message(topic("strict"), "8", true), message(queue("strict"), "more", true)}}, &o, sends+1)
	require.NoError(t, o.wait(t, sends+2)[sends+1])
	w.send(s, queue("in"), true, "9")
	require.Equal(t, []string{"7", "8", "9"}, bodies(seen.next(3)))
	require.Equal(t, []string{"anything"}, bodies(free.next(1)))
	require.Equal(t, []string{"anything", "more"}, bodies(waits.next(2)))
}
