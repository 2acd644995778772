package statistics_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway/jmsmap"
	"github.com/sluice-mq/sluice/gateway/statistics"
)

// Numbers of several nodes are added up, and what nodes tell one another is what they had.
func TestNumbersAreAddedUp(t *testing.T) {
	var one, two statistics.OfDestination
	one.Name, one.Broker = "topic://a", "n1"
	one.Enqueued, one.Bytes, one.Consumers = 3, 10, 1
	one.Waited(5)
	two.Enqueued, two.Dispatched, two.Consumers = 1, 7, 2
	two.Waited(1)
	two.Waited(9)
	text, err := json.Marshal(two)
	require.NoError(t, err)
	var told statistics.OfDestination
	require.NoError(t, json.Unmarshal(text, &told))
	require.Equal(t, two, told)
	one.Add(&told)
	values := map[string]any{}
	for _, e := range one.Map() {
		values[e.Name] = e.Value
	}
	for name, want := range map[string]any{
		"brokerName": "n1", "enqueueCount": int64(4), "dispatchCount": int64(7), "consumerCount": int64(3), "averageMessageSize": int64(2),
		"averageEnqueueTime": 5.0, "minEnqueueTime": 1.0, "maxEnqueueTime": 9.0,
	} {
		require.Equal(t, want, values[name], name)
	}
	var none statistics.Waits
	none.Add(statistics.Waits{})
	require.Zero(t, none)
}

// All maps are in the order of their names, so that people find what they look for.
func TestMapsAreInOrder(t *testing.T) {
	var broker statistics.OfBroker
	broker.StoreUsage, broker.StoreLimit = 50, 200
	for _, m := range []jmsmap.Map{new(statistics.OfDestination).Map(), broker.Map(), (&statistics.OfSubscription{Selector: "a"}).Map()} {
		require.True(t, slices.IsSortedFunc(m, func(a, b jmsmap.Entry) int { return strings.Compare(a.Name, b.Name) }), m)
	}
	require.Contains(t, broker.Map(), jmsmap.Entry{Name: "storePercentUsage", Value: int32(25)})
	require.NotContains(t, string((&statistics.OfSubscription{}).Map().JSON()), "selector")
}
