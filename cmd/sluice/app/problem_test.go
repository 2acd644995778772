package app

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// problems loads a file and returns what was said about it.
func problems(t *testing.T, text string) string {
	t.Helper()
	_, _, err := Load(Sources{File: write(t, text)})
	require.IsType(t, Problems{}, err)
	return err.Error()
}

func TestEveryMistakeHasItsPlaceAndWords(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"unknown key":              {"durabilty: disk\n", `c.yaml:1:1: unknown key "durabilty", did you mean "durability"?`},
		"unknown key far from any": {"colour: blue\n", `c.yaml:1:1: unknown key "colour"`},
		"key of another section":   {"node: a\nmax_connections: 7\n", `c.yaml:2:1: unknown key "max_connections", did you mean "limits.max_connections"?`},
		"unknown key in a section": {"limits:\n  login_timout: 1s\n", `c.yaml:2:3: unknown key "login_timout" in limits, did you mean "login_timeout"?`},
		"unknown key in a flow": {
			"listeners:\n  - {protocol: stomp, address: \"127.0.0.1:1\", port: 1}\n",
			`c.yaml:2:47: unknown key "port" in listeners[0]`,
		},
		"key twice":    {"node: a\nnode: b\n", `c.yaml:2:1: node: said twice, first in line 1`},
		"bad word":     {"durability: disc\n", `c.yaml:1:13: durability: "disc" is not disk, quorum or relaxed, did you mean "disk"?`},
		"bad size":     {"limits:\n  max_message_size: huge\n", `c.yaml:2:21: limits.max_message_size: "huge" is not a size (a whole number with B, KiB, MiB, GiB, kB, MB, ...)`},
		"bad duration": {"shutdown_timeout: 10\n", `c.yaml:1:19: shutdown_timeout: "10" is not a duration (such as 500ms, 10s, 1m30s)`},
		"bad number":   {"limits: {max_connections: many}\n", `c.yaml:1:27: limits.max_connections: "many" is not a whole number`},
		"odd number":   {"limits: {max_connections: 010}\n", `c.yaml:1:27: limits.max_connections: "010" is not a whole number`},
		"bad address": {
			"listeners:\n  - protocol: stomp\n    address: 127.0.0.1\n",
			`c.yaml:3:14: listeners[0].address: "127.0.0.1" is not an address (want host:port, such as 127.0.0.1:61613)`,
		},
		"bad grace": {
			"listeners:\n- {protocol: stomp, address: \"localhost:1\", heart_beat_grace: 0.5}\n",
			`c.yaml:2:63: listeners[0].heart_beat_grace: "0.5" is not a factor from 1 to 100`,
		},
		"no value":          {"node:\n", `c.yaml:1:7: node: has no value`},
		"section for value": {"node: {a: b}\n", `c.yaml:1:7: node: want a single value here`},
		"colon unquoted":    {"cluster: {name: c, address: \"localhost:1\", secret_file: f, replicas: 1, routes: [localhost:2]}\n", `c.yaml:1:82: cluster.routes[0]: want a single value here, not a key and its value; between [ and ] a value with a colon has to be in quotes, as "host:port"`},
		"value for section": {"limits: 5\n", `c.yaml:1:9: limits: want keys and values here`},
		"value for list":    {"listeners: 5\n", `c.yaml:1:12: listeners: want a list here`},
		"list for all":      {"- a\n- b\n", `c.yaml:1:1: want keys and values here`},
		"alias":             {"node: &x a\ndata_dir: *x\n", `c.yaml:2:11: data_dir: aliases and tags are not possible here`},
		"second document":   {"node: a\n---\nnode: b\n", `c.yaml:3:1: a second document in the file`},
		"no listeners":      {"listeners: []\n", `c.yaml:1:12: listeners: at least one is needed`},
		"listener unknown":  {"listeners:\n  - protocol: stmp\n    address: \"localhost:1\"\n", `c.yaml:2:15: listeners[0].protocol: "stmp" is not stomp, websocket, nats, nats-websocket, mqtt, pubsub, authn or admin, did you mean "stomp"?`},
		"listener without":  {"listeners:\n  - protocol: stomp\n", `c.yaml:2:5: listeners[0]: has no address`},
		"listener of what":  {"listeners:\n  - address: 127.0.0.1:1\n", `c.yaml:2:5: listeners[0]: has no protocol`},
		"same address":      {"listeners:\n- {protocol: stomp, address: \"localhost:1\"}\n- {protocol: nats, address: \"localhost:1\"}\n", `c.yaml:3:29: listeners[1].address: localhost:1 is already that of listeners[0]`},
		"two of nats":       {"listeners:\n- {protocol: nats, address: \"localhost:1\"}\n- {protocol: nats, address: \"localhost:2\"}\n", `c.yaml:3:14: listeners[1].protocol: only one nats listener is possible, and listeners[0] is one`},
		"not a stomp thing": {"listeners:\n- {protocol: nats, address: \"localhost:1\", errors: strict}\n", `c.yaml:2:52: listeners[0].errors: only a stomp listener has it`},
		"header of lines":   {"listeners:\n- {protocol: stomp, address: \"localhost:1\", server_header: \"a\\nb\"}\n", `c.yaml:2:60: listeners[0].server_header: must be one line of at most 256 bytes`},
		"open to all":       {"listeners:\n- {protocol: stomp, address: \":1\"}\n", `c.yaml:2:30: listeners[0].address: :1 can be reached from other machines, and there is no auth section that says who may come in (auth: {anonymous: true} lets everybody)`},
		"no code":           {"service: {code: \"1\", host: localhost}\n", `c.yaml:1:17: service.code: "1" is not a code of two digits, 00 to 55`},
		"half of a pair":    {"listeners:\n- protocol: stomp\n  address: localhost:1\n  tls: {certificate: c}\n", `c.yaml:4:8: listeners[0].tls: needs a certificate and a key`},
		"trusts nobody":     {"listeners:\n- protocol: stomp\n  address: localhost:1\n  tls: {certificate: c, key: k, client_auth: required}\n", `c.yaml:4:46: listeners[0].tls.client_auth: needs client_ca or client_ca_dir: nobody would be trusted`},
		"no origin":         {"listeners:\n- {protocol: websocket, address: \"localhost:1\", origins: [example.org]}\n", `c.yaml:2:59: listeners[0].origins[0]: "example.org" is no origin, such as https://portal.example.org`},
		"path of stomp":     {"listeners:\n- {protocol: stomp, address: \"localhost:1\", path: /x}\n", `c.yaml:2:51: listeners[0].path: only a websocket listener has it`},
		"nobody can be it":  {"auth: {users: [{name: a}]}\n", `c.yaml:1:16: auth.users[0]: has neither password nor token nor dn: nobody can be it`},
		"two of a name":     {"auth: {users: [{name: a, dn: b}, {name: a, dn: c}]}\n", `c.yaml:1:41: auth.users[1].name: "a" is already auth.users[0]`},
		"two secrets":       {"auth: {users: [{name: a, password: b, password_file: c}]}\n", `c.yaml:1:54: auth.users[0].password_file: password and password_file exclude one another`},
		"rule for nobody":   {"auth: {acl: [{allow: [read], on: [/queue/a]}]}\n", `c.yaml:1:14: auth.acl[0]: has neither users nor groups (groups: ["*"] is everybody)`},
		"any audience":      {"auth: {issuers: [{issuer: i}]}\n", `c.yaml:1:18: auth.issuers[0].audiences: at least one is needed: tokens for other services would be believed`},
		"not a truth":       {"auth: {anonymous: maybe}\n", `c.yaml:1:19: auth.anonymous: "maybe" is not true or false`},
		"a proxy before nats": {"listeners:\n- {protocol: nats, address: \"localhost:1\", proxy_protocol: [10.0.0.0/8]}\n",
			`c.yaml:2:60: listeners[0].proxy_protocol: a nats listener cannot have it: it could not tell its proxies from others who say whose client they are; let clients connect directly`},
		"not a network":       {"listeners:\n- {protocol: stomp, address: \"localhost:1\", proxy_protocol: [10.0.0]}\n", `c.yaml:2:62: listeners[0].proxy_protocol[0]: "10.0.0" is not a network, such as 10.0.0.0/8`},
		"not its personality": {"listeners:\n- {protocol: nats, address: \"localhost:1\", personality: strict}\n", `c.yaml:2:57: listeners[0].personality: only a stomp listener has it`},
		"no user there":       {"listeners:\n- {protocol: nats, address: \"localhost:1\", user_id: true}\n", `c.yaml:2:53: listeners[0].user_id: only a stomp listener has it`},
		"bad node":            {"node: a.b\n", `c.yaml:1:7: node: "a.b" is not a name of 1 to 64 letters, digits, '-' or '_'`},
		"empty data_dir":      {"data_dir: \"\"\n", `c.yaml:1:11: data_dir: must not be empty`},
		"quorum alone":        {"durability: quorum\n", `c.yaml:1:13: durability: "quorum" needs a cluster; a single node has "disk" or "relaxed"`},
		"message too large":   {"limits: {max_message_size: 32MiB}\n", `c.yaml:1:28: limits.max_message_size: 32MiB is not between 1KiB and 30MiB`},
		"too many shards":     {"store: {shards: 65}\n", `c.yaml:1:17: store.shards: 65 is not between 0 and 64`},
		"too small a reserve": {"store: {reserve: 1MiB}\n", `c.yaml:1:18: store.reserve: 1MiB is not between 16MiB and 1TiB`},
		"no time":             {"limits: {login_timeout: 0s}\n", `c.yaml:1:25: limits.login_timeout: 0s is not between 100ms and 1h`},
		"easily guessed":      {"pubsub: {service_token: geheim}\n", `c.yaml:1:25: pubsub.service_token: is shorter than 16 characters: it opens everything, and could be guessed`},
		"more than fits":      {"pubsub: {max_message_bytes: 20MiB}\n", `c.yaml:1:29: pubsub.max_message_bytes: is more than limits.max_message_size`},
		"nowhere to look":     {"pubsub: {auth_option: cookie}\n", `c.yaml:1:23: pubsub.auth_option: "cookie" is not header, both or url`},
		"replicas": {
			"cluster: {name: c, address: \"127.0.0.1:1\", routes: [\"127.0.0.1:2\"], replicas: 2}\n",
			`c.yaml:1:79: cluster.replicas: 2 is not 1, 3 or 5`,
		},
		"an open cluster": {
			"cluster: {name: c, address: \"10.0.0.1:1\", routes: [\"127.0.0.1:2\", \"127.0.0.1:3\"]}\n",
			`c.yaml:1:10: cluster.secret_file: is needed (or certificate, key and authority), because 10.0.0.1:1 can be reached from other machines`,
		},
		"a cluster without address": {
			"cluster: {name: c, address: \":1\", routes: [\"127.0.0.1:2\", \"127.0.0.1:3\"]}\n",
			`c.yaml:1:10: cluster.secret_file: is needed (or certificate, key and authority), because :1 can be reached from other machines`,
		},
		"two ways to trust": {
			"cluster: {name: c, address: \"127.0.0.1:1\", routes: [\"127.0.0.1:2\", \"127.0.0.1:3\"], secret_file: s, certificate: c, key: k, authority: a}\n",
			`c.yaml:1:97: cluster.secret_file: a secret and a certificate exclude one another`,
		},
		"half a certificate": {
			"cluster: {name: c, address: \"127.0.0.1:1\", routes: [\"127.0.0.1:2\", \"127.0.0.1:3\"], certificate: c}\n",
			`c.yaml:1:97: cluster.certificate: certificate, key and authority go together`,
		},
		"cluster of nothing": {
			"cluster: {replicas: 3}\n",
			"c.yaml:1:10: cluster.name: \"\" is not a name of 1 to 64 letters, digits, '-' or '_'\n" +
				"c.yaml:1:10: cluster.address: needs a host and a port above 0\n" +
				"c.yaml:1:10: cluster.routes: at least one other node is needed",
		},
		"a route to nowhere": {
			"cluster: {name: c, address: \"127.0.0.1:1\", routes: [\"127.0.0.1:0\"]}\n",
			`c.yaml:1:53: cluster.routes[0]: needs a host and a port above 0`,
		},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, problems(t, c.file)) })
	}
}

func TestAllMistakesAreReportedInTheOrderOfTheFile(t *testing.T) {
	require.Equal(t, strings.Join([]string{
		`c.yaml:1:7: node: "a b" is not a name of 1 to 64 letters, digits, '-' or '_'`,
		`c.yaml:2:1: unknown key "datadir", did you mean "data_dir"?`,
		`c.yaml:5:14: listeners[0].address: "here" is not an address (want host:port, such as 127.0.0.1:61613)`,
		`c.yaml:6:5: listeners[1]: has no address`,
		`c.yaml:6:23: unknown key "adress" in listeners[1], did you mean "address"?`,
		`c.yaml:8:18: limits.login_timeout: "fast" is not a duration (such as 500ms, 10s, 1m30s)`,
		`c.yaml:9:21: limits.max_message_size: 2GiB is not between 1KiB and 30MiB`,
	}, "\n"), problems(t, `node: a b
datadir: /x
listeners:
  - protocol: stomp
    address: here
  - {protocol: nats,  adress: "127.0.0.1:1"}
limits:
  login_timeout: fast
  max_message_size: 2GiB
`))
}

func TestWhatIsNotYAMLHasAPlace(t *testing.T) {
	require.Regexp(t, `^c\.yaml:2:\d+: not YAML: `, problems(t, "node: a\n\tdata_dir: x\n"))
	require.Regexp(t, `^c\.yaml:1:\d+: not YAML: `, problems(t, "node: [a\n"))
	require.Equal(t, "c.yaml: the file is 1048577 bytes long, the limit is 1048576", problems(t, strings.Repeat("#", 1<<20+1)))
}

func TestMistakesOutsideTheFileNameTheirSource(t *testing.T) {
	_, _, err := Load(Sources{
		File:    write(t, "durability: disc\n"),
		Environ: []string{"SLUICE_LIMITS_MAX_CONNECTIONS=lots", "SLUICE_NODE=a.b", "SLUICE_CLUSTER_ROUTES=x", "SLUICE_LISTENERS=stomp:1"},
		Flags:   flags(t, "--log-level=loud", "--listen=stomp", "--listen=stmp=:1"),
	})
	require.EqualError(t, err, strings.Join([]string{
		`c.yaml:1:13: durability: "disc" is not disk, quorum or relaxed, did you mean "disk"?`,
		`SLUICE_LIMITS_MAX_CONNECTIONS: "lots" is not a whole number`,
		`SLUICE_CLUSTER_ROUTES: "x" is not an address (want host:port, such as 127.0.0.1:61613)`,
		`SLUICE_LISTENERS: "stomp:1" is not protocol=address, such as stomp=127.0.0.1:61613`,
		`--log-level: "loud" is not debug, info, warn or error`,
		`--listen: "stomp" is not protocol=address, such as stomp=127.0.0.1:61613`,
		`--listen: "stmp" is not stomp, websocket, nats, nats-websocket, mqtt, pubsub, authn or admin, did you mean "stomp"?`,
		`SLUICE_NODE: node: "a.b" is not a name of 1 to 64 letters, digits, '-' or '_'`,
	}, "\n"))
	_, _, err = Load(Sources{Flags: flags(t, "--listen=nats=localhost:1", "--listen=nats=localhost:2", "--data-dir=")})
	require.EqualError(t, err, "--data-dir: data_dir: must not be empty\n"+
		"--listen: listeners[3].protocol: only one nats listener is possible, and listeners[2] is one")
}

// FuzzDocument: whatever is in a file, reading it ends, and what has no
// problem decodes.
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{"node: a", "listeners:\n- {protocol: stomp}", "&a [*a]", "? {a: b}\n: c", "limits: !!map {}", "<<: {node: a}", "node: |\n  x\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if doc := readDocument("f.yaml", text); len(doc.problems) == 0 {
			l := &loading{doc: doc, origins: map[string]string{}}
			decodeOnly(t, l)
		}
	})
}
