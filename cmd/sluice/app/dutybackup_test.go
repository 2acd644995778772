package app

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// A restored topic has another log than the one in the backup, whose messages are not there: else its subscriptions would wait for offsets that are far off.
func TestARestoredTopicHasAnotherLog(t *testing.T) {
	old := []byte(`{"id":"the-old-one","created":7,"retention_ms":60000,"acl":["a"],"project":"p"}`)
	value, err := restored("log/P.t", old, false)
	require.NoError(t, err)
	var was, is resource.Topic
	require.NoError(t, json.Unmarshal(old, &was))
	require.NoError(t, json.Unmarshal(value, &is))
	require.NotEqual(t, was.ID, is.ID)
	require.Len(t, is.ID, 36)
	is.ID = was.ID
	require.Equal(t, was, is)
	value, err = restored("log/P.t", old, true)
	require.NoError(t, err)
	require.Nil(t, value, "what is there keeps its log")
	value, err = restored("pubsub/cursor/P.s", old, true)
	require.NoError(t, err)
	require.Equal(t, old, value)
	_, err = restored("log/P.t", []byte("{"), false)
	require.Error(t, err)
}
