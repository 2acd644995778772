package selector

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

func TestBothSelectWhatEachSelects(t *testing.T) {
	m := &gateway.Message{ID: "ID:n_1%-4711-0:7:-1:1:5", Header: gateway.Header{{Name: "n", Value: "1"}, {Name: "a-b", Value: "2"}}}
	for _, c := range []struct {
		first, ids string
		want       bool
	}{
		{"", "ID:n_1%-4711-0:7:", false}, {"", "ID:n_1%-4711-0:70:", true}, {"", "ID:nx1%-4711-0:7:", true}, {"", "ID:n_1x", true}, {"", `ID:n\`, true}, {"", "O'Neill", true},
		{"n = '1' OR n = '2'", "ID:x", true}, {"n = '1' OR n = '2'", "ID:n_1%", false}, {"n = '2'", "ID:x", false}, {"  ", "ID:x", true},
		{"no_convert_string_expressions:n = 1", "ID:x", false}, {"hyphenated_props:convert_string_expressions:a-b = 2", "ID:x", true}, {"hyphenated_props:a-b = 2", "ID:n_1", false},
	} {
		s, err := Parse(Both(c.first, NotOf(c.ids)))
		require.NoError(t, err, c.first)
		require.Equal(t, c.want, s.MatchMessage(m, 0), "%q %q", c.first, c.ids)
	}
}
