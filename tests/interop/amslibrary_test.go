package interop

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/node"
)

// The library of the ARGO Messaging Service for Python, argo-ams-library 1.0.0, as it is heard on the wire and as it takes answers.

const serviceToken = "the-token-of-the-service"

// library is an ArgoMessagingService of the library.
type library struct {
	t              testing.TB
	node           *node.Node
	trusted        *x509.CertPool
	token, project string
}

// startAMS starts a node for it, with a project P, and words as more keys of pubsub.
func startAMS(t *testing.T, words string) *library {
	t.Helper()
	s := newSite(t)
	n := node.StartConfigured(t, fmt.Sprintf(`listeners:
  - {protocol: pubsub, address: "127.0.0.1:0", tls: {certificate: %q, key: %q}}
pubsub: {service_token: %s%s}
`, s.hostCert, s.hostKey, serviceToken, words))
	l := &library{t: t, node: n, trusted: x509.NewCertPool(), token: serviceToken, project: "P"}
	l.trusted.AddCert(s.authority.Cert)
	require.Equal(t, "P", l.createProject("P")["name"])
	return l
}

// as is the same with another token.
func (l *library) as(token string) *library {
	other := *l
	other.token = token
	return &other
}

// raised is an exception of the library.
type raised struct {
	class           string // AmsServiceException, AmsTimeoutException, AmsBalancerException or AmsConnectionException
	code            int
	status, message string
}

func (r *raised) Error() string {
	return fmt.Sprintf("%s: %d %s %s", r.class, r.code, r.status, r.message)
}

// repeated reports whether the library tries again what ended so, if it is to.
func (r *raised) repeated() bool { return r.class != "AmsServiceException" }

// asPython is JSON as Python writes it: in ASCII.
func asPython(v any) string {
	text, _ := json.Marshal(v) // of texts, numbers, lists and maps
	var b strings.Builder
	for _, r := range string(text) {
		switch {
		case r < 0x80:
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// request makes a request as requests and http.client do: over a connection of its own, the head, the body, all of it before anything is read;
// without a Content-Type, and with a Content-Length of 0 where there is no body. route is what the library calls the call.
func (l *library) request(route, method, path, body string) (answer []byte, err error) {
	host := l.node.Where("pubsub")
	conn, err := tls.Dial("tcp", host, &tls.Config{RootCAs: l.trusted})
	if err != nil {
		return nil, &raised{class: "AmsConnectionException", message: err.Error()}
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(soon))
	head := fmt.Sprintf("%s /v1/%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: python-requests/2.28.1\r\nAccept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\n"+
		"x-api-key: %s\r\n", method, path, host, l.token)
	if method != http.MethodGet {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	for _, part := range []string{head + "\r\n", body} {
		if _, err = io.WriteString(conn, part); err != nil {
			return nil, &raised{class: "AmsConnectionException", message: err.Error()}
		}
	}
	a, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil {
		answer, err = io.ReadAll(a.Body)
	}
	if err != nil {
		return nil, &raised{class: "AmsConnectionException", message: err.Error()}
	}
	if a.StatusCode == http.StatusOK {
		return answer, nil
	}
	return nil, raises(route, a.StatusCode, answer)
}

// raises is the exception for an answer that is an error. One that is JSON has to be as the service's are: the library looks into it.
func raises(route string, code int, answer []byte) error {
	balanced := route == "sub_ack" || route == "sub_pull" || route == "topic_publish"
	r := &raised{class: "AmsServiceException"}
	switch {
	case code == 408, balanced && code == 504:
		r.class = "AmsTimeoutException"
	case balanced && (code == 500 || code == 502 || code == 503):
		r.class = "AmsBalancerException"
	}
	var said struct {
		Error *struct {
			Code            int
			Status, Message string
		}
	}
	switch err := json.Unmarshal(answer, &said); {
	case err != nil && len(answer) > 0:
		r.code, r.message = code, string(answer)
	case said.Error == nil:
		return fmt.Errorf("KeyError: 'error' of %q", answer)
	default:
		r.code, r.status, r.message = said.Error.Code, said.Error.Status, said.Error.Message
	}
	return r
}

// call makes a request that goes well, and reads its answer into the pointer. Nothing is an empty object.
func (l *library) call(route, method, path, body string, into any) {
	l.t.Helper()
	answer, err := l.request(route, method, path, body)
	require.NoError(l.t, err, "%s %s", method, path)
	if len(answer) == 0 {
		answer = []byte("{}")
	}
	require.NoError(l.t, json.Unmarshal(answer, into), "%s", answer)
}

// object is an answer of which the library hands all to its caller.
type object = map[string]any

func (l *library) get(route, path string) (o object) {
	l.t.Helper()
	l.call(route, "GET", path, "", &o)
	return o
}

func (l *library) in(path string) string { return "projects/" + l.project + "/" + path }

func (l *library) createProject(name string) (o object) {
	l.t.Helper()
	l.call("project_create", "POST", "projects/"+name, `{"description": "made by the library"}`, &o)
	return o
}

// createMember makes a user with a role and returns what the library makes of him, and himself as a client.
func (l *library) createMember(name, role string) (o object, him *library) {
	l.t.Helper()
	l.call("project_create_member", "POST", l.in("members/"+name), `{"projects": [{"project": "`+l.project+`", "roles": ["`+role+`"], "topics": [], "subscriptions": []}]}`, &o)
	return o, l.as(o["token"].(string))
}

func (l *library) createTopic(name string) (o object) {
	l.t.Helper()
	l.call("topic_create", "PUT", l.in("topics/"+name), "", &o)
	return o
}

// createSub asks for the topic first, and makes the subscription with the name that it is told, without the slashes around it.
func (l *library) createSub(name, topic string, deadline int) (o object) {
	l.t.Helper()
	full := l.get("topic_get", l.in("topics/"+topic))["name"].(string)
	l.call("sub_create", "PUT", l.in("subscriptions/"+name), fmt.Sprintf(`{"topic": "%s", "ackDeadlineSeconds": %d}`, strings.Trim(full, "/"), deadline), &o)
	return o
}

// amsMessage is an AmsMessage. One that is received may have these keys and no others: they are arguments of its constructor.
type amsMessage struct {
	Attributes  map[string]string `json:"attributes,omitempty"`
	Data        []byte            `json:"data,omitempty"`
	MessageID   string            `json:"messageId,omitempty"`
	PublishTime string            `json:"publishTime,omitempty"`
}

// publish publishes and returns the messages' ids.
func (l *library) publish(topic string, all ...amsMessage) (ids []string, err error) {
	answer, err := l.request("topic_publish", "POST", l.in("topics/"+topic+":publish"), asPython(map[string]any{"messages": all}))
	var said struct{ MessageIDs []string }
	if err == nil {
		err = json.Unmarshal(answer, &said)
	}
	return said.MessageIDs, err
}

// amsReceived is what a pull brings of a message.
type amsReceived struct {
	AckID   string
	Message amsMessage
}

// pull is pull_sub. Its options are texts.
func (l *library) pull(sub string, most int, immediately bool) ([]amsReceived, error) {
	answer, err := l.request("sub_pull", "POST", l.in("subscriptions/"+sub+":pull"), fmt.Sprintf(`{"maxMessages": "%d", "returnImmediately": "%v"}`, most, immediately))
	if err != nil {
		return nil, err
	}
	var said struct{ ReceivedMessages []amsReceived }
	d := json.NewDecoder(bytes.NewReader(answer))
	d.DisallowUnknownFields()
	if err := d.Decode(&said); err != nil {
		return nil, fmt.Errorf("TypeError: %w", err)
	}
	if said.ReceivedMessages == nil {
		return nil, fmt.Errorf("KeyError: 'receivedMessages' of %q", answer)
	}
	return said.ReceivedMessages, nil
}

// ack is ack_sub.
func (l *library) ack(sub string, ids ...string) error {
	_, err := l.request("sub_ack", "POST", l.in("subscriptions/"+sub+":acknowledge"), asPython(map[string]any{"ackIds": ids}))
	return err
}

// pullack is pullack_sub: if the acknowledgement fails, it pulls again.
func (l *library) pullack(sub string, most int) ([]amsMessage, error) {
	for {
		got, err := l.pull(sub, most, false)
		if err != nil || len(got) == 0 {
			return nil, err
		}
		var ids []string
		var all []amsMessage
		for _, m := range got {
			ids, all = append(ids, m.AckID), append(all, m.Message)
		}
		if l.ack(sub, ids...) == nil {
			return all, nil
		}
	}
}
