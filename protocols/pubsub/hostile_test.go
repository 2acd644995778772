package pubsub_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub"
)

func TestBadInput(t *testing.T) {
	w := stocked(t, 1, func(cfg *pubsub.Config) { cfg.MaxMessage, cfg.MaxRequest = 1000, 1<<20 })
	long := strings.Repeat("x", 101)
	for _, c := range []struct {
		code                     int
		text, method, path, body string
	}{
		{413, "Message size is too large", "POST", "/projects/P/topics/t:publish", `{"messages":[{"data":"` + strings.Repeat("QUJD", 334) + `"}]}`},
		{413, "Message size is too large", "POST", "/projects/P/topics/t:publish", `{"messages":[{"attributes":{"a":"` + strings.Repeat("x", 70_000) + `"}}]}`},
		{413, "Message size is too large", "POST", "/projects/P/topics/t:publish", strings.Repeat(" ", 1<<20+1)},
		{413, "Message size is too large", "POST", "/projects/P/topics/t:publish", `{"messages":[` + strings.Repeat("{},", 200_000) + `{}]}`},
		{400, "Invalid Message Arguments", "POST", "/projects/P/topics/t:publish", strings.Repeat(`{"messages":[`, 60_000)},
		{400, "Invalid Message Arguments", "POST", "/projects/P/topics/t:publish", `[]`},
		{400, "Invalid Message Arguments", "POST", "/projects/P/topics/t:publish", `{"messages":[]} x`},
		{400, "Invalid topic name", "PUT", "/projects/P/topics/" + long, ""},
		{400, "Invalid topic name", "PUT", "/projects/P/topics/%00", ""},
		{400, "Invalid topic name", "PUT", "/projects/P/topics/..", ""},
		{400, "Invalid topic name", "GET", "/projects/P/topics/t:nothing", ""},
		{400, "Invalid project name", "GET", "/projects/%2e%2e/topics", ""},
		{400, "Invalid user name", "POST", "/users/a:b:c", "{}"},
		{400, "Invalid Subscription Arguments", "PUT", "/projects/P/subscriptions/x", `{"topic":"projects/P/topics/t","ackDeadlineSeconds":-1}`},
		{400, "Invalid Subscription Arguments", "PUT", "/projects/P/subscriptions/x", `{"topic":5}`},
		{400, "Invalid Topic name", "PUT", "/projects/P/subscriptions/x", `{"topic":"projects/P/topics/../t"}`},
		{400, "Invalid Pull Parameters Arguments", "POST", "/projects/P/subscriptions/s:pull", `{"maxMessages":{}}`},
		{400, "Invalid Project Arguments", "POST", "/projects/R", `{"description":1}`},
		{400, "a project keeps its name: its topics are known by it elsewhere", "PUT", "/projects/P", `{"name":"R"}`},
		{400, "Invalid ackDeadlineSeconds(needs value between 0 and 600) Arguments", "POST", "/projects/P/subscriptions/s:modifyAckDeadline", `{"ackDeadlineSeconds":1e3}`},
		{404, "ProjectUUID doesn't exist", "GET", "/users?project=nope", ""},
	} {
		w.refused(c.code, c.text, c.method, c.path, serviceToken, c.body)
	}
	for _, path := range []string{"/projects/", "/projects//topics", "/projects/P/topics/t/", "//projects", "/projects/P/topics/a%2Fb", "/projects/P/topics/t/x/y/z/z/z/z/z/z", "/"} {
		require.Equal(t, answer{404, "text/plain; charset=utf-8", "404 page not found\n"}, w.ask("GET", path, serviceToken, nil), path)
	}
	require.Equal(t, 404, w.ask("HEAD", "/projects", serviceToken, nil).code)
	w.must("POST", "/projects/P/topics/t:publish", serviceToken, `{"MESSAGES":[{"Data":"QQ==","unknown":[{}]}],"more":{}}`)
	require.Equal(t, []string{"0", "1"}, w.pull(9), "it goes on")
}

func TestASlowBody(t *testing.T) {
	w := stocked(t, 0, func(cfg *pubsub.Config) { cfg.BodyTime = 200 * time.Millisecond })
	for _, head := range []string{"Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"} {
		c, err := net.Dial("tcp", w.door.Addr().String())
		require.NoError(t, err)
		fmt.Fprintf(c, "POST /v1/projects/P/topics/t:publish HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\n%s", serviceToken, head)
		require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		text, _ := io.ReadAll(c)
		require.Contains(t, string(text), "408 Request Timeout")
		require.Contains(t, string(text), `"status": "TIMEOUT"`)
		require.NoError(t, c.Close())
	}
}

// Requests that are long share a bounded memory: those for which there is none wait, and short ones go by.
func TestLongRequestsWaitForMemory(t *testing.T) {
	w := stocked(t, 0, func(cfg *pubsub.Config) {
		cfg.MaxMessage, cfg.MaxRequest, cfg.Memory, cfg.Patience = 100_000, 1<<20, 1<<20, 300*time.Millisecond
	})
	c, err := net.Dial("tcp", w.door.Addr().String())
	require.NoError(t, err)
	fmt.Fprintf(c, "POST /v1/projects/P/topics/t:publish HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Length: %d\r\n\r\n%s", serviceToken, 1<<20, strings.Repeat(" ", 100_000))
	large := `{"messages":[{"data":"` + strings.Repeat("QUJD", 20_000) + `"}]}`
	deadline := time.Now().Add(20 * time.Second)
	for w.ask("POST", "/projects/P/topics/t:publish", serviceToken, large).code != http.StatusServiceUnavailable {
		require.True(t, time.Now().Before(deadline), "the memory is never used up")
	}
	w.publish("t", "short")
	require.NoError(t, c.Close())
	for w.ask("POST", "/projects/P/topics/t:publish", serviceToken, large).code != http.StatusOK {
		require.True(t, time.Now().Before(deadline), "the memory never comes back")
	}
}

// No token is ever in the log, wherever it was shown.
func TestTokensAreNotLogged(t *testing.T) {
	var log bytes.Buffer
	w := stocked(t, 1, func(cfg *pubsub.Config) {
		cfg.Keys, cfg.Logger = pubsub.InBoth, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	w.logs.Break(gateway.Errorf(gateway.Unavailable, "no majority"))
	require.Equal(t, 503, w.ask("POST", "/projects/P/subscriptions/s:pull?key="+serviceToken, "", "{}").code)
	require.Equal(t, 503, w.ask("GET", "/projects/P/subscriptions/s:offsets", serviceToken, nil).code)
	require.Equal(t, 404, w.ask("GET", "/users:byToken/"+strings.Repeat("5ec8e7", 10), serviceToken, nil).code)
	require.Contains(t, log.String(), "no majority")
	require.Contains(t, log.String(), "s:offsets")
	require.NotContains(t, log.String(), serviceToken)
	require.NotContains(t, log.String(), "5ec8e7")
	require.Equal(t, "/v1/users:byToken/...", pubsub.Shown("/v1/users:byToken/5ec8e7"))
}

func TestBrowsersMayAsk(t *testing.T) {
	w := newWorld(t, nil)
	r, err := http.NewRequest(http.MethodOptions, w.base+"/projects", nil)
	require.NoError(t, err)
	r.Header.Set("Origin", "https://x.org")
	r.Header.Set("Access-Control-Request-Method", "GET")
	a, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, a.Body.Close())
	require.Equal(t, 200, a.StatusCode)
	require.Equal(t, "*", a.Header.Get("Access-Control-Allow-Origin"))
	require.Contains(t, a.Header.Get("Access-Control-Allow-Headers"), "x-api-key")
	require.Equal(t, 404, w.ask("OPTIONS", "/projects", "", nil).code)
}

// FuzzDoor: whatever is asked, the answer is one of the service's, and no fault of ours.
func FuzzDoor(f *testing.F) {
	for _, s := range [][3]string{
		{"POST", "/v1/projects/P/topics/t:publish", `{"messages":[{"data":"QQ==","attributes":{"a":"b"}}]}`},
		{"POST", "/v1/projects/P/subscriptions/s:pull", `{"maxMessages":"3","returnImmediately":true}`},
		{"POST", "/v1/projects/P/subscriptions/s:acknowledge", `{"ackIds":["projects/P/subscriptions/s:0"]}`},
		{"POST", "/v1/projects/P/subscriptions/s:modifyOffset", `{"offset":"1"}`},
		{"GET", "/v1/projects/P/subscriptions/s:timeToOffset?time=2026-01-01T00:00:00Z", ""},
		{"PUT", "/v1/projects/P/subscriptions/x", `{"topic":"projects/P/topics/t","pushConfig":{"type":"x","retryPolicy":{"period":3}}}`},
		{"POST", "/v1/users/u", `{"email":"x","projects":[{"project":"P","roles":["consumer"]}]}`},
		{"PUT", "/v1/users/u", `{"name":"v","service_roles":[]}`}, {"GET", "/v1/users?pageSize=1&pageToken=MQ", ""},
		{"PUT", "/v1/projects/P/topics/x", `{"schema":"projects/P/schemas/x"}`}, {"POST", "/v1/projects/P/topics/t:modifyAcl", `{"authorized_users":["u"]}`},
		{"POST", "/v1/projects/P/schemas/x", `{"type":"json","schema":{"type":"object"},"attributes":{"type":"avro","schema":{"type":"record","name":"r","fields":[]}}}`},
		{"PUT", "/v1/projects/P/schemas/x", `{"name":"projects/P/schemas/y","schema":{"minimum":1}}`}, {"POST", "/v1/projects/P/schemas/x:validate", `{"data":"QQ=="}`},
		{"GET", "/v1/projects/P/schemas/x?revision=1", ""}, {"POST", "/v1/projects/P/topics/t:attachSchema", `{"schema":"projects/P/schemas/x"}`},
		{"POST", "/v1/projects/P/subscriptions/s:modifyPushConfig", `{"pushConfig":{"type":"mattermost","mattermostUrl":"https://x.org/"}}`},
	} {
		f.Add(s[0], s[1], []byte(s[2]))
	}
	w := stocked(f, 3, nil)
	h := w.door.Handler()
	f.Fuzz(func(t *testing.T, method, path string, body []byte) {
		r, err := http.NewRequest(method, "http://x"+path, bytes.NewReader(body))
		if err != nil || r.URL == nil {
			return
		}
		r.Header.Set("X-Api-Key", serviceToken)
		got := httptest.NewRecorder()
		h.ServeHTTP(got, r)
		text := got.Body.String()
		switch {
		case got.Code == 200 && (text == "" || json.Valid([]byte(text))):
		case got.Code == 404 && text == "404 page not found\n":
		case got.Code >= 400 && json.Valid([]byte(text)) && strings.Contains(text, `"error"`) && (got.Code < 500 || strings.Contains(text, "no ack pending") || strings.Contains(text, "wrong ack") || strings.Contains(text, "Could not load schema for topic")):
		default:
			t.Fatalf("%d %s", got.Code, text)
		}
	})
}
