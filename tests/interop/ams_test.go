package interop

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// names are those of a list's members.
func names(o object, list string) (all []string) {
	for _, m := range o[list].([]any) {
		all = append(all, m.(object)["name"].(string))
	}
	return all
}

// must is for what brings something and goes well.
func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		require.NoError(t, err)
		return v
	}
}

// TestAMSLibrary walks through the calls of the library, and takes answers as it does.
func TestAMSLibrary(t *testing.T) {
	t.Parallel()
	l := startAMS(t, "")
	for _, part := range []struct {
		name string
		walk func(*testing.T, *library)
	}{{"users", amsUsers}, {"topics", amsTopics}, {"subscriptions", amsSubscriptions}, {"messages", amsMessages}, {"offsets", amsOffsets}, {"push", amsPush}, {"figures", amsFigures}} {
		t.Run(part.name, func(t *testing.T) {
			here := *l
			here.t = t
			part.walk(t, &here)
		})
	}
}

func amsUsers(t *testing.T, l *library) {
	var u, changed object
	l.call("user_create", "POST", "users/first", `{"projects": [{"project": "P", "roles": ["project_admin"], "topics": [], "subscriptions": []}], "first_name": "F", "email": "f@x"}`, &u)
	require.Equal(t, []any{"first", "F", "f@x", 64}, []any{u["name"], u["first_name"], u["email"], len(u["token"].(string))})
	require.Equal(t, []any{object{"project": "P", "roles": []any{"project_admin"}, "topics": []any{}, "subscriptions": []any{}}}, u["projects"])
	l.call("user_update", "PUT", "users/first", `{"last_name": "L", "description": "caf\u00e9"}`, &changed)
	require.Equal(t, []any{"F", "L", "café", u["projects"]}, []any{changed["first_name"], changed["last_name"], changed["description"], changed["projects"]})
	require.Equal(t, u["uuid"], l.get("user_get_by_token", "users:byToken/"+u["token"].(string))["uuid"])
	require.Equal(t, "first", l.get("user_get_by_uuid", "users:byUUID/"+u["uuid"].(string))["name"])

	var fresh, nothing object
	l.call("user_refresh_token", "POST", "users/first:refreshToken", "", &fresh)
	require.NotEqual(t, u["token"], fresh["token"])
	require.Equal(t, "first", l.as(fresh["token"].(string)).get("user_get_profile", "users/profile")["name"])

	member, him := l.createMember("writer", "publisher")
	require.Equal(t, "writer", him.get("user_get_profile", "users/profile")["name"])
	require.Equal(t, member["uuid"], l.get("project_get_member", l.in("members/writer"))["uuid"])
	l.createProject("Q")
	var added object
	l.call("project_add_member", "POST", "projects/Q/members/writer:add", `{"roles": ["consumer"]}`, &added)
	require.Len(t, added["projects"], 2)
	l.call("project_remove_member", "POST", "projects/Q/members/writer:remove", "", &nothing)
	require.Empty(t, nothing)

	// list_users: Python writes booleans in its own way, and the token of a page has another name.
	var seen []string
	for token := ""; len(seen) < 2; {
		page := l.get("users_list", "users?"+url.Values{"details": {"True"}, "pageSize": {"1"}, "nextPageToken": {token}}.Encode())
		require.EqualValues(t, 2, page["totalSize"])
		require.Len(t, page["users"].([]any)[0].(object)["projects"], 1)
		seen, token = append(seen, names(page, "users")...), page["nextPageToken"].(string)
	}
	require.Equal(t, []string{"writer", "first"}, seen)
	l.call("user_delete", "DELETE", "users/first", "", &nothing)
	var p object
	l.call("project_update", "PUT", "projects/Q", `{"description": "another"}`, &p)
	require.Equal(t, "another", l.get("project_get", "projects/Q")["description"])
	l.call("project_delete", "DELETE", "projects/Q", "", &nothing)
}

func amsTopics(t *testing.T, l *library) {
	require.Equal(t, object{"topics": []any{}, "nextPageToken": "", "totalSize": 0.0}, l.get("topic_list", l.in("topics")))
	require.Equal(t, "/projects/P/topics/t", l.createTopic("t")["name"])
	l.createTopic("T-2_x")
	require.Equal(t, []string{"/projects/P/topics/T-2_x", "/projects/P/topics/t"}, names(l.get("topic_list", l.in("topics")), "topics"))
	var nothing object
	l.call("topic_delete", "DELETE", l.in("topics/T-2_x"), "", &nothing)
	require.Equal(t, object{"authorized_users": []any{}}, l.get("topic_getacl", l.in("topics/t:acl")))
	l.call("topic_modifyacl", "POST", l.in("topics/t:modifyAcl"), `{"authorized_users": ["writer"]}`, &nothing)
	require.Equal(t, []any{"writer"}, l.get("topic_getacl", l.in("topics/t:acl"))["authorized_users"])
	require.Empty(t, nothing)
}

func amsSubscriptions(t *testing.T, l *library) {
	require.Equal(t, object{"subscriptions": []any{}, "nextPageToken": "", "totalSize": 0.0}, l.get("sub_list", l.in("subscriptions")))
	s := l.createSub("s", "t", 10)
	require.Equal(t, []any{"/projects/P/subscriptions/s", "/projects/P/topics/t", 10.0}, []any{s["name"], s["topic"], s["ackDeadlineSeconds"]})
	require.Equal(t, "", s["pushConfig"].(object)["pushEndpoint"], "the library looks whether there is one")
	l.createSub("gone", "t", 33)
	require.Equal(t, []string{"/projects/P/subscriptions/gone", "/projects/P/subscriptions/s"}, names(l.get("sub_list", l.in("subscriptions")), "subscriptions"))
	var nothing object
	l.call("sub_delete", "DELETE", l.in("subscriptions/gone"), "", &nothing)
	l.createMember("reader", "consumer")
	l.call("sub_modifyacl", "POST", l.in("subscriptions/s:modifyAcl"), `{"authorized_users": ["reader"]}`, &nothing)
	require.Equal(t, []any{"reader"}, l.get("sub_getacl", l.in("subscriptions/s:acl"))["authorized_users"])
	require.Empty(t, nothing)
}

func amsMessages(t *testing.T, l *library) {
	require.Empty(t, must(l.pull("s", 1, false))(t))
	everything := make([]byte, 256)
	for i := range everything {
		everything[i] = byte(i)
	}
	odd := map[string]string{`quote"`: `a"b\c`, "é": "☃ 😀", "line": "a\nb\t\x01", "destination": "/queue/x", "message-id": "7", " sp ": " sp "}
	require.Equal(t, []string{"0"}, must(l.publish("t", amsMessage{Data: []byte("one"), Attributes: map[string]string{"k": "v"}}))(t))
	require.Equal(t, []string{"1", "2", "3"}, must(l.publish("t", amsMessage{Data: everything, Attributes: odd}, amsMessage{Attributes: map[string]string{"alone": "1"}},
		amsMessage{Data: []byte("of another service"), MessageID: "99", PublishTime: "2001-01-01T00:00:00Z"}))(t))
	require.Empty(t, must(l.publish("t"))(t))

	got := must(l.pull("s", 100, true))(t)
	require.Len(t, got, 4)
	for i, m := range got {
		require.Equal(t, fmt.Sprintf("projects/P/subscriptions/s:%d", i), m.AckID)
		require.Equal(t, fmt.Sprint(i), m.Message.MessageID)
		published, err := time.Parse(time.RFC3339Nano, m.Message.PublishTime)
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), published, time.Hour)
	}
	require.Equal(t, []any{[]byte("one"), map[string]string{"k": "v"}}, []any{got[0].Message.Data, got[0].Message.Attributes})
	require.Equal(t, []any{everything, odd}, []any{got[1].Message.Data, got[1].Message.Attributes})
	require.Equal(t, map[string]string{"alone": "1"}, got[2].Message.Attributes)

	require.NoError(t, l.ack("s", got[0].AckID))
	require.NoError(t, l.ack("s", got[0].AckID), "its answer was lost, and it is sent again")
	require.Len(t, must(l.pullack("s", 2))(t), 2)
	require.Len(t, must(l.pullack("s", 2))(t), 1)
	require.Empty(t, must(l.pullack("s", 2))(t))

	large := bytes.Repeat(everything, 20_000) // 5 MB
	require.Equal(t, []string{"4"}, must(l.publish("t", amsMessage{Data: large}))(t))
	require.Equal(t, large, must(l.pullack("s", 1))(t)[0].Data)
}

func amsOffsets(t *testing.T, l *library) {
	sub := l.in("subscriptions/s")
	offsets := func() object { return l.get("sub_offsets", sub+":offsets") }
	require.Equal(t, object{"max": 5.0, "min": 0.0, "current": 5.0}, offsets())
	var nothing object
	l.call("sub_mod_offset", "POST", sub+":modifyOffset", `{"offset": 3}`, &nothing)
	require.Empty(t, nothing)
	require.Equal(t, object{"max": 5.0, "min": 0.0, "current": 3.0}, offsets())
	require.Equal(t, "of another service", string(must(l.pullack("s", 1))(t)[0].Data))
	l.call("sub_mod_offset", "POST", sub+":modifyOffset", `{"offset": 5}`, &nothing)
	// With microseconds, and with a blank where there are none; requests writes it as %20.
	for _, when := range []string{"2019-09-02T13:39:11.500Z", "2019-09-02%2013:39:11.000Z"} {
		require.Equal(t, object{"offset": 0.0}, l.get("sub_timeToOffset", sub+":timeToOffset?time="+when))
	}
}

func amsPush(t *testing.T, l *library) {
	l.createSub("pushed", "t", 10)
	sub := l.in("subscriptions/pushed")
	policy := func() object {
		c := l.get("sub_get", sub)["pushConfig"].(object)
		require.Equal(t, "https://push.example.org/in", c["pushEndpoint"])
		require.Equal(t, "http_endpoint", c["type"], "the library says nothing about it")
		return c["retryPolicy"].(object)
	}
	var nothing object
	for _, kind := range []string{"linear", "slowstart"} {
		l.call("sub_pushconfig", "POST", sub+":modifyPushConfig", `{"pushConfig": {"pushEndpoint": "https://push.example.org/in", "retryPolicy": {"type": "`+kind+`", "period": 300}}}`, &nothing)
		require.Equal(t, kind, policy()["type"])
		require.Contains(t, policy(), "period", "the library looks for both")
	}
	l.call("sub_pushconfig", "POST", sub+":modifyPushConfig", `{"pushConfig": {}}`, &nothing)
	require.Equal(t, "", l.get("sub_get", sub)["pushConfig"].(object)["pushEndpoint"])
	require.Empty(t, nothing)
	l.call("sub_delete", "DELETE", sub, "", &nothing)
}

func amsFigures(t *testing.T, l *library) {
	require.Equal(t, "ok", l.as("nobody").get("api_status", "status")["status"])
	require.Contains(t, l.as("nobody").get("api_version", "version"), "golang")
	require.Len(t, l.get("api_metrics", "metrics")["metrics"], 2)
	for _, path := range []string{"metrics/va_metrics", "metrics/va_metrics?start_date=2020-01-01&end_date=2090-01-01&projects=P"} {
		all := l.get("api_va_metrics", path)["projects_metrics"].(object)
		require.EqualValues(t, 5, all["total_message_count"], path)
	}
	require.Contains(t, l.get("api_usage_report", "users/usageReport?projects=P"), "va_metrics")
}

// TestAMSExceptions is about what the library raises, which is what programs decide by.
func TestAMSExceptions(t *testing.T) {
	t.Parallel()
	const service, timeout, balancer = "AmsServiceException", "AmsTimeoutException", "AmsBalancerException"
	l := startAMS(t, "")
	l.createTopic("t")
	l.createSub("s", "t", 10)
	_, writer := l.createMember("writer", "publisher")
	_, reader := l.createMember("reader", "consumer")
	bad := l.as("bad")
	long := asPython(map[string]any{"messages": []amsMessage{{Data: make([]byte, 11<<20)}}})
	text := `{"messages": [{"data": "QQ=="}]}`
	topic, sub := "projects/P/topics/t", "projects/P/subscriptions/s"
	for _, c := range []struct {
		who                       *library
		class                     string
		code                      int
		status, message           string
		route, method, path, body string
	}{
		{l, service, 404, "NOT_FOUND", "Topic doesn't exist", "topic_get", "GET", "projects/P/topics/nope", ""},
		{l, service, 404, "NOT_FOUND", "Subscription doesn't exist", "sub_get", "GET", "projects/P/subscriptions/nope", ""},
		{l, service, 404, "NOT_FOUND", "project doesn't exist", "topic_list", "GET", "projects/NOPE/topics", ""},
		{l, service, 404, "NOT_FOUND", "User doesn't exist", "user_get", "GET", "users/nope", ""},
		{l, service, 404, "NOT_FOUND", "Topic doesn't exist", "topic_publish", "POST", "projects/P/topics/nope:publish", text},
		{l, service, 404, "NOT_FOUND", "User(s): nope do not exist", "topic_modifyacl", "POST", topic + ":modifyAcl", `{"authorized_users": ["nope"]}`},
		{l, service, 409, "ALREADY_EXISTS", "Topic already exists", "topic_create", "PUT", topic, ""},
		{l, service, 409, "ALREADY_EXISTS", "Subscription already exists", "sub_create", "PUT", sub, `{"topic": "projects/P/topics/t", "ackDeadlineSeconds": 10}`},
		{l, service, 409, "ALREADY_EXISTS", "Project already exists", "project_create", "POST", "projects/P", `{"description": ""}`},
		{l, service, 409, "CONFLICT", "Timestamp is out of bounds for the subscription's topic/partition", "sub_timeToOffset", "GET", sub + ":timeToOffset?time=2090-01-01T00:00:00.000Z", ""},
		{l, service, 400, "INVALID_ARGUMENT", "Time is not in valid Zulu format.", "sub_timeToOffset", "GET", sub + ":timeToOffset?time=", ""},
		{l, service, 400, "INVALID_ARGUMENT", "Offset out of bounds", "sub_mod_offset", "POST", sub + ":modifyOffset", `{"offset": 7}`},
		{l, service, 400, "INVALID_ARGUMENT", "Invalid ack id", "sub_ack", "POST", sub + ":acknowledge", `{"ackIds": []}`},
		{l, service, 413, "INVALID_ARGUMENT", "Message size is too large", "topic_publish", "POST", topic + ":publish", long},
		{l, service, 413, "INVALID_ARGUMENT", "Message size is too large", "topic_publish", "POST", topic + ":publish", strings.Repeat(long, 4)},
		{l, balancer, 500, "INTERNAL_SERVER_ERROR", "no ack pending", "sub_ack", "POST", sub + ":acknowledge", `{"ackIds": ["projects/P/subscriptions/s:4"]}`},
		{bad, service, 401, "UNAUTHORIZED", "Unauthorized", "topic_publish", "POST", topic + ":publish", text},
		{bad, service, 401, "UNAUTHORIZED", "Unauthorized", "topic_publish", "POST", topic + ":publish", long},
		{bad, service, 401, "UNAUTHORIZED", "Unauthorized", "sub_pull", "POST", sub + ":pull", `{}`},
		{writer, service, 403, "FORBIDDEN", "Access to this resource is forbidden", "topic_publish", "POST", topic + ":publish", text},
		{writer, service, 403, "FORBIDDEN", "Access to this resource is forbidden", "topic_create", "PUT", "projects/P/topics/new", ""},
		{reader, service, 403, "FORBIDDEN", "Access to this resource is forbidden", "sub_pull", "POST", sub + ":pull", `{}`},
	} {
		_, err := c.who.request(c.route, c.method, c.path, c.body)
		var r *raised
		require.ErrorAs(t, err, &r, "%s %s", c.method, c.path)
		require.Equal(t, raised{c.class, c.code, c.status, c.message}, *r, "%s %s", c.method, c.path)
	}

	l.createSub("quick", "t", 1)
	must(l.publish("t", amsMessage{Data: []byte("x")}))(t)
	got := must(l.pull("quick", 1, true))(t)
	time.Sleep(2100 * time.Millisecond) // deadlines are whole seconds, and this one has to pass
	var late *raised
	require.ErrorAs(t, l.ack("quick", got[0].AckID), &late)
	require.Equal(t, raised{timeout, 408, "TIMEOUT", "ack timeout"}, *late)
	require.Equal(t, got, must(l.pull("quick", 1, true))(t), "it comes again, and may be acknowledged")
	require.NoError(t, l.ack("quick", got[0].AckID))
}
