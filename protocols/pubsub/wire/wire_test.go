package wire_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

func router() *wire.Router[string] {
	var r wire.Router[string]
	for _, p := range [][2]string{
		{"GET", "/users"}, {"GET", "/users/profile"}, {"GET", "/users/{user}"}, {"GET", "/users:byUUID/{uuid}"}, {"POST", "/users/{user}:refreshToken"},
		{"GET", "/p/{project}/topics/{topic}"}, {"POST", "/p/{project}/topics/{topic}:publish"}, {"GET", "/p/{project}/topics/{topic}/subscriptions"}, {"GET", "/p/{project}:metrics"},
	} {
		r.Add(p[0], p[1], p[0]+" "+p[1])
	}
	return &r
}

func TestRouter(t *testing.T) {
	r := router()
	for asked, want := range map[string]struct {
		route string
		vars  wire.Vars
	}{
		"GET /users":                        {"GET /users", nil},
		"GET /users/profile":                {"GET /users/profile", nil},
		"GET /users/ann":                    {"GET /users/{user}", wire.Vars{{"user", "ann"}}},
		"GET /users:byUUID/x":               {"GET /users:byUUID/{uuid}", wire.Vars{{"uuid", "x"}}},
		"POST /users/ann:refreshToken":      {"POST /users/{user}:refreshToken", wire.Vars{{"user", "ann"}}},
		"GET /users/ann:refreshToken":       {"GET /users/{user}", wire.Vars{{"user", "ann:refreshToken"}}},
		"POST /p/P/topics/t:publish":        {"POST /p/{project}/topics/{topic}:publish", wire.Vars{{"project", "P"}, {"topic", "t"}}},
		"GET /p/P/topics/t":                 {"GET /p/{project}/topics/{topic}", wire.Vars{{"project", "P"}, {"topic", "t"}}},
		"GET /p/P/topics/t/subscriptions":   {"GET /p/{project}/topics/{topic}/subscriptions", wire.Vars{{"project", "P"}, {"topic", "t"}}},
		"GET /p/P:metrics":                  {"GET /p/{project}:metrics", wire.Vars{{"project", "P"}}},
		"GET /p/a:b/topics/c:d":             {"GET /p/{project}/topics/{topic}", wire.Vars{{"project", "a:b"}, {"topic", "c:d"}}},
		"GET /p/P/topics/t:":                {"GET /p/{project}/topics/{topic}", wire.Vars{{"project", "P"}, {"topic", "t:"}}},
		"POST /p/P/topics/:publish":         {},
		"GET /p/P/topics/":                  {},
		"GET /p//topics/t":                  {},
		"GET users":                         {},
		"GET ":                              {},
		"GET /":                             {},
		"PUT /users":                        {},
		"GET /users/":                       {},
		"GET /p/P/topics/t/subscriptions/":  {},
		"GET /" + strings.Repeat("a/", 500): {},
	} {
		method, path, _ := strings.Cut(asked, " ")
		route, vars, ok := r.Find(method, path)
		require.Equal(t, want.route != "", ok, asked)
		require.Equal(t, want.route, route, asked)
		if ok {
			require.ElementsMatch(t, want.vars, vars, asked)
		}
	}
	require.Equal(t, "t", wire.Vars{{"project", "P"}, {"topic", "t"}}.Get("topic"))
	require.Empty(t, wire.Vars{}.Get("topic"))
	require.Nil(t, wire.Vars{{"project", "P"}}.Invalid())
	require.Equal(t, wire.InvalidName("topic"), wire.Vars{{"project", "P"}, {"topic", "a.b"}}.Invalid())
}

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "A-z_09": true, strings.Repeat("x", wire.MaxName): true, "": false, "a.b": false, "a b": false, "ü": false, "a/b": false, "a\n": false, ".": false,
		strings.Repeat("x", wire.MaxName+1): false,
	} {
		require.Equal(t, ok, wire.ValidName(name), name)
	}
	project, name, ok := wire.Topic("projects/P/topics/t")
	require.Equal(t, []any{"P", "t", true}, []any{project, name, ok})
	_, name, ok = wire.Schema("projects/P/schemas/x")
	require.Equal(t, []any{"x", true}, []any{name, ok})
	for _, bad := range []string{"", "t", "/projects/P/topics/t", "projects/P/topics/", "projects//topics/t", "projects/P/topics/t/u", "projects/P/schemas/t", "projects/P"} {
		_, _, ok := wire.Topic(bad)
		require.False(t, ok, bad)
	}
}

func TestRequestsAreReadLeniently(t *testing.T) {
	for body, want := range map[string]wire.PullRequest{
		`{"maxMessages":"5","returnImmediately":"true"}`: {MaxMessages: "5", ReturnImmediately: "true"},
		`{"maxMessages":5,"returnImmediately":true}`:     {MaxMessages: "5", ReturnImmediately: "true"},
		`{"MAXMESSAGES":"5","other":[{}]}`:               {MaxMessages: "5"},
		`{"maxMessages":null}`:                           {},
		`{}`:                                             {},
	} {
		got, err := wire.Decode[wire.PullRequest]([]byte(body))
		require.NoError(t, err, body)
		require.Equal(t, want, got, body)
	}
	for body, want := range map[string]int{`{"maxMessages":"7"}`: 7, `{"maxMessages":7}`: 7, `{}`: 1, `{"maxMessages":"abc"}`: 1, `{"maxMessages":"0"}`: 1, `{"maxMessages":-3}`: 1, `{"maxMessages":1.5}`: 1} {
		got, err := wire.Decode[wire.PullRequest]([]byte(body))
		require.NoError(t, err)
		require.Equal(t, want, got.Max(), body)
	}
	for body, want := range map[string]wire.Int{`{"offset":3}`: {3, true}, `{"offset":"3"}`: {3, true}, `{"offset":-1}`: {-1, true}, `{}`: {}, `{"offset":null}`: {}, `{"offset":""}`: {}} {
		got, err := wire.Decode[wire.OffsetRequest]([]byte(body))
		require.NoError(t, err, body)
		require.Equal(t, want, got.Offset, body)
	}
	for _, bad := range []string{`{"offset":"x"}`, `{"offset":1.5}`, `{"offset":[1]}`, `{"offset":{}}`, `{"offset":true}`, `{"offset":99999999999999999999}`, ``, `{`, `{} x`} {
		_, err := wire.Decode[wire.OffsetRequest]([]byte(bad))
		require.Error(t, err, bad)
	}
}

func TestAckIDs(t *testing.T) {
	require.Equal(t, "projects/P/subscriptions/s:7", wire.AckID("P", "s", 7))
	highest, ok := wire.Acked([]string{wire.AckID("P", "s", 7), wire.AckID("P", "s", 9), wire.AckID("P", "s", 8)}, "P", "s")
	require.Equal(t, []any{uint64(9), true}, []any{highest, ok})
	for _, bad := range [][]string{nil, {}, {""}, {wire.AckID("P", "s", 1), wire.AckID("P", "x", 2)}, {"projects/P/subscriptions/s:"}, {"projects/P/subscriptions/s:-1"}, {"projects/P/subscriptions/s:+1"}, {"projects/P/subscriptions/s:1_0"}} {
		_, ok := wire.Acked(bad, "P", "s")
		require.False(t, ok, bad)
	}
}

func TestTimes(t *testing.T) {
	at := time.Date(2026, 11, 20, 20, 33, 1, 325_800_000, time.FixedZone("", 3600))
	require.Equal(t, "2026-11-20T19:33:01Z", wire.Second(at))
	require.Equal(t, "2026-11-20T19:33:01.3258Z", wire.Moment(at))
	require.Equal(t, "2026-11-20T19:33:01Z", wire.Moment(at.Truncate(time.Second)))
	for _, s := range []string{"2026-11-20T19:33:01.3258Z", "2026-11-20 19:33:01.3258Z", "2026-11-20T19:33:01.325800000Z"} {
		got, ok := wire.ParseMoment(s)
		require.True(t, ok && got.Equal(at), s)
	}
	for _, s := range []string{"", "zz", "2026-11-20", "2026-11-20T19:33:01", "2026-11-20T19:33:01+01:00", "2026-13-20T19:33:01Z"} {
		_, ok := wire.ParseMoment(s)
		require.False(t, ok, s)
	}
}

func TestErrorsToTheLetter(t *testing.T) {
	require.Equal(t, "{\n   \"error\": {\n      \"code\": 404,\n      \"message\": \"Topic doesn't exist\",\n      \"status\": \"NOT_FOUND\"\n   }\n}", string(wire.NotFound("Topic").Encode()))
	for want, p := range map[string]*wire.Problem{
		"400 INVALID_ARGUMENT Invalid Topic ACL Arguments":                         wire.InvalidArguments("Topic ACL"),
		"400 BAD_REQUEST Invalid Request Body":                                     wire.InvalidBody(),
		"401 UNAUTHORIZED Unauthorized":                                            wire.Unauthorized(),
		"403 FORBIDDEN Access to this resource is forbidden":                       wire.Forbidden(""),
		"403 FORBIDDEN Access to this resource is forbidden. User is not a member": wire.Forbidden("User is not a member"),
		"408 TIMEOUT ack timeout":                                                  wire.Late(),
		"409 ALREADY_EXISTS Topic already exists":                                  wire.Exists("Topic"),
		"409 CONFLICT Push functionality is currently disabled":                    wire.Conflict("Push functionality is currently disabled"),
		"413 INVALID_ARGUMENT Message size is too large":                           wire.TooLarge(),
		"500 INTERNAL_SERVER_ERROR no ack pending":                                 wire.Internal("no ack pending", nil),
		"503 UNAVAILABLE Backend Error":                                            wire.Unavailable(nil),
	} {
		var got struct {
			Error struct {
				Code            json.Number
				Message, Status string
			}
		}
		require.NoError(t, json.Unmarshal(p.Encode(), &got))
		require.Equal(t, want, got.Error.Code.String()+" "+got.Error.Status+" "+got.Error.Message)
	}
	cause := wire.Unavailable(json.Unmarshal([]byte("{"), new(int)))
	require.NotContains(t, string(cause.Encode()), "JSON", "causes are for the log")
	require.ErrorContains(t, cause, "JSON")
}

func TestBombs(t *testing.T) {
	require.False(t, wire.Bomb([]byte(strings.Repeat(",", 1000))))
	require.True(t, wire.Bomb([]byte(strings.Repeat(",", 200_000))))
	large := `{"messages":[` + strings.Repeat(`{"data":"QUJD","attributes":{"a":"b"}},`, 200_000) + `{}]}`
	require.True(t, wire.Bomb([]byte(large)), "so many are too many")
	require.False(t, wire.Bomb([]byte(large[:len(large)/3])))
}

// FuzzRoute: whatever is found has names in all places that are names, and is found again by them.
func FuzzRoute(f *testing.F) {
	for _, s := range []string{"/users", "/users/x", "/users:byUUID/x", "/p/P/topics/t:publish", "/p/a:b/topics/c:d", "//", "/p/%/topics/"} {
		f.Add("GET", s)
		f.Add("POST", s)
	}
	r := router()
	f.Fuzz(func(t *testing.T, method, path string) {
		route, vars, ok := r.Find(method, path)
		if !ok {
			return
		}
		want, pattern, _ := strings.Cut(route, " ")
		require.Equal(t, want, method)
		for _, v := range vars {
			require.NotEmpty(t, v.Value)
			require.NotContains(t, v.Value, "/")
			pattern = strings.Replace(pattern, "{"+v.Name+"}", v.Value, 1)
		}
		if vars.Invalid() == nil {
			require.Equal(t, pattern, path)
		}
	})
}

// FuzzRequests: no body is too much for the readers, and what is read can be written.
func FuzzRequests(f *testing.F) {
	for _, s := range []string{`{"messages":[{"data":"QQ==","attributes":{"a":"b"}}]}`, `{"maxMessages":1}`, `{"ackIds":["x"]}`, `{"offset":"3"}`, `{"pushConfig":{"retryPolicy":{"period":"3"}}}`, `null`, `[]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := wire.Decode[wire.PublishRequest](b); err == nil {
			for i := range p.Messages {
				require.NotPanics(t, func() {
					wire.Encode(wire.Message{Attributes: p.Messages[i].Attributes, Data: p.Messages[i].Data}, wire.Usual)
				})
			}
		}
		if p, err := wire.Decode[wire.PullRequest](b); err == nil {
			require.Positive(t, p.Max())
		}
		if a, err := wire.Decode[wire.AckRequest](b); err == nil {
			wire.Acked(a.AckIDs, "P", "s")
		}
		_, _ = wire.Decode[wire.OffsetRequest](b)
		_, _ = wire.Decode[wire.DeadlineRequest](b)
		_, _ = wire.Decode[wire.SeekRequest](b)
		if a, err := wire.Decode[wire.SubscriptionRequest](b); err == nil && a.Backoff != nil {
			require.GreaterOrEqual(t, a.Backoff.Least.Value, time.Duration(0))
			require.GreaterOrEqual(t, a.Backoff.Most.Value, time.Duration(0))
		}
		_, _ = wire.Decode[wire.UserRequest](b)
	})
}

// FuzzPublish: what is published is read as encoding/json reads it, however it is written.
func FuzzPublish(f *testing.F) {
	for _, s := range []string{
		`{"messages":[{"data":"QQ==","attributes":{"a":"b"}}]}`, "{ \"messages\" :\n[ {\"data\":\"\"},{\"attributes\":{} , \"data\" : \"x\"} ]\t}", `{"messages":[{}]}`,
		`{"messages":[]}`, `{"messages":[{"data":"a","data":"b"}]}`, `{"Messages":[{"Data":"a"}]}`, `{"messages":[{"data":"\u0041"}]}`, `{"messages":[{"data":"é"}]} `,
		`{"messages":[{"data":"a"}],"messages":[{"attributes":{"x":"y"}}]}`, `{"messages":[{"attributes":{"x":"y","x":"z"}}]}`, `{"messages":[{"data":null}]}`, `{"messages":[{"data":"a"},]}`,
		`{"messages":[{"data":"a"}]}x`, `{"messages":[{"data":"a","other":1}]}`, "{\"messages\":[{\"data\":\"a\x01\"}]}", `{"messages":[{"attributes":{"a":"b",}}]}`,
		`{"messages":[{"orderingKey":"k","data":"a"},{"orderingKey":"","orderingKey":"x"},{"orderingKey":"a\\n"}]}`, `{"messages":[{"orderingKey":"k","orderingKey":"x"}]}`, `{"messages":[{"orderingKey":1}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		want, wantErr := wire.Decode[wire.PublishRequest](b)
		got, err := wire.DecodePublish(b)
		require.Equal(t, wantErr == nil, err == nil)
		if err == nil {
			require.Equal(t, want, got)
		}
	})
}

// FuzzPulled: messages are written as encoding/json writes them.
func FuzzPulled(f *testing.F) {
	f.Add("projects/P/subscriptions/s:3", "3", "kind", "a<b>&\"\\", "aGVsbG8=", "2026-11-20T20:33:01Z", uint8(3))
	f.Add("", "", "", "", "", "", uint8(0))
	f.Add("x", "\xff", "\u2028", "é\x7f\n", "\x00", "", uint8(1))
	f.Fuzz(func(t *testing.T, ack, id, name, value, data, published string, n uint8) {
		p, plain := wire.Pulled{Received: []wire.Received{}}, wire.Pulled{Received: []wire.Received{}}
		for i := range n % 4 {
			m := wire.Message{ID: id, Data: data, Published: published}
			for j := range i {
				if m.Attributes == nil {
					m.Attributes = map[string]string{}
				}
				m.Attributes[fmt.Sprint(name, j)] = value
			}
			r := wire.Received{AckID: ack, Message: m, Attempt: uint64(i) << (8 * i)}
			if i > 1 {
				r.Key = value
			}
			p.Received, plain.Received = append(p.Received, r), append(plain.Received, r)
			if i == 1 {
				p.Received[i].Body, plain.Received[i].Message.Data = []byte(data), base64.StdEncoding.EncodeToString([]byte(data))
			}
		}
		want, err := json.MarshalIndent(plain, "", "   ")
		require.NoError(t, err)
		require.Equal(t, string(want), string(wire.Encode(p, wire.Usual)))
	})
}
