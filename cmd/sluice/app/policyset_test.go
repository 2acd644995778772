package app

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/admin"
)

// What is wrong with policies from outside a configuration is said with its place, too.
func TestPoliciesAreReadByThemselves(t *testing.T) {
	all, err := readPolicies("p.yaml", []byte("# two\n- {on: [\"/queue/a\"], redelivery: {delay: 1s}}\n- on: [\"/queue/b\"]\n  nack: drop\n"))
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.EqualValues(t, -1, all[0].Redelivery.Maximum, "what says nothing of a maximum has none")
	require.Equal(t, DropNack, all[1].Nack)
	require.Empty(t, all[0].Place)
	none, err := readPolicies("p.yaml", nil)
	require.NoError(t, err)
	require.Empty(t, none)
	for text, want := range map[string]string{
		"- {on: [\"/queue/a\"]}\n- {nack: drop}\n":                                                   "p.yaml:2:3: policies[1]: has no destinations: on",
		"- on: [\"/queue/a\"]\n  nack: perhaps\n":                                                    `p.yaml:2:9: policies[0].nack: "perhaps" is not dead_letter, requeue or drop`,
		"- on: [\"/queue/a\"]\n  prefech: 2\n":                                                       `p.yaml:2:3: unknown key "prefech" in policies[0], did you mean "prefetch"?`,
		"- {on: [\"/queue/a\"], prefetch: -1}\n- {on: [\"/queue/a\"], limits: {when_full: block}}\n": "p.yaml:1:32: policies[0].prefetch: -1 is not between 0 and 1048576\np.yaml:2:42: policies[1].limits.when_full: has no limit: messages or bytes",
		"policies: []\n":           "p.yaml:1:1: want a list of policies",
		"":                         "p.yaml:1:1: want a list of policies",
		"[]\n":                     "the list has no policies",
		"- {on: [\"/queue/a\"]\n":  "p.yaml:1:",
		"- {on: []}\n---\n- {}\n":  "a second document in the file",
		strings.Repeat("#", 1<<21): "the limit is 1048576",
	} {
		_, err := readPolicies("p.yaml", []byte(text))
		require.ErrorContains(t, err, want, "%.60s", text)
	}
}

// policyYAML has a refused message come back.
const policyYAML = "- {on: [\"/queue/back.>\"], nack: requeue, redelivery: {maximum: 3}}\n"

// Policies that are set while the node runs come before those of its file, stay over a restart and a reload, and can be taken back.
func TestPoliciesSetWhileRunning(t *testing.T) {
	file := write(t, "data_dir: data\npolicies:\n- {on: [\"/queue/back.>\", \"/queue/other\"], nack: drop}\n")
	start := func() *program {
		p := launch(t, free("serve", "--config", file)...)
		p.await("ready")
		return p
	}
	policies := func(args ...string) (int, string, string) {
		return command(nil, append(append([]string{"policy"}, args...), "--data-dir", "data")...)
	}
	p := start()
	require.NoError(t, os.WriteFile("bad.yaml", []byte(policyYAML+"- {on: [\"/queue/a\"], nack: maybe}\n"), 0o600))
	code, _, errs := policies("set", "-f", "bad.yaml")
	require.Equal(t, 1, code)
	require.Contains(t, errs, `bad.yaml:2:28: policies[1].nack: "maybe" is not dead_letter, requeue or drop`)
	_, out, _ := policies("explain", "/queue/back.a")
	require.Contains(t, out, "policy 1 (c.yaml:3)")

	require.NoError(t, os.WriteFile("good.yaml", []byte(policyYAML), 0o600))
	code, out, errs = policies("set", "-f", "good.yaml")
	require.Equal(t, 0, code, errs)
	require.Equal(t, "policies that were set while running are in force before those of the configuration: 1\n", out)
	code, out, errs = policies("list")
	require.Equal(t, 0, code, errs)
	require.Equal(t, "policy 1 (set while running)\n"+`{"nack":"requeue","on":["/queue/back.>"],"redelivery":{"maximum":"3"}}`+
		"\npolicy 2 (c.yaml:3)\n"+`{"nack":"drop","on":["/queue/back.>","/queue/other"]}`+"\n", out)
	s := p.attach("")
	refuse := func(queue, want string) {
		s.say("\nack:", "SUBSCRIBE\nid:1\ndestination:"+queue+"\nack:client-individual\n\n\x00SEND\ndestination:"+queue+"\n\nm\x00")
		id := regexp.MustCompile(`\nack:(.*)\n`).FindStringSubmatch(s.got)[1]
		s.say(want, "NACK\nid:"+id+"\nreceipt:n\n\n\x00")
	}
	refuse("/queue/back.a", "redelivered:true") // by the file it would be gone
	s.end()

	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 0, p.exit())
	p = start()
	_, out, _ = policies("explain", "/queue/back.a")
	require.Contains(t, out, "policy 1 (set while running)")
	require.NoError(t, os.WriteFile(file, []byte("data_dir: data\npolicies:\n\n- {on: [\"/queue/other\"], nack: requeue}\nvirtual_topics: []\n"), 0o600))
	code, out, errs = operate(t, "reload", "data")
	require.Equal(t, 0, code, errs)
	require.Contains(t, out, "virtual_topics")
	_, out, _ = policies("explain", "/queue/other")
	require.Contains(t, out, "policy 2 (c.yaml:4)")
	_, out, _ = policies("explain", "/queue/back.a")
	require.Contains(t, out, "policy 1 (set while running)")
	for range 2 {
		code, out, errs = policies("unset")
		require.Equal(t, 0, code, errs)
		require.Equal(t, "the policies of the configuration alone are in force\n", out)
	}
	_, out, _ = policies("explain", "/queue/back.a")
	require.Contains(t, out, "no policy matches")
}

// attached is a STOMP client that stays.
type attached struct {
	t    *testing.T
	conn net.Conn
	got  string // since the last say
}

// attach connects over STOMP, with a client-id if it is not empty.
func (p *program) attach(clientID string) *attached {
	p.t.Helper()
	c, err := net.DialTimeout("tcp", p.addr["stomp"], soon)
	require.NoError(p.t, err)
	a := &attached{t: p.t, conn: c}
	p.t.Cleanup(func() { _ = c.Close() })
	if clientID != "" {
		clientID = "client-id:" + clientID + "\n"
	}
	a.say("CONNECTED", "CONNECT\naccept-version:1.2\nhost:x\n"+clientID+"\n\x00")
	return a
}

// say sends frames and reads until the answer holds the wanted text and its frame is whole.
func (a *attached) say(want, frames string) {
	a.t.Helper()
	require.NoError(a.t, a.conn.SetDeadline(time.Now().Add(soon)))
	_, err := io.WriteString(a.conn, frames)
	require.NoError(a.t, err)
	a.got = ""
	for b := make([]byte, 4096); ; {
		if _, after, found := strings.Cut(a.got, want); found && strings.Contains(after, "\x00") {
			return
		}
		n, err := a.conn.Read(b)
		require.NoError(a.t, err, "%q", a.got)
		a.got += string(b[:n])
	}
}

// end has the broker know that the client goes.
func (a *attached) end() {
	a.t.Helper()
	a.say("receipt-id:bye", "DISCONNECT\nreceipt:bye\n\n\x00")
	_ = a.conn.Close()
}

// Policies, durable subscriptions and what virtual topics feed are the same on all nodes.
func TestPoliciesAndSubscriptionsAreThoseOfAllNodes(t *testing.T) {
	t.Parallel()
	dirs := threeConfigs(t)
	nodes := launchAll(t, dirs)
	for _, p := range nodes {
		p.await("ready")
	}
	require.NoError(t, os.WriteFile(dirs[0]+".policies", []byte(policyYAML), 0o600))
	code, _, errs := command(nil, "policy", "set", "-f", dirs[0]+".policies", "--data-dir", dirs[0])
	require.Equal(t, 0, code, errs)
	explained := func(dir, want string) {
		require.Eventually(t, func() bool {
			_, out, _ := command(nil, "policy", "explain", "/queue/back.a", "--data-dir", dir)
			return strings.Contains(out, want)
		}, soon, poll)
	}
	for _, dir := range dirs {
		explained(dir, "set while running")
	}
	require.Equal(t, 0, first(command(nil, "policy", "unset", "--data-dir", dirs[1])))
	explained(dirs[2], "no policy matches")

	a := nodes[0].attach("c1")
	a.say("receipt-id:d", "SUBSCRIBE\nid:1\ndestination:/topic/orders\nactivemq.subscriptionName:all\nselector:n > 0\nack:client\nreceipt:d\n\n\x00")
	a.say("receipt-id:v", "SUBSCRIBE\nid:2\ndestination:/queue/Consumer.audit.orders\nack:client\nreceipt:v\n\n\x00")
	a.say("receipt-id:p", "SUBSCRIBE\nid:3\ndestination:/queue/Consumer.audit.site.>\nack:client\nreceipt:p\n\n\x00")
	lists := func(dir string, want ...string) {
		t.Helper()
		require.EventuallyWithT(t, func(t *assert.CollectT) {
			code, out, errs := operate(a.t, "subscriptions", dir)
			require.Equal(t, 0, code, errs)
			for _, w := range want {
				require.Regexp(t, "(?m)^"+w, out)
			}
		}, soon, poll)
	}
	remove := func(dir, name string) string {
		_, out, errs := command(nil, "subscriptions", "delete", name, "--data-dir", dir)
		return out + errs
	}
	nodes[1].ask("receipt-id:r", "SEND\ndestination:/topic/orders\nn:1\npersistent:true\nreceipt:r\n\nm\x00")
	for _, dir := range dirs {
		lists(dir, `c1:all +/topic/orders +n > 0 +1 +1 `, `/queue/Consumer\.audit\.orders +/topic/orders +- +1 +1 `, `/queue/Consumer\.audit\.\{topic\} +/topic/site\.> +- +- +- `)
	}
	for _, dir := range dirs {
		require.Contains(t, remove(dir, "c1:all"), "in use")
		require.Contains(t, remove(dir, "/queue/Consumer.audit.orders"), "in use by 1 consumers")
	}
	a.end()
	lists(dirs[2], `c1:all .* 1 +0 `, `/queue/Consumer\.audit\.orders .* 1 +0 `)
	require.Contains(t, remove(dirs[1], "c1:all"), "the subscription is deleted")
	require.Contains(t, remove(dirs[2], "/queue/Consumer.audit.orders"), "what waits there stays")
	require.Contains(t, remove(dirs[2], "/queue/Consumer.audit.{topic}"), "goes to the queue no more")
	for _, dir := range dirs {
		require.Eventually(t, func() bool {
			_, out, _ := operate(t, "subscriptions", dir)
			return strings.Count(out, "\n") == 1
		}, soon, poll)
		require.Contains(t, remove(dir, "c1:all"), "there is no subscription c1:all")
	}
	nodes[0].ask("m\x00", "SUBSCRIBE\nid:1\ndestination:/queue/Consumer.audit.orders\nack:auto\n\n\x00")
}

// By the admin door the operations are for those whom rules allow them, and what they are about is asked for as well.
func TestPoliciesAndSubscriptionsAreGuarded(t *testing.T) {
	file := write(t, `data_dir: data
auth:
  users:
  - {name: alice, password: alice-secret}
  - {name: bob, password: bob-secret}
  acl:
  - {users: [alice], allow: [all], on: ["/admin/>", "/topic/orders", "/queue/>"]}
  - {users: [bob], allow: [all], on: ["/admin/subscriptions", "/admin/subscription-delete", "/admin/policy-explain"]}
`)
	p := launch(t, free("serve", "--config", file)...)
	p.await("ready")
	post := func(user, operation, body string) (int, string) {
		r, err := http.NewRequest(http.MethodPost, "http://"+p.addr["admin"]+"/operations/"+operation, strings.NewReader(body))
		require.NoError(t, err)
		r.SetBasicAuth(user, user+"-secret")
		res, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer res.Body.Close()
		said, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		why, err := url.QueryUnescape(res.Trailer.Get("Sluice-Error"))
		require.NoError(t, err)
		return res.StatusCode, string(said) + why
	}
	for _, operation := range []string{"policy-set", "policy-unset", "policy-list"} {
		code, _ := post("bob", operation, policyYAML)
		require.Equal(t, http.StatusForbidden, code, operation)
	}
	code, said := post("alice", "policy-set", policyYAML)
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, said, "in force")
	_, said = post("bob", "policy-explain?destination=/queue/back.a", "")
	require.Contains(t, said, "set while running")

	c, err := net.DialTimeout("tcp", p.addr["stomp"], soon)
	require.NoError(t, err)
	defer c.Close()
	a := &attached{t: t, conn: c}
	a.say("CONNECTED", "CONNECT\naccept-version:1.2\nhost:x\nlogin:alice\npasscode:alice-secret\nclient-id:c1\n\n\x00")
	a.say("receipt-id:d", "SUBSCRIBE\nid:1\ndestination:/topic/orders\nactivemq.subscriptionName:all\nreceipt:d\n\n\x00")
	a.say("receipt-id:v", "SUBSCRIBE\nid:2\ndestination:/queue/Consumer.a.orders\nreceipt:v\n\n\x00")
	a.end()
	for _, name := range []string{"c1:all", "/queue/Consumer.a.orders"} {
		_, said = post("bob", "subscription-delete?name="+url.QueryEscape(name), "")
		require.Contains(t, said, "not authorized")
		require.Eventually(t, func() bool { // its client is gone in a moment
			_, said = post("alice", "subscription-delete?name="+url.QueryEscape(name), "")
			return !strings.Contains(said, "in use")
		}, soon, poll)
		require.Contains(t, said, "name: "+name)
	}
}

// The admin door is open while a node starts, which may take until a majority is there: whoever asks then is told so.
func TestANodeThatStartsSaysSoToItsOperators(t *testing.T) {
	l := &life{node: &node{}}
	l.duty.life = l
	all := l.duty.operations()
	require.Greater(t, len(all), 15)
	for _, o := range all {
		require.ErrorIs(t, o.Do(t.Context(), admin.Call{}, io.Discard), errStarting, o.Name)
	}
}

// Whatever somebody sets is refused or understood, and what is understood makes a table.
func FuzzPolicies(f *testing.F) {
	for _, text := range []string{policyYAML, "- on: [/queue/a]\n  redelivery: {maximum: 2}\n", "[]", "a: b", "- {on: [\"/topic/>\"], retain: {all: true}}", "- &a {on: [x]}\n- *a", "- - -"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := readPolicies("p", text)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		require.NotEmpty(t, all)
		for _, p := range all {
			require.NotEmpty(t, p.On)
			require.GreaterOrEqual(t, table(all).Index(gateway.Destination(p.On[0])), 0)
		}
	})
}
