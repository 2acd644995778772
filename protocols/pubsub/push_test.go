package pubsub_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/protocols/pubsub"
	"github.com/sluice-mq/sluice/protocols/pubsub/push"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// endpoint is somebody's server that is pushed to.
type endpoint struct {
	*httptest.Server

	mu     sync.Mutex
	hash   string
	where  string // the path at which the hash is shown
	answer func(n int, w http.ResponseWriter, r *http.Request)
	bodies []string
	ids    []string
	auth   []string
}

func newEndpoint(t testing.TB) *endpoint {
	e := &endpoint{where: "/ams_verification_hash"}
	e.Server = httptest.NewTLSServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	e.mu.Lock()
	if r.Method == http.MethodGet {
		defer e.mu.Unlock()
		if r.URL.Path == e.where {
			_, _ = io.WriteString(w, e.hash)
			return
		}
		http.NotFound(w, r)
		return
	}
	e.bodies, e.auth = append(e.bodies, string(body)), append(e.auth, r.Header.Get("Authorization"))
	n, answer := len(e.bodies), e.answer
	e.mu.Unlock()
	if answer != nil {
		answer(n, w, r)
	}
}

// took keeps what a body has.
func (e *endpoint) took(body string) {
	var one wire.Pushed
	var many wire.PushedMany
	_ = json.Unmarshal([]byte(body), &one)
	_ = json.Unmarshal([]byte(body), &many)
	if one.Message.ID != "" {
		many.Messages = append(many.Messages, one)
	}
	for _, m := range many.Messages {
		e.ids = append(e.ids, m.Message.ID)
	}
}

func (e *endpoint) set(change func()) {
	e.mu.Lock()
	change()
	e.mu.Unlock()
}

func (e *endpoint) seen() (bodies, auth []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string{}, e.bodies...), append([]string{}, e.auth...)
}

// received are the ids of the messages, in the order in which they came.
func (e *endpoint) received() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ids = nil
	for _, b := range e.bodies {
		e.took(b)
	}
	return e.ids
}

// trusting are the certificates of such endpoints.
func trusting(all ...*endpoint) *tls.Config {
	pool := x509.NewCertPool()
	for _, e := range all {
		pool.AddCert(e.Certificate())
	}
	return &tls.Config{RootCAs: pool}
}

// within waits until something is so.
func within(t testing.TB, what func() bool, text string, args ...any) {
	t.Helper()
	require.Eventually(t, what, 20*time.Second, 5*time.Millisecond, append([]any{text}, args...)...)
}

// run has a pusher push until the test ends, or until stop is called.
func run(t testing.TB, p *push.Pusher) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.Run(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	t.Cleanup(stop)
	return stop
}

// pushing is a world that pushes, with a project P and a topic t.
func pushing(t testing.TB, cfg push.Config) *world {
	w := newWorld(t, func(c *pubsub.Config) {
		cfg.Directory, cfg.Logs, cfg.Node = c.Directory, c.Logs, "n1"
		cfg.Look = 20 * time.Millisecond
		p, err := pubsub.NewPusher(cfg)
		require.NoError(t, err)
		c.Push = p
		run(t, p)
	})
	w.must("POST", "/projects/P", serviceToken, map[string]string{"description": ""})
	w.must("PUT", "/projects/P/topics/t", serviceToken, nil)
	return w
}

func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

const aSub = "/projects/P/subscriptions/s"

// subscribe makes the subscription s with pushes as that says, and verifies it.
func (w *world) subscribe(e *endpoint, config map[string]any) wire.Subscription {
	w.t.Helper()
	config["type"], config["pushEndpoint"] = "http_endpoint", e.URL+"/push"
	var sub wire.Subscription
	w.must("PUT", aSub, serviceToken, map[string]any{"topic": "projects/P/topics/t", "pushConfig": config}, &sub)
	require.False(w.t, sub.Push.Verified)
	e.set(func() { e.hash = sub.Push.VerificationHash })
	w.must("POST", aSub+":verifyPushEndpoint", serviceToken, nil)
	w.must("GET", aSub, serviceToken, nil, &sub)
	require.True(w.t, sub.Push.Verified)
	return sub
}

func fast(more map[string]any) map[string]any {
	config := map[string]any{"retryPolicy": map[string]any{"type": "linear", "period": 1}}
	for k, v := range more {
		config[k] = v
	}
	return config
}

func (w *world) current(name string) (offset int) {
	w.t.Helper()
	var got wire.Offsets
	w.must("GET", "/projects/P/subscriptions/"+name+":offsets", serviceToken, nil, &got)
	return int(got.Current)
}

// A push subscription is verified, and then gets each message, in order, with the header that shows where it comes from; the cursor follows.
func TestPush(t *testing.T) {
	e := newEndpoint(t)
	w := pushing(t, push.Config{TLS: trusting(e), AllowedNetworks: loopback()})
	sub := w.subscribe(e, fast(nil))
	require.Regexp(t, `^[0-9a-f]{64}$`, sub.Push.VerificationHash)
	require.Equal(t, "autogen", sub.Push.Authorization.Type)
	require.Regexp(t, `^[0-9a-f]{64}$`, sub.Push.Authorization.Value)
	require.Equal(t, "Subscription /projects/P/subscriptions/s is currently active", sub.PushStatus)
	var want []string
	for i := range 20 {
		want = append(want, strconv.Itoa(i))
	}
	w.publish("t", want...)
	within(t, func() bool { return len(e.received()) >= 20 }, "all messages come")
	within(t, func() bool { return w.current("s") == 20 }, "the cursor follows")
	require.Equal(t, want, e.received())
	bodies, auth := e.seen()
	require.Equal(t, sub.Push.Authorization.Value, auth[0])
	var first wire.Pushed
	require.NoError(t, json.Unmarshal([]byte(bodies[0]), &first))
	require.Equal(t, "projects/P/subscriptions/s", first.Subscription)
	require.Equal(t, "0", first.Message.ID)

	w.refused(409, "Push endpoint is already verified", "POST", aSub+":verifyPushEndpoint", serviceToken, nil)
	a := w.ask("DELETE", aSub, serviceToken, nil)
	require.Equal(t, `{"message":"Subscription /projects/P/subscriptions/s deactivated"}`, a.body)
	a = w.ask("GET", "/status", "", nil)
	require.JSONEq(t, `{"status":"ok","push_servers":[{"endpoint":"n1","status":"SERVING"}]}`, a.body)
}

// Several messages go in one push, without the header if that is not wanted, and decoded if that is.
func TestPushOfSeveral(t *testing.T) {
	e := newEndpoint(t)
	w := pushing(t, push.Config{TLS: trusting(e), AllowedNetworks: loopback()})
	gate := make(chan struct{})
	e.answer = func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			<-gate
		}
		w.WriteHeader(http.StatusNoContent)
	}
	w.subscribe(e, fast(map[string]any{"maxMessages": 10, "base64Decode": true, "authorizationHeader": map[string]any{"type": "disabled"}}))
	w.publish("t", base64.StdEncoding.EncodeToString([]byte("first")))
	within(t, func() bool { bodies, _ := e.seen(); return len(bodies) == 1 }, "the first comes alone")
	for i := range 15 {
		w.publish("t", base64.StdEncoding.EncodeToString([]byte(fmt.Sprint("m", i))))
	}
	close(gate)
	within(t, func() bool { return len(e.received()) == 16 }, "all come")
	bodies, auth := e.seen()
	require.Len(t, bodies, 3)
	require.Equal(t, []string{"", "", ""}, auth)
	for i, n := range []int{1, 10, 5} {
		var many wire.PushedMany
		require.NoError(t, json.Unmarshal([]byte(bodies[i]), &many))
		require.Len(t, many.Messages, n)
	}
	require.Contains(t, bodies[0], `"data":"first"`)
	require.Contains(t, bodies[2], `"data":"m14"`)
}

// What an endpoint refuses comes again until it takes it; until then the status says why, on all nodes, and nothing else is pushed.
func TestPushIsRepeated(t *testing.T) {
	e := newEndpoint(t)
	w := pushing(t, push.Config{TLS: trusting(e), AllowedNetworks: loopback()})
	var mends sync.Once
	mended := make(chan struct{})
	e.answer = func(_ int, w http.ResponseWriter, _ *http.Request) {
		select {
		case <-mended:
			w.WriteHeader(http.StatusCreated)
		default:
			http.Error(w, "not today", http.StatusInternalServerError)
		}
	}
	t.Cleanup(func() { mends.Do(func() { close(mended) }) })
	w.subscribe(e, fast(nil))
	w.publish("t", "a", "b")
	within(t, func() bool { return len(e.received()) >= 3 }, "it is tried again")
	var sub wire.Subscription
	within(t, func() bool {
		w.must("GET", aSub, serviceToken, nil, &sub)
		return strings.HasSuffix(sub.PushStatus, " - Could not send message, the endpoint answered 500: not today")
	}, "the status says why")
	require.Zero(t, w.current("s"))
	require.NotContains(t, e.received(), "1")
	mends.Do(func() { close(mended) })
	within(t, func() bool { return w.current("s") == 2 }, "then all goes on")
	within(t, func() bool {
		w.must("GET", aSub, serviceToken, nil, &sub)
		return sub.PushStatus == "Subscription /projects/P/subscriptions/s is currently active"
	}, "and the status, too")
}

// Pushes go to no address that is not allowed, by whatever name, follow no redirect, and read no more of an answer than they need.
func TestPushGoesNowhereElse(t *testing.T) {
	e, inside := newEndpoint(t), newEndpoint(t)
	w := pushing(t, push.Config{TLS: trusting(e, inside)})
	port := e.URL[strings.LastIndexByte(e.URL, ':'):]
	for i, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0", "[::ffff:7f00:1]", "2130706433", "127.1"} {
		name := fmt.Sprint("/projects/P/subscriptions/x", i)
		w.must("PUT", name, serviceToken, map[string]any{"topic": "projects/P/topics/t", "pushConfig": map[string]any{"type": "http_endpoint", "pushEndpoint": "https://" + host + port}})
		a := w.ask("POST", name+":verifyPushEndpoint", serviceToken, nil)
		require.Equal(t, 401, a.code, host)
		require.Regexp(t, "Endpoint verification failed.the (address of the endpoint is not allowed|name of the endpoint cannot be resolved)", a.body, host)
	}
	bodies, _ := e.seen()
	require.Empty(t, bodies)

	w = pushing(t, push.Config{TLS: trusting(e, inside), AllowedNetworks: loopback()})
	e.answer = func(_ int, w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inside.URL+"/push", http.StatusTemporaryRedirect)
	}
	w.subscribe(e, fast(nil))
	w.publish("t", "a")
	var sub wire.Subscription
	within(t, func() bool {
		w.must("GET", aSub, serviceToken, nil, &sub)
		return strings.HasSuffix(sub.PushStatus, "the endpoint answered 307")
	}, "a redirect is a refusal: %s", &sub)
	bodies, _ = inside.seen()
	require.Empty(t, bodies, "nobody follows it")

	e.set(func() {
		e.answer = func(_ int, w http.ResponseWriter, r *http.Request) { // without an end
			w.WriteHeader(http.StatusOK)
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}
	})
	within(t, func() bool { return w.current("s") == 1 }, "an answer without an end has a status")
}

// An endpoint that hangs holds up nobody else, and has what it did not take again.
func TestPushToOneThatHangs(t *testing.T) {
	good, bad := newEndpoint(t), newEndpoint(t)
	w := pushing(t, push.Config{TLS: trusting(good, bad), AllowedNetworks: loopback(), Timeout: 2 * time.Second})
	bad.answer = func(n int, _ http.ResponseWriter, r *http.Request) {
		if n == 1 {
			<-r.Context().Done()
		}
	}
	w.subscribe(good, fast(nil))
	var sub wire.Subscription
	w.must("PUT", "/projects/P/subscriptions/bad", serviceToken, map[string]any{"topic": "projects/P/topics/t", "pushConfig": fast(map[string]any{"pushEndpoint": bad.URL})}, &sub)
	require.Equal(t, "http_endpoint", sub.Push.Type, "what is not said is inferred")
	bad.set(func() { bad.hash = sub.Push.VerificationHash; bad.where = "/ams_verificationHash" })
	w.must("POST", "/projects/P/subscriptions/bad:verifyPushEndpoint", serviceToken, nil)
	w.publish("t", "a", "b", "c")
	within(t, func() bool { return len(good.received()) == 3 }, "the other one has all")
	within(t, func() bool { return len(bad.received()) == 4 }, "and this one in the end")
	require.Equal(t, []string{"0", "0", "1", "2"}, bad.received())
	within(t, func() bool { return w.current("bad") == 3 }, "it took them")
}

// Mattermost gets one note at a time, and needs no verification.
func TestPushToMattermost(t *testing.T) {
	e := newEndpoint(t)
	w := pushing(t, push.Config{TLS: trusting(e), AllowedNetworks: loopback()})
	var sub wire.Subscription
	w.must("PUT", aSub, serviceToken, map[string]any{"topic": "projects/P/topics/t", "pushConfig": fast(map[string]any{
		"type": "mattermost", "mattermostUrl": e.URL + "/hooks/x", "mattermostUsername": "bot", "mattermostChannel": "town", "base64Decode": true, "maxMessages": 10,
	})}, &sub)
	require.True(t, sub.Push.Verified)
	w.refused(409, "Subscription is not in http push mode", "POST", aSub+":verifyPushEndpoint", serviceToken, nil)
	w.publish("t", "aGk=", "eW91")
	within(t, func() bool { return w.current("s") == 2 }, "both are pushed")
	bodies, _ := e.seen()
	require.Equal(t, []string{`{"text":"hi","username":"bot","channel":"town"}`, `{"text":"you","username":"bot","channel":"town"}`}, bodies)
}

// What a push configuration may be, what a change keeps of it, and the words of refusals.
func TestPushConfiguration(t *testing.T) {
	e := newEndpoint(t)
	w := pushing(t, push.Config{TLS: trusting(e), AllowedNetworks: loopback()})
	asked := func(config map[string]any) map[string]any {
		return map[string]any{"topic": "projects/P/topics/t", "pushConfig": config}
	}
	for text, config := range map[string]map[string]any{
		"Push endpoint should be addressed by a valid https url":                 {"type": "http_endpoint", "pushEndpoint": "http://a.example"},
		"Retry policy can only be of 'linear' or 'slowstart' type":               {"type": "http_endpoint", "pushEndpoint": e.URL, "retryPolicy": map[string]any{"type": "x"}},
		"Authorization header type can only be of 'autogen' or 'disabled' type":  {"type": "http_endpoint", "pushEndpoint": e.URL, "authorizationHeader": map[string]any{"type": "x"}},
		"Push configuration type can only be of 'http_endpoint' or 'mattermost'": {"type": "x", "pushEndpoint": e.URL},
		"Field mattermostUrl cannot be empty":                                    {"type": "mattermost"},
	} {
		w.refused(400, text, "PUT", "/projects/P/subscriptions/new", serviceToken, asked(config))
	}
	w.must("PUT", aSub, serviceToken, map[string]any{"topic": "projects/P/topics/t"})
	w.refused(409, "Subscription is not in http push mode", "POST", aSub+":verifyPushEndpoint", serviceToken, nil)
	change := func(config map[string]any) (sub wire.Subscription) {
		w.must("POST", aSub+":modifyPushConfig", serviceToken, map[string]any{"pushConfig": config})
		w.must("GET", aSub, serviceToken, nil, &sub)
		return sub
	}
	first := change(map[string]any{"pushEndpoint": e.URL + "/a", "maxMessages": 7, "base64Decode": true, "retryPolicy": map[string]any{"type": "slowstart"}}).Push
	require.Equal(t, wire.Retry{Type: "slowstart", Period: 3000}, first.Retry)
	require.EqualValues(t, 7, first.MaxMessages)
	w.refused(401, "Endpoint verification failed.Wrong verification hash", "POST", aSub+":verifyPushEndpoint", serviceToken, nil)
	e.set(func() { e.where = "/elsewhere" })
	w.refused(401, "Endpoint verification failed.Wrong response status code", "POST", aSub+":verifyPushEndpoint", serviceToken, nil)
	e.set(func() { e.where, e.hash = "/ams_verification_hash", first.VerificationHash })
	w.must("POST", aSub+":verifyPushEndpoint", serviceToken, nil)
	var verified wire.Subscription
	w.must("GET", aSub, serviceToken, nil, &verified)
	first.Verified = true
	require.Equal(t, first, verified.Push, "nothing else has changed")
	require.True(t, first.Base64Decode)

	same := change(map[string]any{"type": "http_endpoint", "pushEndpoint": e.URL + "/a"}).Push
	require.True(t, same.Verified, "the endpoint is the same")
	require.Equal(t, first.Authorization, same.Authorization, "and so is the header, which nobody asked to change")
	require.EqualValues(t, 7, same.MaxMessages)
	require.Equal(t, wire.Retry{Type: "linear", Period: 3000}, same.Retry)
	fresh := change(map[string]any{"type": "http_endpoint", "pushEndpoint": e.URL + "/a", "authorizationHeader": map[string]any{"type": "autogen"}}).Push
	require.True(t, fresh.Verified)
	require.NotEqual(t, same.Authorization.Value, fresh.Authorization.Value)
	other := change(map[string]any{"type": "http_endpoint", "pushEndpoint": e.URL + "/b", "authorizationHeader": map[string]any{"type": "disabled"}})
	require.False(t, other.Push.Verified, "another endpoint is another one's")
	require.NotEqual(t, fresh.VerificationHash, other.Push.VerificationHash)
	require.Equal(t, wire.Authorization{Type: "disabled"}, other.Push.Authorization)
	require.Empty(t, other.PushStatus)
	require.Equal(t, wire.PushConfig{}, change(map[string]any{}).Push, "nothing is a pull subscription again")
	w.refused(404, "Subscription doesn't exist", "POST", "/projects/P/subscriptions/none:modifyPushConfig", serviceToken, map[string]any{})
}

// Two nodes push each message once while both live; when the one that leads dies, the other one goes on where the cursor is.
func TestPushIsTakenOver(t *testing.T) {
	e := newEndpoint(t)
	w := newWorld(t, nil)
	w.must("POST", "/projects/P", serviceToken, map[string]string{"description": ""})
	w.must("PUT", "/projects/P/topics/t", serviceToken, nil)
	var mu sync.Mutex
	alive := []string{"n1", "n2"}
	stops := map[string]func(){}
	pushers := map[string]*push.Pusher{}
	for _, node := range alive {
		registry := w.disk.Registry()
		directory, err := resource.Open(t.Context(), resource.Config{Facts: registry, Now: w.clock.Now, Shared: true})
		require.NoError(t, err)
		p, err := pubsub.NewPusher(push.Config{
			Directory: directory, Logs: w.logs, Node: node, TLS: trusting(e), AllowedNetworks: loopback(), Look: 10 * time.Millisecond,
			Nodes: func() []string {
				mu.Lock()
				defer mu.Unlock()
				return append([]string{}, alive...)
			},
		})
		require.NoError(t, err)
		pushers[node], stops[node] = p, run(t, p)
	}
	const subs, each = 10, 20
	ids := map[string]string{}
	for i := range subs {
		sub, err := w.directory.CreateSubscription(t.Context(), resource.Subscription{
			Name: resource.Name{Project: "P", Name: fmt.Sprint("s", i)}, Topic: "t", Log: w.directory.Topic(t.Context(), resource.Name{Project: "P", Name: "t"}).ID, Deadline: 10,
			Push: resource.Push{Type: push.HTTPEndpoint, Endpoint: e.URL, MaxMessages: 1, RetryType: push.Linear, RetryPeriod: 1, Verified: true},
		}, "")
		require.NoError(t, err)
		ids[sub.Name.Name] = sub.ID
	}
	for i := range each / 2 {
		w.publish("t", fmt.Sprint(i))
	}
	within(t, func() bool { return len(e.received()) >= subs*each/2 }, "all are pushed")
	within(t, func() bool { return pushers["n1"].Stats().Leads+pushers["n2"].Stats().Leads == subs }, "each has its leader")
	for i := range subs {
		name := fmt.Sprint("s", i)
		within(t, func() bool { return w.current(name) == each/2 }, "subscription %s is acknowledged", name)
	}
	mu.Lock()
	alive = []string{"n2"}
	mu.Unlock()
	stops["n1"]()
	for i := range each / 2 {
		w.publish("t", fmt.Sprint(i))
	}
	for i := range subs {
		name := fmt.Sprint("s", i)
		within(t, func() bool { return w.current(name) == each }, "subscription %s goes on", name)
	}
	require.Equal(t, subs, pushers["n2"].Stats().Leads)
	require.Len(t, e.received(), subs*each, "and nothing comes twice when nothing was under way")
}

// A node that knows of no living node pushes nothing.
func TestPushAloneInTheDark(t *testing.T) {
	e := newEndpoint(t)
	var mu sync.Mutex
	var alive []string
	w := pushing(t, push.Config{TLS: trusting(e), AllowedNetworks: loopback(), Nodes: func() []string {
		mu.Lock()
		defer mu.Unlock()
		return alive
	}})
	require.JSONEq(t, `{"status":"warning"}`, w.ask("GET", "/status", "", nil).body)
	w.subscribe(e, fast(nil))
	w.publish("t", "a")
	require.Never(t, func() bool { return len(e.received()) > 0 }, 600*time.Millisecond, 50*time.Millisecond)
	mu.Lock()
	alive = []string{"n1"}
	mu.Unlock()
	within(t, func() bool { return len(e.received()) == 1 }, "now it does")
}

// A subscription that was made again under its name is another one: what was under way for the old one moves nothing.
func TestCursorOfAnotherSubscription(t *testing.T) {
	w := stocked(t, 3, nil)
	old := w.directory.Subscription(t.Context(), resource.Name{Project: "P", Name: "s"})
	topic := w.directory.Topic(t.Context(), resource.Name{Project: "P", Name: "t"})
	w.must("DELETE", aSub, serviceToken, nil)
	w.must("PUT", aSub, serviceToken, map[string]any{"topic": "projects/P/topics/t"})
	w.must("POST", aSub+":modifyOffset", serviceToken, map[string]any{"offset": 1})
	err := w.directory.MoveCursor(t.Context(), old, topic, func(c *resource.Cursor) (bool, error) { c.Offset = 2; return true, nil })
	require.ErrorContains(t, err, "does not exist")
	require.Equal(t, 1, w.current("s"))
}

// An endpoint that says that it is at work on a push, and no more, has it; one that then says that it failed has not.
func TestPushThatIsBeingWorkedOn(t *testing.T) {
	e := newEndpoint(t)
	w := pushing(t, push.Config{TLS: trusting(e), AllowedNetworks: loopback(), Timeout: time.Second})
	e.answer = func(n int, w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusProcessing)
		switch n {
		case 1:
			w.WriteHeader(http.StatusBadGateway)
		case 2:
			<-r.Context().Done()
		}
	}
	w.subscribe(e, fast(nil))
	w.publish("t", "a", "b")
	within(t, func() bool { return w.current("s") == 2 }, "both are taken")
	require.Equal(t, []string{"0", "0", "1"}, e.received())
}
