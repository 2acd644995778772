package pubsub_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/protocols/pubsub"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// reader is a client that takes an answer when it is told to.
type reader struct {
	*httptest.ResponseRecorder
	crowd *crowd
	until time.Time
}

func (r *reader) SetWriteDeadline(t time.Time) error {
	r.until = t
	return nil
}

func (r *reader) Write(b []byte) (int, error) {
	if r.Code == http.StatusOK {
		r.crowd.hold(int64(len(b)))
		<-r.crowd.goOn
	}
	return r.ResponseRecorder.Write(b)
}

// crowd are slow readers.
type crowd struct {
	w    *world
	goOn chan struct{}
	all  sync.WaitGroup

	mu      sync.Mutex
	bytes   int64 // of answers that are being written
	reading int   // and how many those are
	refused int
	got     []wire.Received
}

func (c *crowd) hold(bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes += bytes
	c.reading++
}

// held is how much is being written to how many, and how many were refused.
func (c *crowd) held() (bytes int64, reading, refused int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes, c.reading, c.refused
}

// pulls has some pull from a subscription, and keep their answers until goOn is closed.
func (c *crowd) pulls(times int, subscription, key string) {
	for range times {
		c.all.Go(func() {
			r := httptest.NewRequest("POST", "/v1/projects/P/subscriptions/"+subscription+":pull", strings.NewReader(`{"maxMessages":"1000","returnImmediately":"true"}`))
			r.Header.Set("X-Api-Key", key)
			a := &reader{ResponseRecorder: httptest.NewRecorder(), crowd: c}
			c.w.door.Handler().ServeHTTP(a, r)
			var got wire.Pulled
			if err := json.Unmarshal(a.Body.Bytes(), &got); err != nil {
				c.w.t.Error(err)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.got = append(c.got, got.Received...); a.Code != http.StatusOK {
				c.refused++
			}
		})
	}
}

// fill puts messages of 100 kB into the log.
func (w *world) fill(messages int) {
	var all []*gateway.Message
	for range messages {
		all = append(all, &gateway.Message{Destination: gateway.Destination{Kind: gateway.KindTopic, Name: "P.t"}, Body: bytes.Repeat([]byte{7}, 100_000), Timestamp: 1})
	}
	w.logs.Append("P.t", all, nil, 0)
}

const memory = 8 << 20

func narrow(cfg *pubsub.Config) {
	cfg.MaxMessage, cfg.MaxRequest, cfg.Memory, cfg.Patience = 200_000, 1<<20, memory, 300*time.Millisecond
}

// reads has slow readers of a user take all that they can get of some subscriptions.
func (w *world) reads(key string, subscriptions ...string) *crowd {
	c := &crowd{w: w, goOn: make(chan struct{})}
	for _, s := range subscriptions {
		c.pulls(40/len(subscriptions), s, key)
	}
	gatewaytest.Eventually(w.t, func() bool {
		_, reading, refused := c.held()
		return reading+refused == 40/len(subscriptions)*len(subscriptions)
	}, "all have an answer")
	return c
}

// Answers that nobody takes have a bounded memory; whoever holds it holds up neither other users nor, by one subscription, the rest of his own, and nobody who publishes.
func TestSlowReadersHoldABoundedMemory(t *testing.T) {
	w := stocked(t, 0, narrow)
	w.must("PUT", "/projects/P/subscriptions/other", serviceToken, `{"topic":"projects/P/topics/t"}`)
	slow, quick := w.member("slow", "project_admin"), w.member("quick", "project_admin")
	w.fill(60)
	one := w.reads(slow, "s")
	bytes, reading, refused := one.held()
	require.LessOrEqual(t, bytes, int64(memory/2))
	require.NotZero(t, reading)
	require.NotZero(t, refused)
	var got wire.Pulled
	w.must("POST", "/projects/P/subscriptions/other:pull", slow, `{"maxMessages":"1000"}`, &got)
	require.NotEmpty(t, got.Received, "another subscription of his")

	all := w.reads(slow, "other", "s")
	more, _, _ := all.held()
	require.LessOrEqual(t, bytes+more, int64(memory/2), "half of it, whatever he does")
	w.must("POST", "/projects/P/subscriptions/s:pull", quick, `{"maxMessages":"1000"}`, &got)
	require.NotEmpty(t, got.Received, "another user")
	require.Less(t, len(got.Received), 60, "not so much as there is")
	w.must("POST", "/projects/P/topics/t:publish", slow, `{"messages":[{"data":"`+strings.Repeat("QUJD", 40_000)+`"}]}`)

	close(one.goOn)
	close(all.goOn)
	one.all.Wait()
	all.all.Wait()
	w.must("POST", "/projects/P/subscriptions/s:pull", quick, `{"maxMessages":"1000"}`, &got)
	before := len(got.Received)
	require.GreaterOrEqual(t, before, 5)
	for range 2 { // nothing of it is lost
		w.must("POST", "/projects/P/subscriptions/s:pull", quick, `{"maxMessages":"1000"}`, &got)
		require.Len(t, got.Received, before)
	}
}

// A message for which there is no memory is waited for.
func TestALongMessageWaitsForMemory(t *testing.T) {
	w := stocked(t, 0, func(cfg *pubsub.Config) {
		narrow(cfg)
		cfg.Memory, cfg.Patience = 1<<20, 20*time.Second
	})
	w.fill(9)
	c := &crowd{w: w, goOn: make(chan struct{})}
	c.pulls(4, "s", serviceToken)
	gatewaytest.Eventually(t, func() bool { bytes, _, _ := c.held(); return bytes > 0 }, "the first has his answer")
	c.pulls(1, "s", serviceToken)
	close(c.goOn)
	c.all.Wait()
	require.GreaterOrEqual(t, len(c.got), 5, "something for each")
	require.Zero(t, c.refused)
}

// Of leased messages that find no memory nobody knows that they were ever handed out.
func TestSlowReadersOfLeasesHoldABoundedMemory(t *testing.T) {
	w := newWorld(t, func(cfg *pubsub.Config) {
		narrow(cfg)
		lending(t, cfg, nil)
	})
	w.must("POST", "/projects/P", serviceToken, map[string]string{"description": ""})
	for _, name := range []string{"t", "dead"} {
		w.must("PUT", "/projects/P/topics/"+name, serviceToken, nil)
	}
	w.must("PUT", "/projects/P/subscriptions/s", serviceToken,
		`{"topic":"projects/P/topics/t","mode":"leased","ackDeadlineSeconds":600,"deadLetterPolicy":{"deadLetterTopic":"projects/P/topics/dead","maxDeliveryAttempts":1}}`)
	slow, quick := w.member("slow", "project_admin"), w.member("quick", "project_admin")
	w.fill(60)
	c := w.reads(slow, "s")
	bytes, reading, _ := c.held()
	require.LessOrEqual(t, bytes, int64(memory/2))
	require.NotZero(t, reading)
	var got wire.Pulled
	w.must("POST", "/projects/P/subscriptions/s:pull", quick, `{"maxMessages":"1000","returnImmediately":"true"}`, &got)
	require.NotEmpty(t, got.Received, "another user")
	close(c.goOn)
	c.all.Wait()
	all := append(c.got, got.Received...)
	for len(got.Received) > 0 {
		w.must("POST", "/projects/P/subscriptions/s:pull", quick, `{"maxMessages":"1000","returnImmediately":"true"}`, &got)
		all = append(all, got.Received...)
	}
	seen := map[string]bool{}
	for _, m := range all {
		require.EqualValues(t, 1, m.Attempt, m.Message.ID)
		seen[m.Message.ID] = true
	}
	require.Len(t, all, 60, "each once")
	require.Len(t, seen, 60)
}

// The time for taking an answer follows its length.
func TestAnAnswerHasItsTime(t *testing.T) {
	w := stocked(t, 0, func(cfg *pubsub.Config) { cfg.Grace, cfg.Pace = time.Hour, 10 })
	until := func() (time.Duration, int) {
		r := httptest.NewRequest("POST", "/v1/projects/P/subscriptions/s:pull", strings.NewReader(`{"maxMessages":"9"}`))
		r.Header.Set("X-Api-Key", serviceToken)
		c := &crowd{w: w, goOn: make(chan struct{})}
		close(c.goOn)
		a := &reader{ResponseRecorder: httptest.NewRecorder(), crowd: c}
		began := time.Now()
		w.door.Handler().ServeHTTP(a, r)
		require.Equal(t, 200, a.Code)
		return a.until.Sub(began), a.Body.Len()
	}
	short, _ := until()
	require.InDelta(t, time.Hour.Seconds(), short.Seconds(), 60)
	w.fill(2)
	long, length := until()
	require.Greater(t, length, 200_000)
	require.InDelta(t, time.Hour.Seconds()+float64(length)/10, long.Seconds(), 60)
}

// Who announces much and sends little holds no memory; who sends a part and stops is cut off in time, and others publish meanwhile.
func TestSlowBodiesDoNotStopOthers(t *testing.T) {
	w := stocked(t, 0, func(cfg *pubsub.Config) {
		cfg.MaxMessage, cfg.MaxRequest, cfg.Memory, cfg.Grace, cfg.Pace = 200_000, 1<<20, 4<<20, 100*time.Millisecond, 10<<20
		cfg.Patience = 2 * time.Second
	})
	slow, quick := w.member("slow", "project_admin"), w.member("quick", "project_admin")
	for range 40 {
		c := w.begun("t:publish", slow, "", 1<<20)
		_, err := c.Write([]byte{'{'})
		require.NoError(t, err)
	}
	long := `{"messages":[{"data":"` + strings.Repeat("QUJD", 20_000) + `"}]}`
	w.must("POST", "/projects/P/topics/t:publish", slow, long)
	var cut []io.Reader
	for range 10 {
		c := w.begun("t:publish", slow, "", 1<<20)
		_, err := c.Write(bytes.Repeat([]byte{' '}, 100<<10))
		require.NoError(t, err)
		cut = append(cut, c)
	}
	for range 5 {
		w.must("POST", "/projects/P/topics/t:publish", quick, long)
	}
	for _, c := range cut {
		text, _ := io.ReadAll(c) // it ends with the connection
		require.Regexp(t, `^HTTP/1.1 (408 Request Timeout|503 Service Unavailable)`, string(text))
	}
	w.must("POST", "/projects/P/topics/t:publish", slow, fmt.Sprintf(`{"messages":[{"data":%q}]}`, strings.Repeat("QUJD", 20_000)))
}
