package pubsub_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/protocols/pubsub"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// recorded is a request to the real service and its answer.
type recorded struct {
	Note, Method, Path string
	Key                *string
	Req                json.RawMessage
	Status             int
	Ctype, Resp        string
}

// difference is an answer that is another one on purpose.
type difference struct {
	status int
	body   string // in one line; times are TIME
	why    string
}

// differences are all of them, by the line of the recording, from 0.
func differences() map[int]difference {
	refusal := func(code int, message, status string) string {
		return fmt.Sprintf(`{"error":{"code":%d,"message":%q,"status":%q}}`, code, message, status)
	}
	two := `{"receivedMessages":[{"ackId":"projects/EGI/subscriptions/s0:0","message":{"messageId":"0","attributes":{"foo":"bar"},"data":"aGVsbG8=","publishTime":"TIME"}},` +
		`{"ackId":"projects/EGI/subscriptions/s0:1","message":{"messageId":"1","attributes":{"foo":"bar"},"data":"aGVsbG8=","publishTime":"TIME"}}]}`
	return map[int]difference{
		41:  {404, refusal(404, "User doesn't exist", "NOT_FOUND"), "a token of a stranger was given away"},
		63:  {404, refusal(404, "Topic doesn't exist", "NOT_FOUND"), "an ACL was promised to a topic that is not there"},
		82:  {413, refusal(413, "Message size is too large", "INVALID_ARGUMENT"), "a message that is too large is the client's fault, and the library splits by this code"},
		108: {200, two, "numbers and booleans are taken as well as strings"},
		118: {403, refusal(403, "Access to this resource is forbidden", "FORBIDDEN"), "who may not pull may not acknowledge"},
		126: {200, `{"max":8,"min":0,"current":0}`, "an offset that was refused is not set"},
		130: {200, `{"offset":0}`, "the recorded service stood on a log without times"},
		133: {409, refusal(409, "Timestamp is out of bounds for the subscription's topic/partition", "CONFLICT"), "the service's own library writes a blank; the time is one after the last message"},
		134: {200, `{"offset":0}`, "a time without a fraction is a time"},
	}
}

var times = regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z"`)

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

// TestGoldenSession replays what was recorded with the real service: every answer is the same to the letter, but for times, ids and what differences
// says.
func TestGoldenSession(t *testing.T) {
	w := newWorld(t, func(cfg *pubsub.Config) {
		cfg.MaxMessage = 1_500_000
		cfg.Version = wire.Version{
			BuildTime: "Unknown", Go: "go1.26.8", Compiler: "gc", OS: "linux", Architecture: "amd64", Release: "1.7.0", Distro: "Debian GNU/Linux 12 (bookworm)", Hostname: "lb.local",
		}
	})
	f, err := os.Open("testdata/ams-requests.jsonl")
	require.NoError(t, err)
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	words := map[string]string{"SERVICE": serviceToken}
	expected, same := differences(), 0
	for i := 0; lines.Scan(); i++ {
		var r recorded
		require.NoError(t, json.Unmarshal(lines.Bytes(), &r), "line %d", i)
		w.clock.pass(time.Millisecond)
		if r.Note == "after deadline" {
			w.clock.pass(2 * time.Second)
		}
		got := w.replay(i, &r, words)
		if d, ok := expected[i]; ok {
			require.Equal(t, d.status, got.code, "line %d, %s: %s", i, d.why, got.body)
			require.Equal(t, d.body, oneLine(t, got.body), "line %d, %s", i, d.why)
			delete(expected, i)
			continue
		}
		at := fmt.Sprintf("line %d, %s: %s %s", i, r.Note, r.Method, r.Path)
		require.Equal(t, r.Status, got.code, "%s: %s", at, got.body)
		require.Equal(t, translated(r.Resp, got.body, words), times.ReplaceAllString(got.body, `"TIME"`), at)
		if r.Ctype != "" && strings.HasPrefix(got.body, "{") { // where the service says that JSON is text, we do not
			require.Equal(t, "application/json; charset=utf-8", got.kind, at)
		}
		same++
	}
	require.NoError(t, lines.Err())
	require.Empty(t, expected, "every difference is still one")
	require.Equal(t, 147-len(differences()), same)
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

func oneLine(t *testing.T, body string) string {
	var raw json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(body), &raw), body)
	text, err := json.Marshal(raw)
	require.NoError(t, err)
	return times.ReplaceAllString(string(text), `"TIME"`)
}

// replay makes a recorded request.
func (w *world) replay(i int, r *recorded, words map[string]string) answer {
	if r.Method == "" { // two large ones were recorded by their length alone
		length := map[int]int{82: 2_100_000, 83: 1_330_000}[i]
		require.NotZero(w.t, length, "line %d", i)
		return w.ask(http.MethodPost, "/projects/EGI/topics/t1:publish", serviceToken, fmt.Sprintf(`{"messages":[{"data":"%s"}]}`, strings.Repeat("QUJD", length/4)))
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
	var body any
	var text string
	switch {
	case len(r.Req) == 0 || string(r.Req) == "null":
	case json.Unmarshal(r.Req, &text) == nil:
		body = text
	default:
		body = r.Req
	}
	return w.ask(r.Method, strings.ReplaceAll(path, " ", "%20"), key, body)
}
