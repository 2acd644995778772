package core_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// B4 121: subscribers of topics get what they select, also with no-local, whatever other subscribers select.
func TestTopicSubscribersGetWhatTheySelect(t *testing.T) {
	w := newWorld(t)
	s, own := w.session(), w.session()
	subs := map[string]*consumer{}
	for i, text := range []string{"n > 5", "n > 5", "n <= 5", "", "n IN ('0', '2')", "n > 5", "missing = 1"} {
		subs[fmt.Sprint(i, text)] = w.lasting(own, gateway.SubscribeOptions{Destination: topic([]string{"t", ">"}[i%2]), Selector: text, AutoAck: true})
	}
	local := w.lasting(own, gateway.SubscribeOptions{Destination: topic("t"), Selector: "n = 7", NoLocal: true, AutoAck: true})
	for i := range 10 {
		for _, from := range []gateway.Session{s, own} {
			m := message(topic("t"), fmt.Sprint(i), false)
			m.Header = gateway.Header{{Name: "n", Value: fmt.Sprint(i)}}
			from.Send(m, nil, 0)
		}
	}
	for name, c := range subs {
		selected := func(i int) bool {
			switch name[1:] {
			case "n > 5":
				return i > 5
			case "n <= 5":
				return i <= 5
			case "n IN ('0', '2')":
				return i == 0 || i == 2
			case "missing = 1":
				return false
			}
			return true
		}
		var want []string
		for i := range 10 {
			if selected(i) {
				want = append(want, fmt.Sprint(i), fmt.Sprint(i))
			}
		}
		require.Equal(t, want, c.all(), name)
		c.Close()
	}
	require.Equal(t, []string{"7"}, local.all())
	_, err := s.Subscribe(gateway.SubscribeOptions{Destination: topic("t"), Selector: "n >", Wake: func() {}})
	require.Equal(t, gateway.Invalid, gateway.KindOf(err))
}

// On several nodes a client with two selectors is two.
func TestSelectorsTellAClientsSubscriptionsApart(t *testing.T) {
	r := newRealm(t)
	a := client{"alice", "192.0.2.1", ""}
	var big, small []*consumer
	for node := range 3 {
		s := r.open(a, node)
		o := named("sub", "t")
		o.Selector = "n > 5"
		big = append(big, r.hear(s, o))
		o.Selector = "n <= 5"
		small = append(small, r.hear(s, o))
	}
	r.Settle()
	s := r.worlds[0].session()
	for i := range 10 {
		m := message(topic("t"), fmt.Sprint(i), false)
		m.Header = gateway.Header{{Name: "n", Value: fmt.Sprint(i)}}
		s.Send(m, nil, 0)
	}
	r.Settle()
	all := func(cs []*consumer) (got []string) {
		for _, c := range cs {
			got = append(got, c.all()...)
		}
		return got
	}
	require.Equal(t, []string{"6", "7", "8", "9"}, all(big))
	require.Equal(t, []string{"0", "1", "2", "3", "4", "5"}, all(small))
}
