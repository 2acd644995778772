package pubsub

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/jetstream"
	"github.com/sluice-mq/sluice/jetstream/embed"
	"github.com/sluice-mq/sluice/protocols/pubsub"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

const token = "the-service-token"

// sender is a gateway.Broker whose sessions append to the store's logs, and do nothing else.
type sender struct {
	gateway.Session
	logs gateway.Logs
}

func (s *sender) Open(context.Context, gateway.Login) (gateway.Session, error) { return s, nil }
func (s *sender) Close()                                                       {}

func (s *sender) Send(m *gateway.Message, c gateway.Completion, n uint64) {
	s.Commit(&gateway.Transaction{Sends: []*gateway.Message{m}}, c, n)
}

func (s *sender) Commit(tx *gateway.Transaction, c gateway.Completion, n uint64) {
	for _, m := range tx.Sends {
		m.Timestamp = time.Now().UnixMilli()
	}
	s.logs.Append(tx.Sends[0].Destination.Name, tx.Sends, c, n)
}

// node is a store with a door.
type node struct {
	t      testing.TB
	base   string
	client *http.Client
	stop   func()
}

func start(t testing.TB, dir string, sync bool, change ...func(*pubsub.Config)) *node {
	quiet := slog.New(slog.DiscardHandler)
	server, err := embed.Start(context.Background(), embed.Config{Name: "n1", Dir: dir, MaxPayload: jetstream.MaxRecord, Logger: quiet})
	require.NoError(t, err)
	store, err := jetstream.Open(context.Background(), jetstream.Config{Dir: dir, Server: server, Node: "n1", Shards: 1, Sync: sync, Logger: quiet})
	require.NoError(t, err)
	following, unfollow := context.WithCancel(context.Background())
	directory, err := resource.Open(following, resource.Config{Facts: store.Registry()})
	require.NoError(t, err)
	cfg := pubsub.Config{
		Address: "127.0.0.1:0", Broker: &sender{logs: store.Logs()}, Directory: directory, Logs: store.Logs(), ServiceToken: token,
	}
	for _, f := range change {
		f(&cfg)
	}
	door, err := pubsub.New(cfg)
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- door.Serve(context.Background()) }()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	n := &node{t: t, base: "http://" + door.Addr().String() + "/v1/projects/P", client: &http.Client{Transport: transport, Timeout: time.Minute}}
	n.stop = once(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		require.NoError(t, door.Drain(ctx))
		require.NoError(t, <-served)
		transport.CloseIdleConnections()
		unfollow()
		require.NoError(t, store.Close(ctx))
		server.Stop()
	})
	t.Cleanup(n.stop)
	return n
}

func once(f func()) func() { return sync.OnceFunc(f) }

// ask makes a request that has to go well.
func (n *node) ask(method, path string, body string, into any) error {
	r, err := http.NewRequest(method, n.base+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("X-Api-Key", token)
	a, err := n.client.Do(r)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil || a.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %d %.300s %w", method, path, a.StatusCode, text, err)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

func (n *node) must(method, path string, body string, into any) {
	n.t.Helper()
	require.NoError(n.t, n.ask(method, path, body, into))
}

type published struct {
	IDs []string `json:"messageIds"`
}

type pulled struct {
	Received []struct {
		AckID   string `json:"ackId"`
		Message struct {
			ID   string `json:"messageId"`
			Data []byte `json:"data"`
		} `json:"message"`
	} `json:"receivedMessages"`
}

// batch is a request with so many messages of that size.
func batch(messages, size int) string {
	one, _ := json.Marshal(map[string]any{"data": bytes.Repeat([]byte{'x'}, size), "attributes": map[string]string{"a": "b"}})
	return `{"messages":[` + strings.TrimSuffix(strings.Repeat(string(one)+",", messages), ",") + `]}`
}

// Many publish to one topic at once: every id is given once, none is left out, and each names its message, before and after a restart.
func TestManyPublish(t *testing.T) {
	dir := t.TempDir()
	n := start(t, dir, true)
	n.must("POST", "", `{"description":""}`, nil)
	n.must("PUT", "/topics/t", "", nil)
	n.must("PUT", "/subscriptions/s", `{"topic":"projects/P/topics/t"}`, nil)
	const writers, each = 8, 25
	var mu sync.Mutex
	sent := map[string]string{}
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				var got published
				a, b := fmt.Sprintf("%d/%d/a", w, i), fmt.Sprintf("%d/%d/b", w, i)
				body, _ := json.Marshal(map[string]any{"messages": []any{map[string][]byte{"data": []byte(a)}, map[string][]byte{"data": []byte(b)}}[:1+i%2]})
				if err := n.ask("POST", "/topics/t:publish", string(body), &got); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for k, id := range got.IDs {
					sent[id] = []string{a, b}[k]
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	const total = writers * (each + each/2)
	require.Len(t, sent, total, "no id is given twice")
	var first pulled
	n.must("POST", "/subscriptions/s:pull", `{"maxMessages":"50"}`, &first)
	n.must("POST", "/subscriptions/s:acknowledge", `{"ackIds":["`+first.Received[49].AckID+`"]}`, nil)
	n.stop()

	n = start(t, dir, true)
	var offsets struct{ Max, Min, Current int }
	n.must("GET", "/subscriptions/s:offsets", "", &offsets)
	require.Equal(t, struct{ Max, Min, Current int }{total, 0, 50}, offsets)
	n.must("POST", "/subscriptions/s:modifyOffset", `{"offset":0}`, nil)
	var rest pulled
	n.must("POST", "/subscriptions/s:pull", `{"maxMessages":"1000"}`, &rest)
	require.Len(t, rest.Received, total)
	for i, m := range rest.Received {
		require.Equal(t, strconv.Itoa(i), m.Message.ID)
		require.Equal(t, sent[m.Message.ID], string(m.Message.Data))
	}
}
