package pubsub_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// member makes a user with those roles in P and returns the token.
func (w *world) member(name string, roles ...string) string {
	w.t.Helper()
	var u wire.User
	w.must("POST", "/users/"+name, serviceToken, map[string]any{"email": name + "@x", "projects": []any{map[string]any{"project": "P", "roles": roles}}}, &u)
	require.Len(w.t, u.Token, 64)
	return u.Token
}

// production is the role table that the service runs with: which roles may, besides the service token.
func production() map[string]string {
	const sa, pa, p, c, pw = "service_admin", "project_admin", "publisher", "consumer", "push_worker"
	topics, subs := "/projects/{project}/topics", "/projects/{project}/subscriptions"
	t, s, m := topics+"/{topic}", subs+"/{subscription}", "/projects/{project}/members"
	const x, route = "/projects/{project}/schemas/{schema}", "/projects/{project}/routes/{route}"
	table := map[string]string{
		"GET /projects": sa, "POST /projects/{project}": sa,
		"GET /users/{user}": sa, "POST /users/{user}": sa, "PUT /users/{user}": sa, "DELETE /users/{user}": sa, "POST /users/{user}:refreshToken": sa,
		"GET /users:byUUID/{uuid}": sa + " argo_api_authn", "GET /users:byToken/{token}": sa + " " + pw,
		"GET " + topics: sa + " " + pa + " " + p, "GET " + t: sa + " " + pa + " " + p, "POST " + t + ":publish": sa + " " + pa + " " + p,
		"GET " + subs: sa + " " + pa + " " + c, "GET " + s: sa + " " + pa + " " + c + " " + pw, "POST " + s + ":pull": sa + " " + pa + " " + c + " " + pw,
		"POST " + s + ":acknowledge": sa + " " + pa + " " + c + " " + pw, "POST " + s + ":modifyAckDeadline": sa + " " + pa + " " + c,
		"GET " + s + ":offsets": sa + " " + pa + " " + c, "POST " + s + ":modifyOffset": sa + " " + pa + " " + c, "POST " + s + ":seek": sa + " " + pa + " " + c, "GET " + s + ":timeToOffset": sa + " " + pa + " " + c,
		"POST /registrations": sa + " register_admin", "GET /registrations": sa, "GET /registrations/{uuid}": sa,
		"POST /registrations/{uuid}:accept": sa, "POST /registrations/{uuid}:decline": sa, "DELETE /registrations/{uuid}": "_admin_",
		"GET /metrics": sa + " metrics_viewer " + pa, "GET /metrics/va_metrics": sa + " metrics_viewer " + pa, "GET /users/usageReport": "",
		"GET /projects/{project}:metrics": sa + " " + pa, "GET " + t + ":metrics": sa + " " + pa + " " + p, "GET " + s + ":metrics": sa + " " + pa + " " + c,
		"GET /status": "", "GET /version": "", "GET /users/profile": "",
	}
	for _, both := range []string{
		"GET /users", "GET /projects/{project}", "PUT /projects/{project}", "DELETE /projects/{project}",
		"GET " + m, "GET " + m + "/{user}", "POST " + m + "/{user}", "PUT " + m + "/{user}", "POST " + m + "/{user}:add", "POST " + m + "/{user}:remove",
		"PUT " + t, "DELETE " + t, "GET " + t + "/subscriptions", "GET " + t + ":acl", "POST " + t + ":modifyAcl", "POST " + t + ":modifyRetention",
		"POST " + t + ":attachSchema", "POST " + t + ":detachSchema", "GET " + x[:len(x)-9], "GET " + x, "GET " + x + ":revisions", "POST " + x, "PUT " + x, "DELETE " + x, "POST " + x + ":validate",
		"PUT " + s, "DELETE " + s, "GET " + s + ":acl", "POST " + s + ":modifyAcl", "POST " + s + ":modifyPushConfig", "POST " + s + ":verifyPushEndpoint",
		"GET /projects/{project}/routes", "GET " + route, "PUT " + route, "DELETE " + route,
	} {
		table[both] = sa + " " + pa
	}
	return table
}

func TestRolesAreThoseOfProduction(t *testing.T) {
	want := production()
	for _, r := range pubsub.Routes() {
		roles, ok := want[r[0]+" "+r[1]]
		require.True(t, ok, r)
		require.Equal(t, roles, strings.TrimSpace(r[2]), r)
		delete(want, r[0]+" "+r[1])
	}
	require.Empty(t, want)
}

func TestWhoMayDoWhat(t *testing.T) {
	w := stocked(t, 2, nil)
	pub, con, admin, nobody := w.member("pub", "publisher"), w.member("con", "consumer"), w.member("admin", "project_admin"), w.member("none")
	both := w.member("both", "project_admin", "publisher", "consumer")
	w.must("POST", "/projects/Q", serviceToken, `{"description":"other"}`)
	w.must("POST", "/projects/P/topics/t:modifyAcl", admin, `{"authorized_users":["pub"]}`)
	w.must("POST", "/projects/P/subscriptions/s:modifyAcl", admin, `{"authorized_users":["con","con"]}`)
	const forbidden = "Access to this resource is forbidden"
	one := `{"messages":[{"data":""}]}`
	for _, c := range []struct {
		key, method, path, body string
		code                    int
	}{
		{pub, "POST", "/projects/P/topics/t:publish", one, 200},
		{admin, "POST", "/projects/P/topics/t:publish", one, 200},
		{both, "POST", "/projects/P/topics/t:publish", one, 403}, // a publisher, whatever else
		{con, "POST", "/projects/P/topics/t:publish", one, 403},
		{nobody, "POST", "/projects/P/topics/t:publish", one, 401},
		{"stranger", "POST", "/projects/P/topics/t:publish", one, 401},
		{"stranger", "POST", "/projects/NOPE/topics/t:publish", one, 404},
		{"", "POST", "/projects/NOPE/topics/t:publish", one, 401},
		{"", "POST", "/projects/N.O/topics/t:publish", one, 400},
		{pub, "POST", "/projects/Q/topics/t:publish", one, 401},
		{con, "POST", "/projects/P/subscriptions/s:pull", "{}", 200},
		{pub, "POST", "/projects/P/subscriptions/s:pull", "{}", 403},
		{both, "POST", "/projects/P/subscriptions/s:pull", "{}", 403},
		{both, "POST", ackPath, `{"ackIds":["projects/P/subscriptions/s:0"]}`, 403},
		{both, "GET", "/projects/P/subscriptions/s:offsets", "", 403},
		{both, "POST", "/projects/P/subscriptions/s:modifyOffset", `{"offset":0}`, 403},
		{both, "GET", "/projects/P/subscriptions/s:timeToOffset?time=zz", "", 403},
		{both, "POST", "/projects/P/subscriptions/s:modifyAckDeadline", `{"ackDeadlineSeconds":1}`, 403},
		{con, "POST", ackPath, `{"ackIds":["projects/P/subscriptions/s:0"]}`, 200},
		{con, "PUT", "/projects/P/topics/new", "", 403},
		{admin, "PUT", "/projects/P/topics/new", "", 200},
		{admin, "GET", "/users", "", 401}, // no role outside his project
		{admin, "GET", "/projects", "", 401},
		{admin, "DELETE", "/projects/Q", "", 401},
		{pub, "GET", "/users/profile", "", 200},
		{nobody, "GET", "/users/profile", "", 200},
		{pub, "GET", "/status?details=true", "", 401},
		{"stranger", "GET", "/status?details=true", "", 403},
		{serviceToken, "GET", "/status?details=true", "", 200},
	} {
		a := w.ask(c.method, c.path, c.key, c.body)
		require.Equal(t, c.code, a.code, "%s %s: %s", c.method, c.path, a.body)
		if c.code == 403 {
			require.Contains(t, a.body, forbidden)
		}
	}
	w.must("POST", "/projects/P/topics/t:modifyAcl", admin, `{"authorized_users":[]}`)
	w.refused(403, forbidden, "POST", "/projects/P/topics/t:publish", pub, one)
}

// Administrators of the service see all of a member, wherever they look at him; those of a project their own part.
func TestWhoSeesMembersOtherProjects(t *testing.T) {
	w := stocked(t, 0, nil)
	admin := w.member("admin", "project_admin")
	w.must("POST", "/projects/Q", serviceToken, `{"description":""}`)
	w.must("POST", "/users/far", serviceToken, `{"email":"f","projects":[{"project":"Q","roles":["consumer"]}]}`)
	for _, who := range []struct {
		key  string
		sees int
	}{{serviceToken, 2}, {admin, 1}} {
		var added, shown, changed wire.User
		w.must("POST", "/projects/P/members/far:add", who.key, `{"roles":["publisher"]}`, &added)
		w.must("GET", "/projects/P/members/far", who.key, nil, &shown)
		w.must("PUT", "/projects/P/members/far", who.key, `{"projects":[{"project":"P","roles":["consumer"]}]}`, &changed)
		require.Equal(t, []int{who.sees, who.sees, who.sees}, []int{len(added.Projects), len(shown.Projects), len(changed.Projects)})
		w.must("POST", "/projects/P/members/far:remove", who.key, nil)
	}
}

// The service's own library writes details=True, and sends the token of a page as nextPageToken: nobody gets beyond the first page with it there.
func TestUsersAsTheLibraryAsksForThem(t *testing.T) {
	w := stocked(t, 0, nil)
	for _, name := range []string{"one", "two", "three"} {
		w.member(name, "consumer")
	}
	var seen []string
	token := ""
	for {
		var page wire.Users
		w.must("GET", "/users?details=True&pageSize=1&nextPageToken="+url.QueryEscape(token), serviceToken, nil, &page)
		require.Len(t, page.Users, 1)
		require.Len(t, page.Users[0].Projects, 1)
		seen = append(seen, page.Users[0].Name)
		require.LessOrEqual(t, len(seen), 3, "it goes round in circles")
		if token = page.Next; token == "" {
			break
		}
	}
	require.Equal(t, []string{"three", "two", "one"}, seen)
	var page wire.Users
	w.must("GET", "/users?details=False", serviceToken, nil, &page)
	require.Empty(t, page.Users[0].Projects)
	w.refused(400, "Invalid page token", "GET", "/users?nextPageToken=!", serviceToken, nil)
	w.refused(403, "Access to this resource is forbidden", "GET", "/status?details=True", "stranger", nil)
}

func TestWhatProjectAdminsSee(t *testing.T) {
	w := stocked(t, 0, nil)
	admin := w.member("admin", "project_admin")
	w.must("POST", "/projects/Q", serviceToken, `{"description":""}`)
	w.must("POST", "/users/far", serviceToken, `{"email":"f","projects":[{"project":"Q","roles":["consumer"]}],"service_roles":["metrics_viewer"]}`)
	w.must("POST", "/projects/P/members/far:add", admin, `{"roles":["publisher"]}`)
	w.refused(409, "User is already a member of the project", "POST", "/projects/P/members/far:add", admin, `{"roles":[]}`)
	var page wire.Users
	w.must("GET", "/projects/P/members?details=true", admin, nil, &page)
	require.Equal(t, 2, page.Total)
	far := page.Users[0]
	require.Equal(t, []any{"far", "", []string(nil), 1, "P"}, []any{far.Name, far.Token, far.ServiceRoles, len(far.Projects), far.Projects[0].Project})
	var made wire.User
	w.must("POST", "/projects/P/members/new", admin, `{"email":"n","service_roles":["service_admin"],"projects":[{"project":"Q","roles":["project_admin"]},{"project":"P","roles":["consumer"]}]}`, &made)
	require.Equal(t, []any{64, "admin", []string(nil), 1}, []any{len(made.Token), made.CreatedBy, made.ServiceRoles, len(made.Projects)})
	require.Equal(t, []string{"consumer"}, made.Projects[0].Roles)
	w.refused(401, "Unauthorized", "GET", "/projects/Q", made.Token, nil)
	w.must("PUT", "/projects/P/members/far", admin, `{"projects":[{"project":"P","roles":["consumer"]}]}`)
	w.must("GET", "/users/far", serviceToken, nil, &far)
	require.Len(t, far.Projects, 2, "the other project is none of his business")
	w.must("POST", "/projects/P/members/far:remove", admin, nil)
	w.refused(403, "Access to this resource is forbidden. User is not a member of the project", "POST", "/projects/P/members/far:remove", admin, nil)
	w.refused(403, "Access to this resource is forbidden. User is not a member of the project", "PUT", "/projects/P/members/far", admin, `{"projects":[]}`)
	w.refused(404, "User doesn't exist", "GET", "/projects/P/members/far", admin, nil)
	w.refused(404, "User doesn't exist", "POST", "/projects/P/members/ghost:add", admin, `{"roles":[]}`)
	w.must("PUT", "/users/far", serviceToken, `{"name":"near"}`)
	w.refused(400, "Invalid user name", "PUT", "/users/near", serviceToken, `{"name":"a.b"}`)
	w.must("DELETE", "/users/near", serviceToken, nil)
	w.refused(404, "User doesn't exist", "DELETE", "/users/near", serviceToken, nil)
	w.must("DELETE", "/projects/P", admin, nil)
	w.refused(404, "project doesn't exist", "GET", "/projects/P", admin, nil)
}

// Who administers a project may give himself any role in it, and take anybody into it: he sees no more of them for that.
func TestRolesOfAProjectEndWithIt(t *testing.T) {
	w := stocked(t, 0, nil)
	w.must("POST", "/projects/Q", serviceToken, `{"description":""}`)
	w.must("POST", "/users/boss", serviceToken, `{"email":"b","projects":[{"project":"Q","roles":["consumer"]}],"service_roles":["service_admin"]}`)
	for _, role := range []string{"service_admin", "_admin_"} {
		crook := w.member("crook"+strings.Trim(role, "_"), "project_admin", role)
		w.must("POST", "/projects/P/members/boss:add", crook, `{"roles":[]}`)
		for path, body := range map[string]string{"GET ": "", "PUT ": "{}"} {
			var boss wire.User
			w.must(strings.TrimSpace(path), "/projects/P/members/boss", crook, body, &boss)
			require.Equal(t, []any{"boss", "", []string(nil), 1}, []any{boss.Name, boss.Token, boss.ServiceRoles, len(boss.Projects)}, path)
		}
		var page wire.Users
		w.must("GET", "/projects/P/members?details=true", crook, nil, &page)
		for _, u := range page.Users {
			require.Empty(t, u.Token, u.Name)
			require.LessOrEqual(t, len(u.Projects), 1, u.Name)
		}
		w.must("POST", "/projects/P/members/boss:remove", crook, nil)
	}
}

func TestWhereTokensAre(t *testing.T) {
	for place, want := range map[pubsub.KeyPlace][3]int{pubsub.InHeader: {200, 401, 200}, pubsub.InBoth: {200, 200, 200}, pubsub.InURL: {401, 200, 401}} {
		w := newWorld(t, func(cfg *pubsub.Config) { cfg.Keys = place })
		require.Equal(t, want[0], w.ask("GET", "/projects", serviceToken, nil).code)
		require.Equal(t, want[1], w.ask("GET", "/projects?key="+serviceToken, "", nil).code)
		require.Equal(t, want[2], w.ask("GET", "/projects?key=bad", serviceToken, nil).code, "the header comes first")
	}
	w := newWorld(t, func(cfg *pubsub.Config) { cfg.ServiceToken = "" })
	require.Equal(t, 401, w.ask("GET", "/projects", "", nil).code, "without a service token nothing is one")
}

func TestSessionsAreKept(t *testing.T) {
	w := stocked(t, 5, func(cfg *pubsub.Config) { cfg.Patience = 200 * time.Millisecond })
	open := func() int { w.broker.mu.Lock(); defer w.broker.mu.Unlock(); return len(w.broker.open) }
	require.Equal(t, []int{1, 1}, []int{w.broker.opened, open()}, "one for a token")
	pub := w.member("pub", "publisher")
	w.must("POST", "/projects/P/topics/t:modifyAcl", serviceToken, `{"authorized_users":["pub"]}`)
	one := `{"messages":[{"data":""}]}`
	w.must("POST", "/projects/P/topics/t:publish", pub, one)
	require.Equal(t, 2, open())
	w.clock.pass(2 * time.Minute)
	w.must("POST", "/projects/P/topics/t:publish", pub, one)
	require.Equal(t, []int{3, 1}, []int{w.broker.opened, open()}, "who is idle has none")
	w.broker.mu.Lock()
	for s := range w.broker.open {
		w.broker.mu.Unlock()
		s.login.Ended(gateway.Errorf(gateway.Unauthenticated, "it is over"))
		require.NotEmpty(t, s.login.From())
		w.broker.mu.Lock()
	}
	w.broker.mu.Unlock()
	w.must("POST", "/projects/P/topics/t:publish", pub, one)
	require.Equal(t, 4, w.broker.opened, "the broker ended the one before")
	w.broker.mu.Lock()
	w.broker.stuck = make(chan struct{})
	w.broker.mu.Unlock()
	w.refused(503, "Backend Error", "POST", "/projects/P/topics/t:publish", pub, one)
	w.broker.mu.Lock()
	w.broker.stuck, w.broker.err = nil, gateway.Errorf(gateway.Limit, "too many sessions")
	w.broker.mu.Unlock()
	other := w.member("other", "project_admin")
	w.refused(503, "Backend Error", "POST", "/projects/P/topics/t:publish", other, one)
	w.broker.mu.Lock()
	w.broker.err = nil
	w.broker.mu.Unlock()
	w.must("POST", "/projects/P/topics/t:publish", other, one)
}

// A session's rights are those of when it was opened: once somebody's may have changed there is another one.
func TestSessionsHaveTheRightsOfNow(t *testing.T) {
	w := stocked(t, 1, nil)
	pub := w.member("pub", "publisher")
	one := `{"messages":[{"data":""}]}`
	opened := func() [2]int {
		w.broker.mu.Lock()
		defer w.broker.mu.Unlock()
		return [2]int{w.broker.opened, len(w.broker.open)}
	}
	w.must("POST", "/projects/P/topics/t:modifyAcl", serviceToken, `{"authorized_users":["pub"]}`)
	w.must("POST", "/projects/P/topics/t:publish", pub, one)
	before := opened()
	w.must("PUT", "/projects/P/topics/other", serviceToken, nil)
	w.must("PUT", "/projects/P/subscriptions/other", serviceToken, `{"topic":"projects/P/topics/other"}`)
	w.must("POST", "/projects/P/topics/t:publish", pub, one)
	require.Equal(t, before, opened(), "nobody may more or less than before")
	w.must("POST", "/projects/P/topics/other:modifyAcl", serviceToken, `{"authorized_users":["pub"]}`)
	w.must("POST", "/projects/P/topics/other:publish", pub, one)
	require.Equal(t, [2]int{before[0] + 1, before[1]}, opened(), "another one in the place of the one before")
}

func TestBatches(t *testing.T) {
	w := stocked(t, 0, nil)
	const many = gateway.MaxLogBatch*2 + 7
	got := w.publish("t", make([]string, many)...)
	require.Len(t, got, many)
	for i, id := range got {
		require.Equal(t, fmt.Sprint(i), id)
	}
	require.Len(t, w.pull(many), many)
	require.Equal(t, http.StatusBadRequest, w.ask("POST", "/projects/P/topics/t:publish", serviceToken, `{"messages":[{"data":"a"},{"data":1}]}`).code)
	require.Equal(t, uint64(many), w.offsets().Max, "nothing of a batch with a bad member")
}

func TestRegistrations(t *testing.T) {
	w := newWorld(t, nil)
	wish := `{"name":"ann","first_name":"A","last_name":"N","organization":"o","description":"d","email":"a@x"}`
	var one, two wire.Registration
	w.must("POST", "/registrations", serviceToken, wish, &one)
	w.must("POST", "/registrations", serviceToken, `{"name":"bob","email":"b@x"}`, &two)
	require.Equal(t, []any{"pending", 64, "", "A"}, []any{one.Status, len(one.Activation), one.Modified, one.FirstName})
	w.refused(400, "Invalid User Arguments", "POST", "/registrations", serviceToken, "{")
	w.refused(400, "Invalid user name", "POST", "/registrations", serviceToken, `{"name":"a.b"}`)
	for query, want := range map[string][]string{
		"": {"bob", "ann"}, "?name=ann": {"ann"}, "?status=pending&email=b@x": {"bob"}, "?organization=o": {"ann"}, "?activation_token=" + two.Activation: {"bob"}, "?status=accepted": {},
	} {
		var all wire.Registrations
		w.must("GET", "/registrations"+query, serviceToken, nil, &all)
		names := []string{}
		for _, r := range all.Registrations {
			names = append(names, r.Name)
		}
		require.Equal(t, want, names, query)
	}
	var ann wire.User
	w.must("POST", "/registrations/"+one.UUID+":accept", serviceToken, nil, &ann)
	require.Equal(t, []any{"ann", "A", "a@x", 64, 0}, []any{ann.Name, ann.FirstName, ann.Email, len(ann.Token), len(ann.Projects)})
	w.refused(404, "User registration doesn't exist", "POST", "/registrations/"+one.UUID+":accept", serviceToken, nil)
	w.refused(400, "Invalid Request Body", "POST", "/registrations/"+two.UUID+":decline", serviceToken, nil)
	a := w.ask("POST", "/registrations/"+two.UUID+":decline", serviceToken, `{"comment":"no"}`)
	require.Equal(t, answer{200, "application/json; charset=utf-8", "{}"}, a)
	w.must("GET", "/registrations/"+two.UUID, serviceToken, nil, &two)
	require.Equal(t, []any{"declined", "no"}, []any{two.Status, two.Comment})
	var after wire.Registration
	w.must("GET", "/registrations/"+one.UUID, serviceToken, nil, &after)
	require.Equal(t, []any{"accepted", "", true}, []any{after.Status, after.Activation, after.Modified != ""})
	w.refused(409, "User already exists", "POST", "/registrations", serviceToken, wish)
	w.must("DELETE", "/registrations/"+one.UUID, serviceToken, nil)
	w.refused(404, "User registration doesn't exist", "GET", "/registrations/"+one.UUID, serviceToken, nil)
	w.refused(404, "User registration doesn't exist", "DELETE", "/registrations/"+one.UUID, serviceToken, nil)
}
