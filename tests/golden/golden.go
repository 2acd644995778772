// Package golden replays what was recorded with the real ARGO Messaging Service: each answer has to be the same to the letter, but for times, ids and the differences on purpose.
package golden

import (
	"bytes"
	_ "embed" // the recording
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

//go:embed testdata/ams-requests.jsonl
var recording []byte

const (
	// MaxMessage is how large a message may be where the session is replayed, in bytes.
	MaxMessage = 1_500_000
	// requests is how many were recorded.
	requests = 147
)

// recorded is a request to the real service and its answer.
type recorded struct {
	Note, Method, Path string
	Key                *string
	Req                json.RawMessage
	Status             int
	Ctype, Resp        string
}

// Answer is what came back.
type Answer struct {
	Code int
	Kind string // its content type
	Body string
}

// Difference is an answer that is another one on purpose.
type Difference struct {
	Status int
	Body   string // in one line; times are TIME. Empty: whatever it is
	Why    string
	// Then is done after it, if not nil: to have things as they were recorded.
	Then func()
}

// Player is where the session is replayed.
type Player struct {
	// Token is that of the service.
	Token string
	// Ask makes a request; an empty key is none, and so is an empty body.
	Ask func(method, path, key, body string) Answer
	// Pass lets time go by.
	Pass func(time.Duration)
	// Here are differences that others have not, by the line of the recording, from 0.
	Here map[int]Difference
}

// differences are all that are everywhere.
func differences() map[int]Difference {
	refusal := func(code int, message, status string) string {
		return fmt.Sprintf(`{"error":{"code":%d,"message":%q,"status":%q}}`, code, message, status)
	}
	two := `{"receivedMessages":[{"ackId":"projects/EGI/subscriptions/s0:0","message":{"messageId":"0","attributes":{"foo":"bar"},"data":"aGVsbG8=","publishTime":"TIME"}},` +
		`{"ackId":"projects/EGI/subscriptions/s0:1","message":{"messageId":"1","attributes":{"foo":"bar"},"data":"aGVsbG8=","publishTime":"TIME"}}]}`
	return map[int]Difference{
		41:  {Status: 404, Body: refusal(404, "User doesn't exist", "NOT_FOUND"), Why: "a token of a stranger was given away"},
		63:  {Status: 404, Body: refusal(404, "Topic doesn't exist", "NOT_FOUND"), Why: "an ACL was promised to a topic that is not there"},
		82:  {Status: 413, Body: refusal(413, "Message size is too large", "INVALID_ARGUMENT"), Why: "a message that is too large is the client's fault, and the library splits by this code"},
		108: {Status: 200, Body: two, Why: "numbers and booleans are taken as well as strings"},
		118: {Status: 403, Body: refusal(403, "Access to this resource is forbidden", "FORBIDDEN"), Why: "who may not pull may not acknowledge"},
		126: {Status: 200, Body: `{"max":8,"min":0,"current":0}`, Why: "an offset that was refused is not set"},
		130: {Status: 200, Body: `{"offset":0}`, Why: "the recorded service stood on a log without times"},
		133: {Status: 409, Body: refusal(409, "Timestamp is out of bounds for the subscription's topic/partition", "CONFLICT"), Why: "the service's own library writes a blank; the time is one after the last message"},
		134: {Status: 200, Body: `{"offset":0}`, Why: "a time without a fraction is a time"},
	}
}

var times = regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z"`)

// Replay makes all requests of the recording, in order.
func Replay(t testing.TB, p Player) {
	t.Helper()
	words := map[string]string{"SERVICE": p.Token}
	expected, same := differences(), 0
	maps.Copy(expected, p.Here)
	differ := len(expected)
	for i, line := range bytes.Split(bytes.TrimSpace(recording), []byte("\n")) {
		var r recorded
		require.NoError(t, json.Unmarshal(line, &r), "line %d", i)
		p.Pass(time.Millisecond)
		if r.Note == "after deadline" {
			p.Pass(2 * time.Second)
		}
		got := p.replay(t, i, &r, words)
		if d, ok := expected[i]; ok {
			require.Equal(t, d.Status, got.Code, "line %d, %s: %s", i, d.Why, got.Body)
			if d.Body != "" {
				require.Equal(t, d.Body, oneLine(t, got.Body), "line %d, %s", i, d.Why)
			}
			if d.Then != nil {
				d.Then()
			}
			delete(expected, i)
			continue
		}
		at := fmt.Sprintf("line %d, %s: %s %s", i, r.Note, r.Method, r.Path)
		require.Equal(t, r.Status, got.Code, "%s: %s", at, got.Body)
		require.Equal(t, translated(r.Resp, got.Body, words), times.ReplaceAllString(got.Body, `"TIME"`), at)
		if r.Ctype != "" && strings.HasPrefix(got.Body, "{") { // where the service says that JSON is text, we do not
			require.Equal(t, "application/json; charset=utf-8", got.Kind, at)
		}
		same++
	}
	require.Empty(t, expected, "every difference is still one")
	require.Equal(t, requests-differ, same)
}

// anew are the words that are others each time, by their keys.
func anew(key string) bool { return key == "uuid" || key == "token" || key == "nextPageToken" }

// learnWords pairs the words of two answers that are others each time.
func learnWords(words map[string]string, theirs, ours any) {
	switch a := theirs.(type) {
	case map[string]any:
		b, _ := ours.(map[string]any)
		for key, v := range a {
			x, isText := v.(string)
			y, alsoText := b[key].(string)
			if isText && alsoText && anew(key) && x != "" && y != "" {
				words[x] = y
				continue
			}
			learnWords(words, v, b[key])
		}
	case []any:
		b, _ := ours.([]any)
		for i := range min(len(a), len(b)) {
			learnWords(words, a[i], b[i])
		}
	}
}

// translated is a recorded answer with our words in the place of those that are others each time.
func translated(theirs, ours string, words map[string]string) string {
	var a, b any
	if json.Unmarshal([]byte(theirs), &a) == nil && json.Unmarshal([]byte(ours), &b) == nil {
		learnWords(words, a, b)
	}
	for x, y := range words {
		if len(x) > 10 {
			theirs = strings.ReplaceAll(theirs, x, y)
		}
	}
	return times.ReplaceAllString(theirs, `"TIME"`)
}

func oneLine(t testing.TB, body string) string {
	var text bytes.Buffer
	require.NoError(t, json.Compact(&text, []byte(body)), body)
	return times.ReplaceAllString(text.String(), `"TIME"`)
}

// replay makes a recorded request.
func (p *Player) replay(t testing.TB, i int, r *recorded, words map[string]string) Answer {
	if r.Method == "" { // two large ones were recorded by their length alone
		length := map[int]int{82: 2_100_000, 83: 1_330_000}[i]
		require.NotZero(t, length, "line %d", i)
		return p.Ask(http.MethodPost, "/projects/EGI/topics/t1:publish", p.Token, fmt.Sprintf(`{"messages":[{"data":"%s"}]}`, strings.Repeat("QUJD", length/4)))
	}
	path, key := r.Path, ""
	for x, y := range words {
		path = strings.ReplaceAll(path, x, y)
	}
	if r.Key != nil {
		if key = *r.Key; words[key] != "" {
			key = words[key]
		}
	}
	body := string(r.Req)
	if body == "null" {
		body = ""
	}
	var text string
	if json.Unmarshal(r.Req, &text) == nil {
		body = text
	}
	return p.Ask(r.Method, strings.ReplaceAll(path, " ", "%20"), key, body)
}
