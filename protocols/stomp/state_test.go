package stomp

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The ring against the plainest model: a slice in which answers wait for their turn.
func TestAnswersAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q answers
		type entry struct {
			token uint64
			done  bool
			a     answer
		}
		var model []entry
		skip := func() {
			for len(model) > 0 && model[0].done && model[0].a.silent() {
				model = model[1:]
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				a := answer{size: rapid.IntRange(0, 9).Draw(t, "size"), done: rapid.Bool().Draw(t, "done")}
				if rapid.Bool().Draw(t, "receipt") {
					a.receipt = strconv.Itoa(len(model))
				}
				model = append(model, entry{q.push(a), a.done, a})
			},
			"complete": func(t *rapid.T) {
				if len(model) > 0 {
					e := &model[rapid.IntRange(0, len(model)-1).Draw(t, "which")]
					q.at(e.token).done, e.done, e.a.done = true, true, true
				}
			},
			"take": func(t *rapid.T) {
				dst := make([]answer, rapid.IntRange(0, 5).Draw(t, "room"))
				n := q.take(dst)
				skip()
				for i := range n {
					if !model[0].done || dst[i] != model[0].a {
						t.Fatalf("took %+v, want %+v", dst[i], model[0].a)
					}
					model = model[1:]
					skip()
				}
				if n < len(dst) && len(model) > 0 && model[0].done {
					t.Fatal("left a ripe answer")
				}
			},
			"": func(t *rapid.T) {
				bytes := 0
				for _, e := range model {
					bytes += e.a.size
				}
				if q.n != len(model) || q.bytes != bytes {
					t.Fatalf("%d answers of %d bytes, want %d of %d", q.n, q.bytes, len(model), bytes)
				}
				if q.at(q.first+uint64(q.n)) != nil || q.at(q.first-1) != nil {
					t.Fatal("a token outside of the ring has an answer")
				}
			},
		})
	})
}

// ackAnything acknowledges a random delivery in u and in the model that never forgets.
func ackAnything(t *rapid.T, u *unacked, model []held, txs []*transaction) {
	if len(model) == 0 {
		t.Skip()
	}
	n := rapid.IntRange(0, len(model)-1).Draw(t, "which")
	cumulative := rapid.Bool().Draw(t, "cumulative")
	tx := txs[rapid.IntRange(0, 2).Draw(t, "tx")]
	i := u.byNumber(uint64(n))
	if !model[n].settled && i != u.byID(model[n].id) {
		t.Fatal("found by number and by id differ")
	}
	if i < 0 {
		if !model[n].settled {
			t.Fatalf("delivery %d is lost", n)
		}
		return
	}
	tags, ok := u.take(i, cumulative, tx)
	if ok != (model[n].free() || !model[n].settled && model[n].tx == tx) {
		t.Fatalf("ack of %+v: %v", model[n], ok)
	}
	if !ok {
		return
	}
	var want []uint64
	for j := range model {
		if h := &model[j]; (j == n || cumulative && j < n) && h.free() {
			want = append(want, h.tag)
			h.tx, h.settled = tx, tx == nil
		}
	}
	require.Equal(t, want, tags)
}

// Unacknowledged deliveries against a model that never forgets.
func TestUnackedAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var u unacked
		var model []held
		txs := []*transaction{nil, {}, {}}
		t.Repeat(map[string]func(*rapid.T){
			"deliver": func(t *rapid.T) {
				for range rapid.IntRange(1, 100).Draw(t, "n") {
					h := held{number: uint64(len(model)), id: strconv.Itoa(len(model)), tag: uint64(len(model))}
					if n := u.add(h.id, h.tag); n != uint64(len(model)) {
						t.Fatalf("delivery %d got number %d", len(model), n)
					}
					model = append(model, h)
				}
			},
			"ack": func(t *rapid.T) { ackAnything(t, &u, model, txs) },
			"end": func(t *rapid.T) {
				tx, commit := txs[rapid.IntRange(1, 2).Draw(t, "tx")], rapid.Bool().Draw(t, "commit")
				n := 0
				for j := range model {
					if model[j].tx == tx {
						model[j].tx, model[j].settled = nil, commit
						n++
					}
				}
				require.Equal(t, n, u.reserved(tx))
				u.release(tx, commit)
			},
			"": func(t *rapid.T) {
				for n, h := range model {
					if i := u.byNumber(uint64(n)); i >= 0 {
						if u.open()[i] != h {
							t.Fatalf("delivery %d is %+v, want %+v", n, u.open()[i], h)
						}
					} else if !h.settled {
						t.Fatalf("delivery %d is lost", n)
					}
				}
				if open := u.open(); len(open) > 0 && open[0].settled {
					t.Fatal("the oldest is settled and still kept")
				}
			},
		})
	})
}
