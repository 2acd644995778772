package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
)

// askSubject + a node + "." + a name is where that node is asked about something. Like all that nodes say to one another it is of the store's own account.
const askSubject = "n.ask."

// asksMost is how many questions of others a node answers at once for each name; who asks beyond that is told to come again.
const asksMost = 4096

// Questions are what the nodes of a cluster ask one another about one thing, which has a name. Safe for concurrent use.
type Questions struct {
	nc         *nats.Conn
	node, name string
}

// Questions are those of that name: letters alone. There must be a cluster.
func (s *Store) Questions(name string) *Questions { return &Questions{s.publish, s.cfg.Node, name} }

// Ask has a node answer a question, until ctx ends. Errors: Unavailable, if it does not answer, or nobody there answers such questions.
func (q *Questions) Ask(ctx context.Context, node string, question []byte) ([]byte, error) {
	m, err := q.nc.RequestWithContext(ctx, askSubject+node+"."+q.name, question)
	if err != nil {
		return nil, gateway.WrapError(gateway.Unavailable, fmt.Errorf("asking node %s: %w", node, err), "another node does not answer")
	}
	if len(m.Data) == 0 {
		return nil, gateway.WrapError(gateway.Unavailable, errBusy, "another node does not answer")
	}
	return m.Data, nil
}

var errBusy = errors.New("too many ask it at once")

// Answer has questions of other nodes answered from now on, each by a call of its own, until stop is called; that returns when none is under way. ctx ends with
// stop. What is answered is never empty.
func (q *Questions) Answer(answer func(ctx context.Context, question []byte) []byte) (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	var mu sync.Mutex
	var underway sync.WaitGroup
	slots := make(chan struct{}, asksMost)
	sub, err := q.nc.Subscribe(askSubject+q.node+"."+q.name, func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case slots <- struct{}{}:
		default:
			_ = m.Respond(nil) // who asks will ask again
			return
		}
		underway.Go(func() {
			defer func() { <-slots }()
			_ = m.Respond(answer(ctx, m.Data)) // likewise
		})
	})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("listening to the other nodes: %w", err)
	}
	return func() {
		_ = sub.Unsubscribe() // it ends with the connection, at the latest
		mu.Lock()
		cancel()
		mu.Unlock()
		underway.Wait()
	}, nil
}
