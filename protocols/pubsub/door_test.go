package pubsub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/protocols/pubsub"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

const serviceToken = "the-service-token"

// clock is one that stands still unless it is told to go on.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	c.mu.Unlock()
}

// broker is a gateway.Broker whose sessions ask for schemas and append to logs, and do nothing else.
type broker struct {
	logs    *gatewaytest.Logs
	schemas gateway.Schemas
	clock   *clock

	mu     sync.Mutex
	err    error
	opened int
	open   map[*session]struct{}
	// stuck sends complete when it is closed; nil: at once.
	stuck chan struct{}
	// plain: no topic has a log.
	plain bool
}

type session struct {
	gateway.Session
	broker *broker
	login  gateway.Login
}

func (b *broker) Open(_ context.Context, l gateway.Login) (gateway.Session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return nil, b.err
	}
	if b.open == nil {
		b.open = make(map[*session]struct{})
	}
	s := &session{broker: b, login: l}
	b.opened++
	b.open[s] = struct{}{}
	return s, nil
}

func (s *session) Send(m *gateway.Message, c gateway.Completion, token uint64) {
	s.Commit(&gateway.Transaction{Sends: []*gateway.Message{m}}, c, token)
}

func (s *session) Commit(tx *gateway.Transaction, c gateway.Completion, token uint64) {
	for i, m := range tx.Sends {
		m.Timestamp = s.broker.clock.Now().UnixMilli()
		if err := s.broker.schemas.Check(m.Destination.Name, i, m); err != nil {
			c.Complete(token, err)
			return
		}
	}
	s.broker.mu.Lock()
	stuck, plain := s.broker.stuck, s.broker.plain
	s.broker.mu.Unlock()
	if stuck != nil {
		return
	}
	if plain {
		c.Complete(token, nil)
		return
	}
	s.broker.logs.Append(tx.Sends[0].Destination.Name, tx.Sends, c, token)
}

func (s *session) Close() {
	s.broker.mu.Lock()
	delete(s.broker.open, s)
	s.broker.mu.Unlock()
}

// world is a door and what is behind it.
type world struct {
	t         testing.TB
	clock     *clock
	disk      *gatewaytest.Disk
	registry  *gatewaytest.Registry
	directory *resource.Directory
	logs      *gatewaytest.Logs
	broker    *broker
	door      *pubsub.Server
	base      string
}

// newWorld opens a door on a disk; nil is a new one. change may change the configuration.
func newWorld(t testing.TB, change func(*pubsub.Config)) *world {
	w := &world{t: t, clock: &clock{now: time.Date(2026, 11, 20, 20, 33, 1, 0, time.UTC)}, disk: gatewaytest.NewDisk(1)}
	w.registry = w.disk.Registry()
	vault, err := resource.NewVault(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	following, unfollow := context.WithCancel(context.Background()) // as long as anything that the test began
	t.Cleanup(unfollow)
	w.directory, err = resource.Open(following, resource.Config{Facts: w.registry, Vault: vault, Now: w.clock.Now})
	require.NoError(t, err)
	w.logs, err = gatewaytest.NewLogs(t.Context(), w.registry, func() int64 { return w.clock.Now().UnixMilli() })
	require.NoError(t, err)
	w.broker = &broker{logs: w.logs, schemas: w.directory, clock: w.clock}
	cfg := pubsub.Config{
		Address: "127.0.0.1:0", Broker: w.broker, Directory: w.directory, Logs: w.logs, ServiceToken: serviceToken, Now: w.clock.Now,
	}
	if change != nil {
		change(&cfg)
	}
	w.open(cfg)
	return w
}

func (w *world) open(cfg pubsub.Config) {
	door, err := pubsub.New(cfg)
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- door.Serve(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		<-served
		http.DefaultClient.CloseIdleConnections()
	})
	w.door, w.base = door, "http://"+door.Addr().String()+"/v1"
}

// answer is what came back.
type answer struct {
	code int
	kind string
	body string
}

// ask makes a request. body is JSON if it is not a string; nil is none.
func (w *world) ask(method, path, key string, body any) answer {
	w.t.Helper()
	w.clock.pass(time.Microsecond) // no two things are equally old
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	case json.RawMessage:
		in = bytes.NewReader(b)
	default:
		text, err := json.Marshal(b)
		require.NoError(w.t, err)
		in = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.base+path, in)
	require.NoError(w.t, err)
	if key != "" {
		r.Header.Set("X-Api-Key", key)
	}
	got, err := http.DefaultClient.Do(r)
	require.NoError(w.t, err)
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	require.NoError(w.t, err)
	return answer{got.StatusCode, got.Header.Get("Content-Type"), string(text)}
}

// must is ask for what has to go well; the answer is read into the pointer, if there is one.
func (w *world) must(method, path, key string, body any, into ...any) {
	w.t.Helper()
	a := w.ask(method, path, key, body)
	require.Equal(w.t, http.StatusOK, a.code, a.body)
	for _, p := range into {
		require.NoError(w.t, json.Unmarshal([]byte(a.body), p), a.body)
	}
}

// refused is ask for what must not go well.
func (w *world) refused(code int, text, method, path, key string, body any) {
	w.t.Helper()
	a := w.ask(method, path, key, body)
	var said struct {
		Error struct {
			Code            int
			Message, Status string
		}
	}
	require.NoError(w.t, json.Unmarshal([]byte(a.body), &said), a.body)
	require.Equal(w.t, []any{code, code, text}, []any{a.code, said.Error.Code, said.Error.Message})
	require.NotEmpty(w.t, said.Error.Status)
	require.Equal(w.t, "application/json; charset=utf-8", a.kind)
}
