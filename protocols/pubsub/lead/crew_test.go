package lead_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-mq/sluice/protocols/pubsub/lead"
)

// thing is something to do: version says what exactly.
type thing struct {
	id      string
	version int
}

// yard is what there is to do, and by whom it is done.
type yard struct {
	mu      sync.Mutex
	all     map[string]int
	nodes   []string
	changed chan struct{}
	running map[string]thing // by ID
	faults  []string
	slow    time.Duration // what a worker still has under way when it is told to leave
}

// digger is a worker that does nothing but be there.
type digger struct {
	*lead.Task
	yard  *yard
	thing thing
}

func (d *digger) Run() {
	y := d.yard
	y.mu.Lock()
	if other, ok := y.running[d.thing.id]; ok {
		y.faults = append(y.faults, fmt.Sprintf("%v begins while %v is under way", d.thing, other))
	}
	y.running[d.thing.id] = d.thing
	slow := y.slow
	y.mu.Unlock()
	for d.Await(time.Hour) {
	}
	select { // to bring to its end what is under way
	case <-time.After(slow):
	case <-d.Context().Done():
	}
	y.mu.Lock()
	delete(y.running, d.thing.id)
	y.mu.Unlock()
}

func newYard() (*yard, *lead.Crew[thing, int, *digger]) {
	y := &yard{all: make(map[string]int), running: make(map[string]thing), changed: make(chan struct{})}
	return y, &lead.Crew[thing, int, *digger]{
		Node: "n1",
		Nodes: func() []string {
			y.mu.Lock()
			defer y.mu.Unlock()
			return y.nodes
		},
		Look: func() (all []thing, changed <-chan struct{}) {
			y.mu.Lock()
			defer y.mu.Unlock()
			for id, version := range y.all {
				all = append(all, thing{id, version})
			}
			return all, y.changed
		},
		Job:   func(t thing) (string, int) { return t.id, t.version },
		New:   func(t thing) *digger { return &digger{Task: lead.NewTask(), yard: y, thing: t} },
		Grace: time.Second,
	}
}

// tell says that there is something else to do.
func (y *yard) tell() {
	close(y.changed)
	y.changed = make(chan struct{})
}

// Whatever comes, changes and goes, a node does all that it leads and nothing else, as it is meant at last, and each thing once.
func TestACrewDoesWhatItLeads(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		synctest.Test(t, func(t *testing.T) {
			y, c := newYard()
			y.slow = time.Duration(rapid.IntRange(0, 400).Draw(r, "slow")) * time.Millisecond
			ctx, cancel := context.WithCancel(t.Context())
			over := make(chan error, 1)
			go func() { over <- c.Run(ctx) }()
			for range rapid.IntRange(1, 30).Draw(r, "steps") {
				y.mu.Lock()
				id := fmt.Sprint("t", rapid.IntRange(0, 3).Draw(r, "thing"))
				switch rapid.IntRange(0, 3).Draw(r, "event") {
				case 0:
					delete(y.all, id)
					y.tell()
				case 1:
					y.nodes = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"n1", "n2", "n3"}), 0, 3, rapid.ID[string]).Draw(r, "nodes")
				default:
					y.all[id]++
					y.tell()
				}
				y.mu.Unlock()
				time.Sleep(time.Duration(rapid.IntRange(0, 300).Draw(r, "pause")) * time.Millisecond)
			}
			time.Sleep(2 * time.Second)
			y.mu.Lock()
			want := make(map[string]thing)
			for id, version := range y.all {
				if lead.Leader(id, y.nodes) == "n1" {
					want[id] = thing{id, version}
				}
			}
			require.Equal(t, want, y.running)
			require.Empty(t, y.faults)
			y.mu.Unlock()
			require.Len(t, c.Workers(), len(want))
			cancel()
			require.ErrorIs(t, <-over, context.Canceled)
			require.Empty(t, y.running, "nothing is under way when Run returns")
		})
	})
}

// What is under way when a node stops has the time to end that it is given, and no more.
func TestACrewEndsInItsGrace(t *testing.T) {
	for slow, took := range map[time.Duration]time.Duration{300 * time.Millisecond: 300 * time.Millisecond, time.Hour: time.Second} {
		synctest.Test(t, func(t *testing.T) {
			y, c := newYard()
			y.slow, y.nodes, y.all = slow, []string{"n1"}, map[string]int{"a": 1, "b": 1}
			ctx, cancel := context.WithCancel(t.Context())
			over := make(chan error, 1)
			go func() { over <- c.Run(ctx) }()
			time.Sleep(time.Second)
			begun := time.Now()
			cancel()
			<-over
			require.Equal(t, took, time.Since(begun))
			require.Empty(t, y.running)
		})
	}
}

// A worker hears of what came while it did something else, and nobody waits for it.
func TestATaskIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		task := lead.NewTask()
		task.Wake()
		task.Wake()
		begun := time.Now()
		require.True(t, task.Await(time.Hour))
		require.Zero(t, time.Since(begun))
		require.True(t, task.Await(time.Minute), "once for all that came")
		require.Equal(t, time.Minute, time.Since(begun))
		task.Wake()
		require.True(t, task.Sleep(time.Minute), "which is not woken")
		require.Equal(t, 2*time.Minute, time.Since(begun))
		task.Leave()
		require.False(t, task.Await(time.Hour))
		require.NoError(t, task.Context().Err())
		task.Abandon()
		require.Error(t, task.Context().Err())
	})
}
