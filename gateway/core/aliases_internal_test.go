package core

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Found by a broker that had moved a parked backlog for half an hour: each move of a message added to what it is known by, and every
// sweep followed all of it, with the shard locked.
func TestAMessageThatIsMovedOftenIsKnownByFewNames(t *testing.T) {
	const messages, rounds = 100, 1000
	a, looked := newAliases(), 0
	for at := uint64(1); at <= messages*rounds; at++ { // all of them are moved, one after the other, and then all again
		a.moved(at, at+messages)
		if at%messages == 0 {
			a.forget(messages, func(uint64) bool { looked++; return true })
		}
	}
	require.Zero(t, looked, "nothing was to be forgotten")
	require.Len(t, a.names, messages)
	require.Len(t, a.now, messages*aliasesMost)
	for first := uint64(1); first <= messages; first++ {
		now := first + messages*rounds
		require.Equal(t, now, a.of(first), "its first name")
		require.Equal(t, now, a.of(now-messages), "its last name")
		require.Equal(t, now, a.of(now), "its own")
	}
}

func TestNamesOfMessagesThatAreGoneAreForgotten(t *testing.T) {
	a := newAliases()
	for seq := range uint64(1000) {
		a.moved(seq+1, seq+1001)
	}
	a.forget(501, func(seq uint64) bool { return seq <= 1501 })
	require.Len(t, a.names, 1000, "it is not worth a look")
	a.forget(500, func(seq uint64) bool { return seq <= 1500 })
	require.Len(t, a.names, 500)
	require.Len(t, a.now, 500)
	require.EqualValues(t, 1500, a.of(500))
	require.EqualValues(t, 501, a.of(501))
}

// Whatever is moved, forgotten and begun with: a message is found by its first names and by its last.
func TestAliasesModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := newAliases()
		names := make(map[uint64][]uint64) // by where the message is; its place is not among them
		places := []uint64{}               // of live messages
		next := uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"comes": func(t *rapid.T) {
				next++
				places = append(places, next)
			},
			"moves": func(t *rapid.T) {
				if len(places) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(places)-1).Draw(t, "which")
				from := places[i]
				next++
				places[i] = next
				names[next] = append(names[from], from)
				delete(names, from)
				a.moved(from, next)
			},
			"goes": func(t *rapid.T) {
				if len(places) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(places)-1).Draw(t, "which")
				delete(names, places[i])
				places = append(places[:i], places[i+1:]...)
			},
			"forgets": func(*rapid.T) {
				a.forget(0, func(seq uint64) bool { return names[seq] != nil })
			},
			"is known again": func(t *rapid.T) { // as when an owner begins
				for now, all := range names {
					a.add(all[0], now)
					a.add(all[len(all)-1], now)
				}
			},
			"": func(t *rapid.T) {
				for now, all := range names {
					require.Equal(t, now, a.of(all[0]))
					require.Equal(t, now, a.of(all[len(all)-1]))
					require.LessOrEqual(t, len(a.names[now]), aliasesMost)
					if len(all) <= aliasesMost {
						require.Equal(t, all, a.names[now])
					}
				}
			},
		})
	})
}
