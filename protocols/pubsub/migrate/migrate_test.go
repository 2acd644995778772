package migrate_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/protocols/pubsub/migrate"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// now is when all of it happens here.
func now() time.Time { return time.Date(2026, 11, 20, 20, 33, 1, 0, time.UTC) }

// place is where an export is taken to.
type place struct {
	t         testing.TB
	registry  *gatewaytest.Registry
	directory *resource.Directory
	dry       bool
}

func newPlace(t testing.TB) *place {
	p := &place{t: t, registry: gatewaytest.NewDisk(1).Registry()}
	vault, err := resource.NewVault(bytes.Repeat([]byte{7}, resource.MinKey))
	require.NoError(t, err)
	p.directory, err = resource.Open(t.Context(), resource.Config{Facts: p.registry, Vault: vault, Now: now, Keys: func(s string) []string {
		if !strings.Contains(s, "=") {
			return nil
		}
		return []string{strings.ToLower(s)}
	}})
	require.NoError(t, err)
	return p
}

// export is files, by name.
type export map[string]string

// read is what a node reads of files, and where logs end.
func (e export) read(t testing.TB, ends string) *migrate.Export {
	t.Helper()
	var b bytes.Buffer
	w := migrate.NewWriter(&b)
	for name, text := range e {
		collection, ok := migrate.CollectionOf(name)
		require.True(t, ok, name)
		require.Empty(t, migrate.Collection(collection), name)
		require.NoError(t, migrate.Documents(strings.NewReader(text), func(d json.RawMessage) error { return w.Document(collection, d) }), name)
	}
	require.NoError(t, w.Ends(strings.NewReader(ends)))
	read, err := migrate.Read(&b)
	require.NoError(t, err)
	return read
}

// take takes an export, and returns what was said: counts by kind as "taken/there/left", and notes.
func (p *place) take(e export, ends string) (counts map[string]string, notes []string) {
	p.t.Helper()
	r, err := e.read(p.t, ends).Import(p.t.Context(), migrate.Config{
		Directory: p.directory, Retention: time.Hour, DryRun: p.dry, ValidRole: func(s string) bool { return slices.Contains([]string{"publisher", "consumer", "service_admin"}, s) },
	})
	require.NoError(p.t, err)
	counts = make(map[string]string)
	for _, k := range r.Kinds {
		if k.Taken+k.There+k.Left > 0 {
			counts[k.Kind] = fmt.Sprintf("%d/%d/%d", k.Taken, k.There, k.Left)
		}
	}
	return counts, r.Notes
}

// facts are all that is stored.
func (p *place) facts() string {
	var all bytes.Buffer
	require.NoError(p.t, p.registry.Watch(p.t.Context(), func(key string, value []byte, _ uint64) { fmt.Fprintf(&all, "%s %s\n", key, value) }))
	return all.String()
}

func token(digit string) string { return strings.Repeat(digit, 64) }

// whole is an export as the services' databases have it, in the forms of several versions of mongoexport.
func whole() export {
	text := base64.StdEncoding.EncodeToString([]byte(`{"type": "object", "required": ["site"]}`))
	return export{
		"projects.json": `{"_id":{"$oid":"5f0000000000000000000001"},"uuid":"p-1","name":"EGI","created_on":{"$date":"2019-05-06T07:08:09.123Z"},"modified_on":{"$date":{"$numberLong":"1557126489123"}},"created_by":"u-1","description":"all"}`,
		"argo_msg.users.json": `[{"_id":{"$oid":"5f0000000000000000000002"},"uuid":"u-1","name":"boss","token":"` + token("1") + `","email":"b@x","service_roles":["service_admin"],"projects":[],"created_on":{"$date":"2019-05-06T07:08:09Z"},"modified_on":{"$date":"2019-05-06T07:08:09Z"},"created_by":""},
			{"_id":{"$oid":"5f0000000000000000000003"},"uuid":"u-2","name":"SITE_a_ENDPOINT_1","token":"` + token("2") + `","email":"","service_roles":[],"projects":[{"project_uuid":"p-1","roles":["publisher","consumer"]}],"first_name":"A","created_on":{"$date":1557126489000}}]`,
		"topics.json": "{\"project_uuid\":\"p-1\",\"name\":\"metrics\",\"msg_num\":{\"$numberLong\":\"120\"},\"total_bytes\":9e3,\"schema_uuid\":\"x-1\",\"created_on\":{\"$date\":\"2019-05-06T07:08:10Z\"},\"acl\":[\"u-2\",\"u-gone\"]}\n" +
			"{\"_id\":{\"$oid\":\"5f0000000000000000000009\"},\"project_uuid\":\"p-1\",\"name\":\"quiet\",\"msg_num\":0,\"schema_uuid\":\"\",\"acl\":null}\n",
		"subscriptions.bson.json": `{"project_uuid":"p-1","name":"reader","topic":"metrics","offset":{"$numberLong":"110"},"next_offset":{"$numberLong":"130"},"pending_ack":"","ack":{"$numberInt":"30"},"push_type":"","push_endpoint":"","created_on":{"$date":"2019-05-06T07:08:11Z"},"acl":["u-2"],"verified":false}
			{"project_uuid":"p-1","name":"pushed","topic":"metrics","offset":200,"ack":10,"push_type":"http_endpoint","push_endpoint":"https://e.example.org/in","max_messages":{"$numberLong":"5"},"authorization_type":"autogen","authorization_header":"secret","retry_policy":"slowstart","retry_period":0,"verification_hash":"hash","verified":true,"base_64_decode":true,"acl":[]}
			{"project_uuid":"p-1","name":"chat","topic":"quiet","offset":0,"ack":0,"push_type":"mattermost","mattermost_url":"https://m.example.org/hooks/1","mattermost_username":"bot","mattermost_channel":"c","retry_policy":"linear","retry_period":300}
			{"project_uuid":"p-1","name":"old","topic":"quiet","offset":0,"ack":10,"push_endpoint":"https://e.example.org/old","retry_policy":"linear","retry_period":300}`,
		"schemas.json":            `{"project_uuid":"p-1","uuid":"x-1","name":"site","type":"JSON","raw_schema":"` + text + `"}`,
		"user_registrations.json": `{"uuid":"r-1","name":"new","first_name":"N","email":"n@x","status":"pending","activation_token":"act","registered_at":"2019-05-06T07:08:09Z"}{"uuid":"r-2","name":"no","status":"declined","decline_comment":"why","registered_at":"2019-05-06T07:08:09Z","modified_by":"u-1","modified_at":"2019-05-07T07:08:09Z"}`,
		"service_types.json":      `{"name":"ams","hosts":["msg.example.org"],"auth_types":["x509"],"auth_method":"headers","uuid":"s-1","created_on":"2018-05-13T21:52:58Z","type":"ams"}`,
		"auth_methods.json":       `{"service_uuid":"s-1","port":{"$numberInt":"443"},"host":"msg.example.org","type":"headers","uuid":"m-1","created_on":"2018-05-13T21:52:58Z","headers":{"x-api-key":"secret-key"}}`,
		"bindings.json":           `{"name":"b.1","service_uuid":"s-1","host":"msg.example.org","auth_identifier":"CN=a,DC=org+DC=example","uuid":"b-1","auth_type":"x509","uniquekey":"u-2","created_on":"2018-05-13T21:52:58Z","updated_on":"2021-05-13T21:52:58Z","last_auth":"2022-05-13T21:52:58Z"}`,
	}
}

// All of it is taken, with IDs, times, tokens and offsets as they were; who does it again changes nothing.
func TestImport(t *testing.T) {
	p := newPlace(t)
	e, all := whole(), map[string]string{
		"projects": "1/0/0", "users": "2/0/0", "topics": "2/0/0", "subscriptions": "4/0/0", "schemas": "1/0/0", "registrations": "2/0/0",
		"service types": "1/0/0", "authentication methods": "1/0/0", "bindings": "1/0/0",
	}
	p.dry = true
	empty := p.facts()
	dry, dryNotes := p.take(e, "p-1.metrics:0:150\n\np-1.metrics:1:7\n")
	require.Equal(t, empty, p.facts(), "a dry run writes nothing")
	p.dry = false
	counts, notes := p.take(e, "p-1.metrics:0:150\n")
	require.Equal(t, all, counts)
	require.Equal(t, []any{all, notes}, []any{dry, dryNotes}, "and says what is then done")
	require.Equal(t, []string{`subscription "EGI.reader": the messages from offset 110 on, up to 200, were not acknowledged there and are not here`}, notes)
	p.looksRight()
	stored := p.facts()
	require.NotContains(t, stored, token("1"))
	require.NotContains(t, stored, "secret-key")
	again, _ := p.take(e, "p-1.metrics:0:99999\n")
	for kind, count := range all {
		require.Equal(t, "0/"+count[:1]+"/0", again[kind], kind)
	}
	require.Equal(t, stored, p.facts(), "nothing is written over")
}

// looksRight looks at what the whole export has become.
func (p *place) looksRight() {
	t, d, ctx := p.t, p.directory, p.t.Context()
	project := d.Project(ctx, "EGI")
	require.Equal(t, []any{"p-1", "all", "u-1", time.Date(2019, 5, 6, 7, 8, 9, 123e6, time.UTC)}, []any{project.ID, project.Description, project.CreatedBy, project.CreatedAt().UTC()})
	boss, site := d.UserByToken(ctx, token("1")), d.UserByToken(ctx, token("2"))
	require.True(t, boss.Almighty())
	require.Equal(t, []any{"u-2", "SITE_a_ENDPOINT_1", []string{"publisher", "consumer"}, token("2"), "A"}, []any{site.ID, site.Name, site.Roles(project), d.TokenOf(site), site.FirstName})
	metrics, quiet := d.Topic(ctx, resource.Name{Project: "EGI", Name: "metrics"}), d.Topic(ctx, resource.Name{Project: "EGI", Name: "quiet"})
	require.Equal(t, []any{uint64(200), "x-1", []string{"u-2"}, "p-1", int64(3600_000)}, []any{metrics.First, metrics.Schema, metrics.ACL, metrics.Owner, metrics.Retention})
	require.Equal(t, []any{uint64(0), time.Unix(0x5f000000, 0).UTC()}, []any{quiet.First, quiet.CreatedAt().UTC()}, "the time of its document")
	require.Error(t, d.Check("EGI.metrics", 0, &gateway.Message{Body: []byte(`{}`)}), "its schema counts")
	require.NoError(t, d.Check("EGI.metrics", 0, &gateway.Message{Body: []byte(`{"site":1}`)}))
	sub := func(name string) *resource.Subscription {
		return d.Subscription(ctx, resource.Name{Project: "EGI", Name: name})
	}
	require.Equal(t, []any{uint64(110), metrics.ID, int64(30), []string{"u-2"}, resource.Push{}}, []any{sub("reader").Start, sub("reader").Log, sub("reader").Deadline, sub("reader").ACL, sub("reader").Push})
	require.Equal(t, uint64(110), d.CursorOf(sub("reader"), metrics).Offset)
	require.Equal(t, resource.Push{
		Type: "http_endpoint", Endpoint: "https://e.example.org/in", MaxMessages: 5, AuthorizationType: "autogen", Authorization: "secret", RetryType: "slowstart", RetryPeriod: 3000,
		VerificationHash: "hash", Verified: true, Base64Decode: true,
	}, sub("pushed").Push)
	require.Equal(t, resource.Push{
		Type: "mattermost", RetryType: "linear", RetryPeriod: 300, MattermostURL: "https://m.example.org/hooks/1", MattermostUsername: "bot", MattermostChannel: "c", Verified: true,
	}, sub("chat").Push)
	require.Equal(t, int64(10), sub("chat").Deadline)
	old := sub("old").Push
	require.Len(t, old.VerificationHash, 64)
	require.Equal(t, []any{"http_endpoint", "https://e.example.org/old", false, "disabled", int64(1)}, []any{old.Type, old.Endpoint, old.Verified, old.AuthorizationType, old.MaxMessages})
	pending, declined := d.Registration(ctx, "r-1"), d.Registration(ctx, "r-2")
	require.Equal(t, []any{"new", "pending", "act", "declined", "why", "u-1"}, []any{pending.Name, pending.Status, pending.Activation, declined.Status, declined.Comment, declined.ModifiedBy})
	m := d.Mapping()
	b := m.Identified("s-1", "msg.example.org", "x509", "cn=A,dc=ORG+dc=example")
	require.Len(t, b, 1)
	require.Equal(t, []any{"b-1", "b.1", "u-2", "2022-05-13T21:52:58Z"}, []any{b[0].ID, b[0].Name, b[0].User, b[0].LastAuth})
	require.Equal(t, []string{"x-api-key"}, m.MethodsOf("s-1", "msg.example.org")[0].Headers)
	require.Equal(t, []string{"msg.example.org"}, m.TypesNamed("ams")[0].Hosts)
}

// What cannot be taken is left out, with what belongs to it, and the reason is said; the rest is taken.
func TestWhatIsNotTaken(t *testing.T) {
	p := newPlace(t)
	_, err := p.directory.CreateProject(t.Context(), "TAKEN", "", "")
	require.NoError(t, err)
	_, own, err := p.directory.CreateUser(t.Context(), resource.User{Name: "here"}, "")
	require.NoError(t, err)
	const p1 = `{"uuid":"p1","name":"P"}`
	counts, notes := p.take(export{
		"projects.json": p1 + p1 + `{"uuid":"p2","name":"TAKEN"}{"uuid":"p3","name":"a.b"}{"uuid":"../p4","name":"Q"}{"uuid":5}`,
		"users.json": `{"uuid":"u1","name":"a","token":"S3CR3T","projects":[{"project_uuid":"p2","roles":["consumer"]},{"project_uuid":"p1","roles":["owner","publisher","publisher"]}]}
			{"uuid":"u2","name":"b","token":"` + token("5") + `"}{"uuid":"u3","name":"c","token":"` + token("5") + `"}{"uuid":"u4","name":"d","token":"` + own + `"}
			{"uuid":"u5","name":"here","token":"` + token("6") + `"}{"uuid":"u6","name":"x@y","token":"` + token("7") + `"}`,
		"schemas.json": `{"project_uuid":"p1","uuid":"x1","name":"bad","type":"json","raw_schema":"!"}{"project_uuid":"p1","uuid":"x2","name":"worse","type":"xml","raw_schema":"{}"}
			{"project_uuid":"p1","uuid":"x3","name":"wrong","type":"json","raw_schema":"{\"type\":5}"}{"project_uuid":"p2","uuid":"x4","name":"lost","type":"json","raw_schema":"{}"}`,
		"topics.json": `{"project_uuid":"p1","name":"t","schema_uuid":"x1","msg_num":-5}{"project_uuid":"p2","name":"t"}{"project_uuid":"p1","name":"a.b"}`,
		"subscriptions.json": `{"project_uuid":"p1","name":"s","topic":"gone"}{"project_uuid":"p1","name":"plain","topic":"t","offset":-3,"push_type":"http_endpoint","push_endpoint":"http://x"}
			{"project_uuid":"p1","name":"strange","topic":"t","push_type":"pigeon"}`,
		"user_registrations.json": `{"uuid":"r1","name":"n","status":"odd"}{"uuid":"r/2","name":"n","status":"pending"}`,
		"service_types.json":      `{"name":"web","uuid":"s1","hosts":["h"],"auth_types":["x509"],"auth_method":"headers","type":"web-api"}{"name":"ams","uuid":"s2","hosts":["h"],"auth_types":["x509","oidc"],"auth_method":"api-key","type":"ams"}{"name":"ams","uuid":"s3","hosts":["h"],"auth_types":["x509"],"auth_method":"api-key","type":"ams"}`,
		"auth_methods.json":       `{"service_uuid":"s1","port":1,"host":"h","type":"api-key","uuid":"m1"}{"service_uuid":"s2","port":1,"host":"h","type":"api-key","uuid":"m2","access_key":"x"}{"service_uuid":"s2","port":1,"host":"h","type":"api-key","uuid":"m3"}`,
		"bindings.json": `{"name":"b1","service_uuid":"s1","host":"h","auth_identifier":"CN=a","uuid":"b1","auth_type":"x509","unique_key":"u1"}
			{"name":"b2","service_uuid":"s2","host":"h","auth_identifier":"CN=a","uuid":"b2","auth_type":"x509","uniquekey":"u1","unique_key":"u2"}
			{"name":"b3","service_uuid":"s2","host":"h","auth_identifier":"cn=A","uuid":"b3","auth_type":"x509","unique_key":"u1"}
			{"name":"b2","service_uuid":"s2","host":"h","auth_identifier":"CN=b","uuid":"b4","auth_type":"x509","unique_key":"u1"}
			{"name":"b5","service_uuid":"s2","host":"h","auth_identifier":"sub-5","uuid":"b5","auth_type":"oidc","unique_key":"u1"}
			{"name":"b6","service_uuid":"s2","host":"h","auth_identifier":"nothing","uuid":"b6","auth_type":"x509","unique_key":"u1"}
			{"name":"b7","service_uuid":"s2","host":"h","auth_identifier":"CN=c","uuid":"b7","auth_type":"x509","unique_key":"u9"}`,
	}, "")
	require.Equal(t, map[string]string{
		"projects": "1/1/3", "users": "4/0/2", "schemas": "0/0/4", "topics": "1/0/2", "subscriptions": "2/0/1", "registrations": "0/0/2",
		"service types": "1/0/2", "authentication methods": "1/0/2", "bindings": "3/0/4",
	}, counts, strings.Join(notes, "\n"))
	all := strings.Join(notes, "\n") + "\n"
	for _, want := range []string{
		`a document of projects is not taken: json: cannot unmarshal number into Go struct field project.uuid of type string (uuid 5)`,
		`project "TAKEN": not taken, there is another one of that name; nothing of it is`,
		`project "a.b": not taken, its name has other characters than letters, digits, - and _, or is too long; nothing of it is`,
		`project "Q": not taken, its uuid cannot be one; nothing of it is`,
		`user "a": it has no token of 64 hexadecimal digits, and has to be given one: POST /v1/users/NAME:refreshToken`,
		`user "a": its part in project "p2" is left out: the project is not here, or named twice`,
		`user "a": the role "owner" is left out: there is none`,
		`user "c": somebody else has its token, and it has to be given another one: POST /v1/users/NAME:refreshToken`,
		`user "d": somebody else has its token, and it has to be given another one: POST /v1/users/NAME:refreshToken`,
		`user "here": not taken, there is another one of that name`,
		`schema "P.worse": not taken, "xml" is no kind of schema`,
		`schema "lost": not taken, its project "p2" is not here`,
		`topic "P.t": its schema is not here, so that it takes no message until it is given another one, or POST .../topics/t:detachSchema`,
		`subscription "P.s": not taken, its topic "gone" is not here`,
		`subscription "P.plain": it is to be pulled here: where it was pushed to is no https address, or of the unknown kind "http_endpoint"`,
		`registration "r1": not taken, "odd" is no state`,
		`service type "web": not taken, tokens are given for services of the type ams`,
		`service type "ams": its users are known by certificates alone here`,
		`service type "ams": not taken, there is another one of that name`,
		`authentication method of "h": not taken, its service, or the host of that, is not here`,
		`authentication method of "h": not taken, the host has one`,
		`binding "b1": not taken, its service, or the host of that, is not here`,
		`binding "b2": it was changed to stand for user "u2", which the service has not noticed; it stands for "u1" as before`,
		`binding "b3": not taken, there is another one for that subject`,
		`binding "b2": not taken, there is another one of that name`,
		`binding "b5": not taken, it is for nobody with a certificate`,
		`binding "b6": "nothing" is the subject of no certificate, and nobody will be known by it`,
		`binding "b7": its user "u9" is not here, and nobody will be given a token by it`,
	} {
		require.Contains(t, all, want+"\n")
	}
	require.Nil(t, p.directory.UserByToken(t.Context(), token("6")))
	require.Equal(t, "b", p.directory.UserByToken(t.Context(), token("5")).Name)
	require.Equal(t, "here", p.directory.UserByToken(t.Context(), own).Name)
	_, told, err := p.directory.RefreshToken(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "a", p.directory.UserByToken(t.Context(), told).Name)
}

// A topic that was here before keeps its numbers, and a subscription that comes later begins within them.
func TestATopicThatIsHereAlready(t *testing.T) {
	p := newPlace(t)
	p.take(whole(), "")
	counts, notes := p.take(export{
		"projects.json":      whole()["projects.json"],
		"subscriptions.json": `{"project_uuid":"p-1","name":"late","topic":"metrics","offset":5000,"ack":10}`,
	}, "")
	require.Equal(t, "1/0/0", counts["subscriptions"], notes)
	require.Empty(t, notes)
	late := p.directory.Subscription(t.Context(), resource.Name{Project: "EGI", Name: "late"})
	require.Equal(t, p.directory.Topic(t.Context(), resource.Name{Project: "EGI", Name: "metrics"}).First, late.Start)
}

// A store that is away ends it, and what was taken stays.
func TestTheStoreIsAway(t *testing.T) {
	p := newPlace(t)
	p.registry.Break(gateway.Errorf(gateway.Unavailable, "away"))
	_, err := whole().read(t, "").Import(t.Context(), migrate.Config{Directory: p.directory, ValidRole: func(string) bool { return true }})
	require.Equal(t, gateway.Unavailable, gateway.KindOf(err))
	p.registry.Break(nil)
	p.take(whole(), "")
	require.NotNil(t, p.directory.UserByToken(t.Context(), token("2")))
}
