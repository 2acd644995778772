package jetstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluice-mq/sluice/gateway"
)

// Some of what is published to a log is never answered: the stream's leader has died, or, on a single node, a write has failed and the storage was started again. What became of it
// stands in the stream.

const (
	// owesAfter is after how long somebody looks why a stream does not answer.
	owesAfter = time.Second
	// searchMost is how many records are looked at for what was not answered.
	searchMost = 100_000
)

// owing are the flights without an answer since before a time, by their logs, and of each in their order.
func (l *logs) owing(before time.Time) map[*topicLog][]*flight {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[*topicLog][]*flight)
	for _, f := range l.asked {
		if f.since.Before(before) {
			all[f.log()] = append(all[f.log()], f)
		}
	}
	for _, flights := range all {
		slices.SortFunc(flights, func(a, b *flight) int { return cmp.Compare(a.number, b.number) })
	}
	return all
}

// claim reports whether a flight has no answer yet: then it is for whoever claims it to say what became of it.
func (l *logs) claim(f *flight) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked[f.number] != f {
		return false
	}
	delete(l.asked, f.number)
	return true
}

// owed reports whether a flight has no answer yet.
func (l *logs) owed(f *flight) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked[f.number] == f
}

// inquire finds out why streams do not answer.
func (l *logs) inquire(ctx context.Context, now time.Time) {
	if !l.mending.TryRLock() {
		return
	}
	defer l.mending.RUnlock()
	for t, flights := range l.owing(now.Add(-owesAfter)) {
		if l.store.cfg.Cluster == nil {
			l.store.suspect(ctx, t.stream)
		} else if t.asking.CompareAndSwap(false, true) && !l.spawn(func() { t.inquire(flights); t.asking.Store(false) }) {
			return
		}
	}
}

// inquire finds out what became of flights to a cluster's stream, as soon as somebody leads it. What was published to one who does not lead it any more is in the stream then, or will
// hardly ever be.
func (t *topicLog) inquire(flights []*flight) {
	js, err := jetstream.New(t.logs.write)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(t.logs.following, appendWithin)
	defer cancel()
	for len(flights) > 0 {
		if stream, err := t.look(ctx, js); err == nil {
			flights = t.settle(ctx, flights, stream.CachedInfo())
		}
		if pause(ctx, 5*lookAgain) != nil {
			return
		}
		flights = slices.DeleteFunc(flights, func(f *flight) bool { return !t.logs.owed(f) })
	}
}

// settle says what became of flights, by what there is of the stream, and returns those of which that is not known yet.
func (t *topicLog) settle(ctx context.Context, flights []*flight, info *jetstream.StreamInfo) (rest []*flight) {
	if info.Cluster == nil || info.Cluster.LeaderSince == nil {
		return flights
	}
	led := info.TimeStamp.Sub(*info.Cluster.LeaderSince) // by the leader's clock
	before := time.Now().Add(-led)
	flights = slices.DeleteFunc(flights, func(f *flight) bool { return !f.since.Before(before) }) // for those it is only slow
	if len(flights) == 0 {
		return nil
	}
	found, whole := t.search(ctx, flights, info.State.LastSeq)
	sure := whole && led > owesAfter/2
	for _, f := range flights {
		seq, there := found[f]
		switch {
		case !there && !sure:
			rest = append(rest, f)
		case !t.logs.claim(f):
		case there:
			f.take(f.foundAt(seq))
		default:
			f.take(reply{err: errSilent})
		}
	}
	return rest
}

// search says of flights that are in the stream, up to a sequence, which their last record is. whole: all was read.
func (t *topicLog) search(ctx context.Context, flights []*flight, last uint64) (found map[*flight]uint64, whole bool) {
	found, sought, next := make(map[*flight]uint64), make(map[string][]*flight), uint64(absent)
	for _, f := range flights {
		record := string(f.batches[0].records[0])
		sought[record] = append(sought[record], f)
		next = min(next, f.after+1)
	}
	for begin := next; next <= last && next-begin < searchMost; {
		err := t.batch(ctx, getRequest{Seq: next, Batch: readBatch, Bytes: readBytes}, func(seq uint64, b []byte) error {
			if all := sought[string(b)]; len(all) > 0 {
				found[all[0]], sought[string(b)] = seq+uint64(all[0].records)-1, all[1:]
			}
			next = seq + 1
			return nil
		})
		if err != nil { // or the replica that answered is behind
			return found, false
		}
	}
	return found, next > last
}

// resume goes on after the storage of a single node was started again. Nobody publishes, and what was published before has come to the stream, or never will.
func (l *logs) resume(ctx context.Context) error {
	owed := l.owing(time.Now().Add(time.Hour))
	l.mu.Lock()
	all := slices.Collect(maps.Values(l.streams))
	l.mu.Unlock()
	for _, t := range all {
		if !t.isReady() {
			continue
		}
		within, cancel := context.WithTimeout(ctx, appendWithin) // the disk may be full again
		last, err := t.complete(within)
		cancel()
		if err != nil {
			return fmt.Errorf("reviving %s: %w", t.stream, err)
		}
		t.mu.Lock()
		known := t.known
		t.mu.Unlock()
		if last < known {
			return &DamageError{Stream: t.stream, What: fmt.Sprintf("it ends at record %d, but record %d was acknowledged", last, known)}
		}
		found, whole := t.search(ctx, owed[t], last)
		if !whole && len(owed[t]) > 0 {
			return fmt.Errorf("reviving %s: %w", t.stream, errors.New("it cannot be read"))
		}
		for _, f := range owed[t] {
			if !l.claim(f) {
				continue
			}
			if seq, there := found[f]; there {
				f.take(f.foundAt(seq))
			} else {
				f.take(reply{err: gateway.Errorf(gateway.NoSpace, "the store has no space left")})
			}
		}
	}
	return nil
}

// lastOf asks for the last sequence of a stream.
func (s *Store) lastOf(ctx context.Context, stream string) (uint64, error) {
	js, err := jetstream.New(s.publish)
	if err != nil {
		return 0, err
	}
	found, err := js.Stream(ctx, stream)
	if err != nil {
		return 0, err
	}
	return found.CachedInfo().State.LastSeq, nil
}
