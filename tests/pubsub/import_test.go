package pubsub

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	nodes "github.com/sluice-mq/sluice/tests/node"
)

// exported writes what the service's databases have of so many sites: each with a user, a token, a topic, a subscription at offset 1,000 and the number of the site, and a binding.
func exported(t testing.TB, sites int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	files := map[string]*strings.Builder{}
	add := func(collection, format string, values ...any) {
		if files[collection] == nil {
			files[collection] = &strings.Builder{}
		}
		fmt.Fprintf(files[collection], format+"\n", values...)
	}
	add("projects", `{"uuid":"p","name":"P","created_on":{"$date":"2020-01-01T00:00:00Z"}}`)
	add("service_types", `{"uuid":"s","name":"ams","hosts":["localhost"],"auth_types":["x509"],"auth_method":"api-key","type":"ams"}`)
	for i := range sites {
		add("users", `{"uuid":"u%d","name":"site%d","token":"%064x","projects":[{"project_uuid":"p","roles":["publisher","consumer"]}],"created_on":{"$date":"2020-01-01T00:00:00Z"}}`, i, i, i+1)
		add("topics", `{"project_uuid":"p","name":"t%d","msg_num":{"$numberLong":"3"},"acl":["u%d"],"created_on":{"$date":"2020-01-01T00:00:00Z"}}`, i, i)
		add("subscriptions", `{"project_uuid":"p","name":"s%d","topic":"t%d","offset":{"$numberLong":"%d"},"ack":10,"acl":["u%d"],"created_on":{"$date":"2020-01-01T00:00:00Z"}}`, i, i, 1000+i, i)
		add("bindings", `{"uuid":"b%d","name":"b%d","service_uuid":"s","host":"localhost","auth_identifier":"CN=site%d,DC=org+DC=example","auth_type":"x509","uniquekey":"u%d"}`, i, i, i, i)
	}
	for collection, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "argo_msg."+collection+".json"), []byte(text.String()), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "roles.json"), []byte("{}"), 0o600))
	return dir
}

// What is imported on one of three nodes is there on all, also while one of them is away and after it comes back: tokens and certificates open, and offsets go on.
func TestThreeNodesImport(t *testing.T) {
	t.Parallel()
	m := authority(t)
	c := nodes.NewCluster(t)
	c.Configure(m.configuration(""))
	c.Launch()
	const sites = 40
	dir := exported(t, sites)
	bring := func(n *nodes.Node, arguments ...string) string {
		t.Helper()
		began := time.Now()
		out, err := n.Command(append([]string{"pubsub", "import", "--data-dir", n.Dir()}, arguments...)...).CombinedOutput()
		require.NoError(t, err, string(out))
		t.Logf("%v: %v", arguments, time.Since(began).Round(time.Millisecond))
		return string(out)
	}
	said := bring(c.Nodes[0], "--dry-run", dir)
	require.Contains(t, said, fmt.Sprintf("users: %d would be taken, 0 there already, 0 not taken\n", sites))
	require.Contains(t, said, "roles.json is passed over: what a role may do is fixed here")
	c.Nodes[2].Kill()
	said = bring(c.Nodes[0], dir)
	for _, kind := range []string{"users", "topics", "subscriptions", "bindings"} {
		require.Contains(t, said, fmt.Sprintf("%s: %d taken, 0 there already, 0 not taken\n", kind, sites))
	}
	c.Nodes[2].Launch()
	c.Nodes[2].AwaitReady()
	for i, n := range c.Nodes {
		m.Node = n
		site, key := i*7, fmt.Sprintf("%064x", i*7+1)
		pair := m.pair(fmt.Sprintf("/DC=org/DC=example/CN=site%d", site))
		code, given, text := m.exchange(pair)
		require.Equal(t, 200, code, text)
		m.Node = c.Nodes[(i+1)%3]
		for k, as := range []string{key, given} {
			var ids struct{ MessageIDs []string }
			require.Eventually(t, func() bool { // until there is a leader of the log
				code, text = m.ask("pubsub", nil, "POST", fmt.Sprintf("/projects/P/topics/t%d:publish", site), as, `{"messages":[{"data":"QQ=="}]}`)
				return code != 503
			}, soon, 50*time.Millisecond)
			require.Equal(t, 200, code, text)
			require.NoError(t, json.Unmarshal([]byte(text), &ids))
			require.Equal(t, []string{fmt.Sprint(1000 + site + k)}, ids.MessageIDs)
		}
		m.Node = c.Nodes[(i+2)%3]
		_, text = m.ask("pubsub", nil, "GET", fmt.Sprintf("/projects/P/subscriptions/s%d:offsets", site), given, "")
		require.JSONEq(t, fmt.Sprintf(`{"max":%d,"min":%d,"current":%d}`, 1002+site, 1000+site, 1000+site), text)
	}
	require.Contains(t, bring(c.Nodes[2], dir), fmt.Sprintf("topics: 0 taken, %d there already, 0 not taken\n", sites))
}

// What a single node imports is there after it was killed; files that cannot be are named.
func TestAnImportOutlivesItsNode(t *testing.T) {
	t.Parallel()
	m := mapping(t, "")
	dir := exported(t, 3)
	run := func(arguments ...string) string {
		t.Helper()
		out, err := m.Command(append(arguments, "--data-dir", m.Dir())...).CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	run("pubsub", "import", dir)
	m.Kill()
	m.Launch()
	m.AwaitReady()
	code, given, said := m.exchange(m.pair("/DC=org/DC=example/CN=site2"))
	require.Equal(t, 200, code, said)
	code, text := m.ask("pubsub", nil, "POST", "/projects/P/topics/t2:publish", given, `{"messages":[{"data":"QQ=="},{"data":"Qg=="}]}`)
	require.Equal(t, 200, code, text)
	require.Contains(t, text, `"1003"`)
	m.Kill()
	m.Launch()
	m.AwaitReady()
	_, text = m.ask("pubsub", nil, "POST", "/projects/P/subscriptions/s2:pull", fmt.Sprintf("%064x", 3), `{"maxMessages":"9"}`)
	require.Contains(t, text, "projects/P/subscriptions/s2:1002")
	require.Contains(t, text, "projects/P/subscriptions/s2:1003")
	for arguments, want := range map[string]string{"/nowhere": "no such file", t.TempDir(): "there is no file of a collection"} {
		out, err := m.Command("pubsub", "import", "--data-dir", m.Dir(), arguments).CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), want)
	}
	bad := filepath.Join(t.TempDir(), "users.json")
	require.NoError(t, os.WriteFile(bad, []byte(`{"uuid":"x"}{"uuid":NumberLong(5)}`), 0o600))
	out, err := m.Command("pubsub", "import", "--data-dir", m.Dir(), bad).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "users.json: document 2: invalid character 'N'")
}
