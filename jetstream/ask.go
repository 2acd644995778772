package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

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

// What a question says besides itself: a name that no other one has, and the name of one that nobody wants to be answered any more. Nodes of older versions know neither.
const (
	askName      = "Sluice-Question"
	askWithdrawn = "Sluice-Withdrawn"
)

// Ask has a node answer a question, until ctx ends; that is said to the node, which may stop then. Errors: Unavailable, if it does not answer, or nobody there answers such
// questions.
func (q *Questions) Ask(ctx context.Context, node string, question []byte) ([]byte, error) {
	var answer []byte
	name := q.nc.NewInbox()
	for to, more := askSubject+node+"."+q.name, true; more; question = nil {
		m, err := q.nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: to, Data: question, Header: nats.Header{askName: {name}}})
		if err != nil {
			if ctx.Err() != nil && question != nil {
				_ = q.nc.PublishMsg(&nats.Msg{Subject: to, Header: nats.Header{askWithdrawn: {name}}}) // else it answers in vain
			}
			return nil, gateway.WrapError(gateway.Unavailable, fmt.Errorf("asking node %s: %w", node, err), "another node does not answer")
		}
		if len(m.Data) == 0 {
			return nil, gateway.WrapError(gateway.Unavailable, errBusy, "another node does not answer")
		}
		to, more = m.Reply, m.Reply != ""
		if !more && answer == nil {
			return m.Data, nil
		}
		answer = append(answer, m.Data...)
	}
	return answer, nil
}

// partMost is how much of an answer goes at once. More than a record may have the server does not take, and an answer may have several of those, written as clients get them.
const partMost = 16 << 20

// partTime is for how long the rest of an answer is kept for who asked.
const partTime = 30 * time.Second

// say sends an answer. A part behind which there are more says where the next one is asked for.
func (q *Questions) say(ctx context.Context, m *nats.Msg, answer []byte) {
	if len(answer) <= partMost {
		_ = m.Respond(answer) // who asks will ask again
		return
	}
	ctx, cancel := context.WithTimeout(ctx, partTime)
	defer cancel()
	next, err := q.nc.SubscribeSync(q.nc.NewInbox())
	if err != nil {
		_ = m.Respond(nil)
		return
	}
	defer func() { _ = next.Unsubscribe() }()
	for {
		part := &nats.Msg{Subject: m.Reply, Data: answer[:min(len(answer), partMost)]}
		if answer = answer[len(part.Data):]; len(answer) > 0 {
			part.Reply = next.Subject
		}
		if q.nc.PublishMsg(part) != nil || len(answer) == 0 {
			return
		}
		if m, err = next.NextMsgWithContext(ctx); err != nil {
			return
		}
	}
}

var errBusy = errors.New("too many ask it at once")

// Answer has questions of other nodes answered from now on, each by a call of its own, until stop is called; that returns when none is under way. ctx ends with
// stop, and when nobody wants the answer any more. What is answered is never empty.
func (q *Questions) Answer(answer func(ctx context.Context, question []byte) []byte) (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	var mu sync.Mutex
	var underway sync.WaitGroup
	asked := make(map[string]func()) // by name; it has the question withdrawn
	slots := make(chan struct{}, asksMost)
	sub, err := q.nc.Subscribe(askSubject+q.node+"."+q.name, func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		if withdraw := asked[m.Header.Get(askWithdrawn)]; withdraw != nil {
			withdraw()
		}
		if m.Header.Get(askWithdrawn) != "" {
			return
		}
		select {
		case <-ctx.Done():
			return
		case slots <- struct{}{}:
		default:
			_ = m.Respond(nil) // who asks will ask again
			return
		}
		wanted, withdraw := context.WithCancel(ctx)
		name := m.Header.Get(askName)
		if name != "" {
			asked[name] = withdraw
		}
		underway.Go(func() {
			defer func() {
				mu.Lock()
				delete(asked, name)
				mu.Unlock()
				withdraw()
				<-slots
			}()
			q.say(wanted, m, answer(wanted, m.Data))
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
