package interop

import (
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	stomp "github.com/go-stomp/stomp/v3"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/node"
)

// account notes who settled what.
type account struct {
	mu      sync.Mutex
	settled map[string]int
	by      map[string]int
}

func (l *account) note(who, body string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settled[body]++
	l.by[who]++
}

func (l *account) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.settled)
}

// goWorker connects a worker of its own.
func goWorker(t *testing.T, n *node.Node, name, queue string) (*natsgo.Conn, jetstream.Consumer) {
	t.Helper()
	nc := dialNATS(t, n)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	c, err := js.CreateOrUpdateConsumer(within(t), "QUEUES", jetstream.ConsumerConfig{Durable: name, FilterSubject: "queue." + queue, AckWait: time.Hour})
	require.NoError(t, err)
	return nc, c
}

// Two Go workers and a STOMP client share a queue. One worker's connection is cut with
// messages in its hands: the others have them at once, marked, and in the end every message was settled once.
func TestGoWorkersAndSTOMPCompete(t *testing.T) {
	t.Parallel()
	const count, stuck = 3000, 40
	n := node.Start(t)
	c := dial(t, n)
	for i := range count {
		require.NoError(t, c.Send("/queue/jobs", "text/plain", fmt.Append(nil, i), stomp.SendOpt.Receipt, stomp.SendOpt.Header("persistent", "true")))
	}
	l := &account{settled: map[string]int{}, by: map[string]int{}}
	dying, first := goWorker(t, n, "workers", "jobs")
	held, err := first.Fetch(stuck, jetstream.FetchMaxWait(soon))
	require.NoError(t, err)
	taken := map[string]bool{}
	for m := range held.Messages() {
		taken[string(m.Data())] = true
	}
	require.Len(t, taken, stuck)

	_, second := goWorker(t, n, "workers", "jobs")
	again := make(chan string, count)
	consuming, err := second.Consume(func(m jetstream.Msg) {
		meta, err := m.Metadata()
		if err != nil || m.DoubleAck(within(t)) != nil {
			return
		}
		l.note("go", string(m.Data()))
		if meta.NumDelivered > 1 {
			again <- string(m.Data())
		}
	}, jetstream.PullMaxMessages(20))
	require.NoError(t, err)
	defer consuming.Stop()
	s, err := c.Subscribe("/queue/jobs", stomp.AckClientIndividual, stomp.SubscribeOpt.Header("activemq.prefetchSize", "20"))
	require.NoError(t, err)
	go func() {
		for m := range s.C {
			if m.Err != nil || c.Ack(m) != nil {
				return
			}
			l.note("stomp", string(m.Body))
			if m.Header.Get("redelivered") == "true" {
				again <- string(m.Body)
			}
		}
	}()
	require.Eventually(t, func() bool { return l.count() == count-stuck }, soon, time.Millisecond)
	dying.Close()
	require.Eventually(t, func() bool { return l.count() == count }, soon, time.Millisecond, "what the lost worker held must come at once")
	for range stuck {
		require.True(t, taken[<-again], "what comes again, and only that, is marked")
	}
	require.Empty(t, again)
	l.mu.Lock()
	defer l.mu.Unlock()
	for body, times := range l.settled {
		require.Equal(t, 1, times, "message %s", body)
	}
	require.NotZero(t, l.by["go"], "%v", l.by)
	require.NotZero(t, l.by["stomp"], "%v", l.by)
}

// A durable worker goes on after the node was killed: it reconnects, finds its consumer, and gets what it had not settled.
func TestAGoWorkerGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	const count = 500
	n := node.Start(t)
	c := dial(t, n)
	send := func(from int) {
		for i := range count {
			require.NoError(t, c.Send("/queue/jobs", "text/plain", fmt.Append(nil, from+i), stomp.SendOpt.Receipt, stomp.SendOpt.Header("persistent", "true")))
		}
	}
	_, consumer := goWorker(t, n, "workers", "jobs")
	send(0)
	batch, err := consumer.Fetch(count, jetstream.FetchMaxWait(soon))
	require.NoError(t, err)
	settled := map[string]bool{}
	for m := range batch.Messages() {
		if len(settled) < count/2 {
			require.NoError(t, m.DoubleAck(within(t)))
			settled[string(m.Data())] = true
		}
	}
	n.Kill()
	n.Restart()
	js, err := jetstream.New(dialNATS(t, n))
	require.NoError(t, err)
	consumer, err = js.Consumer(within(t), "QUEUES", "workers")
	require.NoError(t, err, "it is durable")
	require.Equal(t, time.Hour, consumer.CachedInfo().Config.AckWait)
	batch, err = consumer.Fetch(count/2, jetstream.FetchMaxWait(soon))
	require.NoError(t, err)
	for m := range batch.Messages() {
		require.False(t, settled[string(m.Data())], "%s was settled for good", m.Data())
		require.NoError(t, m.DoubleAck(within(t)))
		settled[string(m.Data())] = true
	}
	require.Len(t, settled, count)
	require.Empty(t, drained(t, n, "/queue/jobs"))
}

// The example runs as it is.
func TestTheExampleWorker(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "worker")
	out, err := exec.Command("go", "build", "-o", program, "github.com/sluice-mq/sluice/deploy/examples/worker").CombinedOutput()
	require.NoError(t, err, "%s", out)
	n := node.Start(t)
	worker := exec.Command(program, "-url", "nats://"+n.Addr("nats"), "-queue", "orders", "-consumer", "workers")
	var said lines
	worker.Stderr = &said
	require.NoError(t, worker.Start())
	c := dial(t, n)
	require.NoError(t, c.Send("/queue/orders", "text/plain", []byte("hello"), stomp.SendOpt.Receipt))
	require.NoError(t, c.Send("/queue/orders", "text/plain", nil, stomp.SendOpt.Receipt, stomp.SendOpt.Header("persistent", "true")))
	require.Eventually(t, func() bool { return said.has("body=hello subject=queue.orders") }, soon, 10*time.Millisecond, said.String)
	s, err := c.Subscribe("/queue/ActiveMQ.DLQ", stomp.AckAuto)
	require.NoError(t, err)
	require.Equal(t, "/queue/orders", receive(t, s).Header.Get("original-destination"))
	require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
	require.NoError(t, worker.Wait())
	require.Empty(t, drained(t, n, "/queue/orders"))
}

// lines keeps what a program says.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

var _ io.Writer = (*lines)(nil)

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) has(text string) bool { return strings.Contains(l.String(), text) }

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
