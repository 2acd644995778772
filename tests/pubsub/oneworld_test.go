package pubsub

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	stomp "github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
	natsgo "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	nodes "github.com/sluice-mq/sluice/tests/node"
)

func TestMain(m *testing.M) {
	gatewaytest.Beside(4)
	os.Exit(nodes.Run(m))
}

// soon is how long something may take before a test fails.
const soon = gatewaytest.Wait

// caller is somebody who uses a node's API with a token.
type caller struct {
	t     testing.TB
	node  *nodes.Node
	token string
}

// try makes a request, and is what it brings.
func (c caller) try(method, path, body string) (int, []byte, error) {
	r, err := http.NewRequest(method, "http://"+c.node.Where("pubsub")+"/v1"+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("X-Api-Key", c.token)
	client := http.Client{Timeout: soon, Transport: &http.Transport{DisableKeepAlives: true}}
	a, err := client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	return a.StatusCode, text, err
}

// answer makes a request that is answered.
func (c caller) answer(method, path, body string) (int, []byte) {
	c.t.Helper()
	code, text, err := c.try(method, path, body)
	require.NoError(c.t, err)
	return code, text
}

// taken reports whether a request went well, for other goroutines than the test's; the answer is read into the pointer.
func (c caller) taken(method, path, body string, into any) bool {
	code, text, err := c.try(method, path, body)
	return err == nil && code == http.StatusOK && (into == nil || json.Unmarshal(text, into) == nil)
}

// ask makes a request; the answer is read into the pointer if it is there and the request went well.
func (c caller) ask(method, path, body string, into any) int {
	c.t.Helper()
	code, text := c.answer(method, path, body)
	if code == http.StatusOK && into != nil {
		require.NoError(c.t, json.Unmarshal(text, into), "%s", text)
	}
	return code
}

// refused makes a request that is refused, and is the words in which it is.
func (c caller) refused(code int, method, path, body string) string {
	c.t.Helper()
	got, text := c.answer(method, path, body)
	require.Equal(c.t, code, got, "%s %s: %s", method, path, text)
	var a struct{ Error struct{ Message string } }
	require.NoError(c.t, json.Unmarshal(text, &a), "%s", text)
	return a.Error.Message
}

func (c caller) must(method, path, body string, into any) {
	c.t.Helper()
	require.Equal(c.t, http.StatusOK, c.ask(method, path, body, into), "%s %s", method, path)
}

// at is the same caller at another node.
func (c caller) at(n *nodes.Node) caller { return caller{c.t, n, c.token} }

// user makes a user of P with a role.
func (c caller) user(name, role string) caller {
	c.t.Helper()
	var u struct{ Token string }
	c.must("POST", "/users/"+name, `{"email":"x@y","projects":[{"project":"P","roles":["`+role+`"]}]}`, &u)
	return caller{c.t, c.node, u.Token}
}

// received is what a pull brings.
type received struct {
	Received []receivedMessage `json:"receivedMessages"`
}

type receivedMessage struct {
	AckID   string
	Message struct {
		ID         string `json:"messageId"`
		Attributes map[string]string
		Data       []byte
		Published  time.Time `json:"publishTime"`
	}
}

// publish publishes a message and returns its offset.
func (c caller) publish(data []byte, attributes map[string]string) string {
	c.t.Helper()
	body, err := json.Marshal(map[string]any{"messages": []any{map[string]any{"data": data, "attributes": attributes}}})
	require.NoError(c.t, err)
	var p published
	c.must("POST", "/projects/P/topics/t:publish", string(body), &p)
	require.Len(c.t, p.IDs, 1)
	return p.IDs[0]
}

// take pulls the message at an offset, waiting for it, and acknowledges it. A node that has not heard yet of an acknowledgement elsewhere shows the one before again.
func (c caller) take(offset int) (data []byte, attributes map[string]string) {
	c.t.Helper()
	var got received
	require.Eventually(c.t, func() bool {
		code := c.ask("POST", "/projects/P/subscriptions/s:pull", `{"maxMessages":"1"}`, &got)
		return code == http.StatusOK && len(got.Received) == 1 && got.Received[0].Message.ID == strconv.Itoa(offset) // 503: the nodes are agreeing on who leads
	}, soon, 20*time.Millisecond)
	one := got.Received[0]
	require.WithinDuration(c.t, time.Now(), one.Message.Published, time.Minute)
	require.Eventually(c.t, func() bool {
		return c.ask("POST", "/projects/P/subscriptions/s:acknowledge", `{"ackIds":["`+one.AckID+`"]}`, nil) == http.StatusOK
	}, soon, 20*time.Millisecond)
	return one.Message.Data, one.Message.Attributes
}

// overStomp connects a STOMP client.
func overStomp(t *testing.T, n *nodes.Node, options ...func(*stomp.Conn) error) *stomp.Conn {
	t.Helper()
	c, err := stomp.Dial("tcp", n.Addr("stomp"), append(options, stomp.ConnOpt.HeartBeat(0, 0))...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.MustDisconnect() })
	return c
}

func listen(t *testing.T, c *stomp.Conn) *stomp.Subscription {
	t.Helper()
	sub, err := c.Subscribe("/topic/P.t", stomp.AckAuto)
	require.NoError(t, err)
	another, err := c.Subscribe("/topic/P.t", stomp.AckAuto)
	require.NoError(t, err)
	require.NoError(t, another.Unsubscribe()) // it waits for its receipt
	return sub
}

// hear is the next message of a STOMP subscription.
func hear(t *testing.T, sub *stomp.Subscription) (body []byte, header *frame.Header) {
	t.Helper()
	select {
	case m := <-sub.C:
		require.NoError(t, m.Err)
		return m.Body, m.Header
	case <-time.After(soon):
		t.Fatal("nothing is heard")
		return nil, nil
	}
}

// configuration has every door, and rules for bob.
const configuration = `
listeners:
- {protocol: stomp, address: "127.0.0.1:0"}
- {protocol: nats, address: "127.0.0.1:0"}
- {protocol: pubsub, address: "127.0.0.1:0"}
- {protocol: admin, address: "127.0.0.1:0"}
pubsub: {service_token: the-service-token, auth_option: both}
auth:
  users: [{name: bob, password: the-password-of-bob, token: the-token-of-bob-himself}]
  acl: [{users: [bob], allow: [read, write], on: ["/topic/P.t"]}]
`

// everything is a body of all bytes, and attributes that other protocols might take for their own.
func everything(way string) ([]byte, map[string]string) {
	body := make([]byte, 256)
	for i := range body {
		body[i] = byte(i)
	}
	return append(body, way...), map[string]string{
		"way": way, "quoted": `say "no" \ twice`, "lines": "a:b\nc", "destination": "/queue/elsewhere", "message-id": "mine", "Nats-Msg-Id": "same", "ünï": "cödé",
	}
}

// asNative is how a name stands in a header of NATS, where it has to be a token of HTTP.
func asNative(name string) string { return url.PathEscape(name) }

// what came by any way are the body, and those of the attributes that are nobody's own.
func same(t *testing.T, way string, body []byte, header func(name string) string) {
	t.Helper()
	want, attributes := everything(way)
	require.Equal(t, want, body, way)
	for _, name := range []string{"way", "quoted", "ünï"} {
		require.Equal(t, attributes[name], header(name), "%s: %s", way, name)
	}
}

// TestOneWorld sends from each of three protocols to all of them: a topic is one, with the same bodies and attributes, rights and order everywhere.
func TestOneWorld(t *testing.T) {
	n := nodes.StartConfigured(t, configuration)
	service := caller{t, n, token}
	service.must("POST", "/projects/P", `{"description":""}`, nil)
	service.must("PUT", "/projects/P/topics/t", "", nil)
	service.must("PUT", "/projects/P/subscriptions/s", `{"topic":"projects/P/topics/t"}`, nil)
	ann, con := service.user("ann", "publisher"), service.user("con", "consumer")
	service.must("POST", "/projects/P/topics/t:modifyAcl", `{"authorized_users":["ann"]}`, nil)
	service.must("POST", "/projects/P/subscriptions/s:modifyAcl", `{"authorized_users":["con"]}`, nil)

	bob := overStomp(t, n, stomp.ConnOpt.Login("bob", "the-password-of-bob"))
	atBob := listen(t, bob)
	native, err := natsgo.Connect("nats://"+n.Addr("nats"), natsgo.Token(con.token))
	require.NoError(t, err)
	defer native.Close()
	atCon, err := native.SubscribeSync("topic.P.t")
	require.NoError(t, err)
	require.NoError(t, native.Flush())
	offset := 0
	everywhere := func(way string) {
		t.Helper()
		body, header := hear(t, atBob)
		same(t, way, body, header.Get)
		require.Equal(t, "/topic/P.t", header.Get("destination"), "nobody moves a message by an attribute")
		m, err := atCon.NextMsg(soon)
		require.NoError(t, err)
		same(t, way, m.Data, func(name string) string { return strings.Join(m.Header[asNative(name)], "") })
		data, attributes := con.take(offset)
		same(t, way, data, func(name string) string { return attributes[name] })
		offset++
	}
	for range 2 {
		body, attributes := everything("http")
		require.Equal(t, strconv.Itoa(offset), ann.publish(body, attributes))
		everywhere("http")

		annToo := overStomp(t, n, stomp.ConnOpt.Header("token", ann.token))
		body, attributes = everything("stomp")
		options := []func(*frame.Frame) error{stomp.SendOpt.Receipt}
		for _, name := range []string{"way", "quoted", "lines", "ünï"} {
			options = append(options, stomp.SendOpt.Header(name, attributes[name]))
		}
		require.NoError(t, annToo.Send("/topic/P.t", "application/octet-stream", body, options...))
		everywhere("stomp")

		bobToo, err := natsgo.Connect("nats://"+n.Addr("nats"), natsgo.Token("the-token-of-bob-himself"))
		require.NoError(t, err)
		body, attributes = everything("nats")
		m := &natsgo.Msg{Subject: "topic.P.t", Data: body, Header: natsgo.Header{}}
		for _, name := range []string{"way", "quoted", "ünï"} {
			m.Header[asNative(name)] = []string{attributes[name]}
		}
		m.Header["Sluice-Encoded"] = []string{asNative("ünï")}
		require.NoError(t, bobToo.PublishMsg(m))
		require.NoError(t, bobToo.Flush())
		everywhere("nats")
		bobToo.Close()
	}
	oneACL(t, service, ann, con)
}

// oneACL: who may not, may not by any way; who may no more hears so soon.
func oneACL(t *testing.T, service, ann, con caller) {
	n := service.node
	send := func(c *stomp.Conn) error { return c.Send("/topic/P.t", "", []byte("x"), stomp.SendOpt.Receipt) }
	one := `{"messages":[{"data":""}]}`
	require.Equal(t, http.StatusForbidden, con.ask("POST", "/projects/P/topics/t:publish", one, nil))
	require.ErrorContains(t, send(overStomp(t, n, stomp.ConnOpt.Header("token", con.token))), "not authorized")
	_, err := stomp.Dial("tcp", n.Addr("stomp"), stomp.ConnOpt.Header("token", strings.Repeat("0", 64)))
	require.Error(t, err, "a token that is nobody's")
	bob := caller{t, n, "the-token-of-bob-himself"}
	require.Equal(t, http.StatusUnauthorized, bob.ask("GET", "/projects", "", nil))
	bob.must("POST", "/projects/P/topics/t:publish", one, nil) // the rules let him

	service.must("POST", "/projects/P/topics/t:modifyAcl", `{"authorized_users":[]}`, nil)
	require.Equal(t, http.StatusForbidden, ann.ask("POST", "/projects/P/topics/t:publish", one, nil))
	require.Eventually(t, func() bool { return send(overStomp(t, n, stomp.ConnOpt.Header("token", ann.token))) != nil }, soon, 50*time.Millisecond)
	service.must("POST", "/projects/P/topics/t:modifyAcl", `{"authorized_users":["ann"]}`, nil)
	ann.must("POST", "/projects/P/topics/t:publish", one, nil)
	service.must("DELETE", "/users/ann", "", nil)
	require.Equal(t, http.StatusUnauthorized, ann.ask("POST", "/projects/P/topics/t:publish", one, nil))
}

// TestOneWorldOfThreeNodes asks three nodes by turns: what one does the others have, and the loss of one loses nothing.
func TestOneWorldOfThreeNodes(t *testing.T) {
	t.Parallel()
	c := nodes.StartCluster(t, "listeners=stomp=127.0.0.1:0,nats=127.0.0.1:0,admin=127.0.0.1:0,pubsub=127.0.0.1:0", "pubsub.service_token="+token)
	at := func(i int) caller { return caller{t, c.Nodes[i], token} }
	at(0).must("POST", "/projects/P", `{"description":""}`, nil)
	at(1).must("PUT", "/projects/P/topics/t", "", nil)
	at(2).must("PUT", "/projects/P/subscriptions/s", `{"topic":"projects/P/topics/t"}`, nil)
	sub := listen(t, overStomp(t, c.Nodes[2]))
	for i := range 9 {
		require.Equal(t, strconv.Itoa(2*i), at(i%3).publish([]byte(fmt.Sprint("http ", i)), nil))
		body, _ := hear(t, sub)
		require.Equal(t, fmt.Sprint("http ", i), string(body))
		require.NoError(t, overStomp(t, c.Nodes[(i+1)%3]).Send("/topic/P.t", "text/plain", fmt.Append(nil, "stomp ", i), stomp.SendOpt.Receipt))
		body, _ = hear(t, sub)
		require.Equal(t, fmt.Sprint("stomp ", i), string(body))
	}
	for i := range 9 {
		body, _ := at(i % 3).take(2 * i)
		require.Equal(t, fmt.Sprint("http ", i), string(body))
		body, _ = at((i + 2) % 3).take(2*i + 1)
		require.Equal(t, fmt.Sprint("stomp ", i), string(body))
	}
	c.Nodes[0].Kill()
	var p published
	require.Eventually(t, func() bool {
		return at(1).ask("POST", "/projects/P/topics/t:publish", `{"messages":[{"data":"QQ=="}]}`, &p) == http.StatusOK
	}, soon, 100*time.Millisecond)
	body, _ := at(2).take(18)
	require.Equal(t, "A", string(body))
	c.Nodes[0].Launch()
	c.Nodes[0].AwaitReady()
	var offsets struct{ Max, Min, Current int }
	require.Eventually(t, func() bool {
		return at(0).ask("GET", "/projects/P/subscriptions/s:offsets", "", &offsets) == http.StatusOK && offsets.Current >= 19 && offsets.Max >= offsets.Current
	}, soon, 100*time.Millisecond)
}
