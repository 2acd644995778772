package jetstream

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

// backupOf is a small backup.
func backupOf(t require.TestingT, messages ...*gateway.Message) []byte {
	var out bytes.Buffer
	w := NewBackupWriter(&out)
	for i, m := range messages {
		require.NoError(t, w.Add(m, uint32(i)))
	}
	n, err := w.Close()
	require.NoError(t, err)
	require.EqualValues(t, len(messages), n)
	return out.Bytes()
}

func TestBackupsComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []*gateway.Message
		for range rapid.IntRange(0, 5).Draw(t, "messages") {
			all = append(all, drawMessage(t))
		}
		var got []*gateway.Message
		n, err := ReadBackup(bytes.NewReader(backupOf(t, all...)), Backup{Message: func(m *gateway.Message, redeliveries uint32) error {
			require.EqualValues(t, len(got), redeliveries)
			got = append(got, m)
			return nil
		}})
		require.NoError(t, err)
		require.EqualValues(t, len(all), n)
		require.Equal(t, len(all), len(got))
		for i := range all {
			require.Equal(t, appendMessage(nil, all[i], 0, 0, ""), appendMessage(nil, got[i], 0, 0, ""))
		}
	})
}

// Every cut and every flipped bit is found, and what is read before is sound.
func TestNoDamageOfABackupIsSilent(t *testing.T) {
	whole := backupOf(t, gatewaytest.Message("a", "1", "one"), gatewaytest.Message("b", "2", "two"))
	read := func(b []byte) error {
		ids := []string{"1", "2"}
		_, err := ReadBackup(bytes.NewReader(b), Backup{Message: func(m *gateway.Message, _ uint32) error {
			require.Equal(t, ids[0], m.ID)
			ids = ids[1:]
			return nil
		}, Fact: func(key string, value []byte) error {
			require.Equal(t, "k=v", key+"="+string(value))
			return nil
		}, Log: func(topic string, first uint64) error {
			require.Equal(t, "P.t 7", fmt.Sprint(topic, " ", first))
			return nil
		}, Logged: func(m *gateway.Message) error {
			require.Equal(t, "logged", m.ID)
			require.Equal(t, gateway.Destination{Kind: gateway.KindTopic, Name: "P.t"}, m.Destination)
			return nil
		}})
		return err
	}
	var out bytes.Buffer
	w := NewBackupWriter(&out)
	logged := gatewaytest.Message("P.t", "logged", "of a topic")
	logged.Destination.Kind = gateway.KindTopic
	require.Error(t, w.AddLog("P.t", 7), "a log has a fact")
	require.Error(t, w.AddLogged(logged), "a message has a log")
	require.NoError(t, w.AddFact("k", []byte("v")))
	require.NoError(t, w.AddLog("P.t", 7))
	require.NoError(t, w.AddLogged(logged))
	require.Error(t, w.AddFact("k", nil), "facts come first")
	require.NoError(t, w.Add(gatewaytest.Message("a", "1", "one"), 0))
	require.Error(t, w.AddFact("k", nil), "facts come first")
	require.Error(t, w.AddLog("P.t", 7), "logs come before queues")
	require.Error(t, w.AddLogged(logged), "and so do their messages")
	_, err := w.Close()
	require.NoError(t, err)
	for _, whole := range [][]byte{whole, out.Bytes()} {
		require.NoError(t, read(whole))
		for n := range whole {
			require.Error(t, read(whole[:n]), "cut at %d", n)
		}
		for bit := range 8 * len(whole) {
			damaged := bytes.Clone(whole)
			damaged[bit/8] ^= 1 << (bit % 8)
			require.Error(t, read(damaged), "bit %d", bit)
		}
	}
}

// FuzzBackup: bytes of anybody never panic, nor cost more memory than there are bytes.
func FuzzBackup(f *testing.F) {
	f.Add(backupOf(f, gatewaytest.Message("a", "1", "one")))
	f.Add([]byte(backupMagicLogs))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = ReadBackup(bytes.NewReader(b), Backup{
			Fact: func(string, []byte) error { return nil }, Log: func(string, uint64) error { return nil }, Logged: func(*gateway.Message) error { return nil },
			Message: func(*gateway.Message, uint32) error { return nil },
		})
	})
}
