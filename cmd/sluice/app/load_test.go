package app

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/deploy"
	"github.com/sluice-mq/sluice/protocols/stomp"
)

// write makes a configuration file and goes to its directory, so that it has a short name.
func write(t *testing.T, text string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("c.yaml", []byte(text), 0o600))
	return "c.yaml"
}

func flags(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	cmd := serveCommand(Process{})
	cmd.RunE = func(*cobra.Command, []string) error { return nil }
	cmd.SetArgs(args)
	require.NoError(t, cmd.Execute())
	return cmd.Flags()
}

func load(t *testing.T, s Sources) Config {
	t.Helper()
	c, _, err := Load(s)
	require.NoError(t, err)
	return c
}

func TestNothingSaidIsTheDefault(t *testing.T) {
	require.Equal(t, Default(), load(t, Sources{}))
	require.Equal(t, Default(), load(t, Sources{File: write(t, "")}))
	require.Equal(t, Default(), load(t, Sources{File: write(t, "# nothing\n---\nlimits:\nstore: {}\n")}))
	require.Empty(t, Validate(Default()))
}

func TestDevKeepsItsDataHere(t *testing.T) {
	want := Default()
	want.DataDir = "./data"
	want.Listeners = append(want.Listeners, defaultListener(PubSubProtocol, Address{"127.0.0.1", 8085}))
	require.Equal(t, want, load(t, Sources{Dev: true, Flags: flags(t, "--dev")}))
	require.Equal(t, "/x", load(t, Sources{Dev: true, Environ: []string{"SLUICE_DATA_DIR=/x"}}).DataDir)
	require.Equal(t, "/y", load(t, Sources{Dev: true, Environ: []string{"SLUICE_DATA_DIR=/x"}, Flags: flags(t, "--data-dir", "/y")}).DataDir)
}

func TestTheLeastFile(t *testing.T) {
	c := load(t, Sources{File: write(t, `
node: n7
data_dir: /srv/sluice
durability: disk
listeners:
  - {protocol: stomp, address: 127.0.0.1:61613}
  - {protocol: admin, address: 127.0.0.1:8161}
cluster:
  name: c1
  address: 127.0.0.1:6222
  routes: [127.0.0.1:6223, 127.0.0.1:6224]
`)})
	want := Default()
	want.Node, want.DataDir = "n7", "/srv/sluice"
	want.Listeners = []Listener{want.Listeners[0], want.Listeners[2]}
	want.Cluster = &Cluster{
		Name: "c1", Address: Address{"127.0.0.1", 6222},
		Routes: []Address{{"127.0.0.1", 6223}, {"127.0.0.1", 6224}}, Replicas: 3,
	}
	require.Equal(t, want, c)
}

// TestPrecedence says every key in the file, in the environment or both, and the
// keys that have one by flag.
func TestPrecedence(t *testing.T) {
	file := write(t, `
limits: {login_timeout: 1s, transaction_size: 2KiB, max_connections: 3}
log: {level: debug, format: json}
data_dir: /file
cluster: {name: file, address: "127.0.0.1:1", routes: ["127.0.0.1:2"]}
`)
	environ := []string{
		"SLUICE_LIMITS_LOGIN_TIMEOUT=4s", "SLUICE_LOG_LEVEL=warn", "SLUICE_DATA_DIR=/environment", "SLUICE_LIMITS_TRANSACTION_SIZE=",
		"SLUICE_CLUSTER_ROUTES=127.0.0.1:3, 127.0.0.1:4", "SLUICE_CLUSTER_REPLICAS=1", "SLUICE_QUEUES_MEMORY=1MiB",
		"SLUICE_LISTENERS=stomp=127.0.0.1:5,stomp=127.0.0.1:6", "PATH=/bin", "SLUICE_CONFIG=elsewhere",
	}
	c, warnings, err := Load(Sources{File: file, Environ: environ, Flags: flags(t, "--data-dir=/flag")})
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, Duration(4e9), c.Limits.LoginTimeout, "environment over file")
	require.Equal(t, 2*KiB, c.Limits.TransactionSize, "an empty variable says nothing")
	require.Equal(t, 3, c.Limits.MaxConnections, "file over default")
	require.Equal(t, Log{Warn, JSONFormat}, c.Log)
	require.Equal(t, "/flag", c.DataDir, "flag over environment")
	require.Equal(t, MiB, c.Queues.Memory, "environment over default")
	require.Equal(t, &Cluster{Name: "file", Address: Address{"127.0.0.1", 1}, Routes: []Address{{"127.0.0.1", 3}, {"127.0.0.1", 4}}, Replicas: 1}, c.Cluster)
	require.Equal(t, []Listener{
		defaultListener(Stomp, Address{"127.0.0.1", 5}), defaultListener(Stomp, Address{"127.0.0.1", 6}),
	}, c.Listeners)
}

func TestListenFlagOverridesByProtocol(t *testing.T) {
	file := write(t, `
listeners:
  - {protocol: stomp, address: "127.0.0.1:1", errors: strict, heart_beat_grace: 1.5}
  - {protocol: stomp, address: "127.0.0.1:2"}
  - {protocol: nats, address: "127.0.0.1:3"}
`)
	c := load(t, Sources{File: file, Flags: flags(t, "--listen", "stomp=127.0.0.1:4", "--listen", "admin=127.0.0.1:5")})
	strict := Listener{Protocol: Stomp, Address: Address{"127.0.0.1", 4}, Personality: ActiveMQPersonality, Errors: StrictErrors, ServerHeader: stomp.ActiveMQ.ServerHeader("{version}"), HeartBeatGrace: 1.5}
	require.Equal(t, []Listener{
		defaultListener(Nats, Address{"127.0.0.1", 3}), strict, defaultListener(Admin, Address{"127.0.0.1", 5}),
	}, c.Listeners)
}

// Clients choose their dialect by the beginning of the server header, and what errors do belongs to the personality.
func TestAPersonalityFillsInTheRest(t *testing.T) {
	for personality, want := range map[Personality]struct {
		begins string
		errors ErrorStyle
	}{
		"": {"ActiveMQ/", ActiveMQErrors}, ActiveMQPersonality: {"ActiveMQ/", ActiveMQErrors},
		RabbitMQPersonality: {"RabbitMQ/", ActiveMQErrors}, ArtemisPersonality: {"ActiveMQ-Artemis/", ActiveMQErrors},
		ApolloPersonality: {"apache-apollo/", StrictErrors}, StrictPersonality: {"Sluice/", StrictErrors},
	} {
		key := ""
		if personality != "" {
			key = ", personality: " + string(personality)
		}
		l := load(t, Sources{File: write(t, "listeners:\n  - {protocol: stomp, address: \"127.0.0.1:1\""+key+", user_id: true}\n"), Flags: flags(t)}).Listeners[0]
		require.True(t, strings.HasPrefix(l.ServerHeader, want.begins), l.ServerHeader)
		require.Equal(t, want.errors, l.Errors)
		settings := stompConfig(l, Default(), &node{}, nil)
		require.Equal(t, l.Personality.door(), settings.Personality)
		require.Equal(t, want.errors == StrictErrors, settings.Errors == stomp.FatalErrors)
		require.True(t, settings.UserID)
	}
	both := load(t, Sources{File: write(t, "listeners:\n  - {protocol: stomp, address: \"127.0.0.1:1\", personality: strict, errors: activemq, server_header: x}\n"), Flags: flags(t)}).Listeners[0]
	require.Equal(t, stomp.LenientErrors, both.Errors.door())
	require.Equal(t, "x", both.ServerHeader)
}

func TestEveryKeyCanBeSaidByTheEnvironment(t *testing.T) {
	samples := map[string]string{
		"node": "n2", "data_dir": "/d", "durability": "relaxed", "listeners": "nats=127.0.0.1:9", "store.reserve": "1GiB",
		"cluster.name": "c", "cluster.address": "127.0.0.1:7", "cluster.routes": "127.0.0.1:8", "cluster.replicas": "5",
		"service.tls.client_auth": "required", "service.tls.ocsp": "required", "service.tls.min_version": "1.3", "audit": "commands", "auth.acl_mode": "union",
		"cluster.secret_file": "/s", "cluster.advertise": "h:1", "cluster.certificate": "/c", "cluster.key": "/k", "cluster.authority": "/a",
		"topics.slow_consumer": "disconnect", "drain_grace": "3s", "topic_delivery": "cluster", "pubsub.auth_option": "both", "pubsub.push.allowed_networks": "10.0.0.0/8", "log.level": "error", "log.format": "text",
	}
	seen := map[string]string{}
	for _, l := range leaves(reflect.TypeFor[Config](), "") {
		require.Empty(t, seen[l.env()], "two keys share a variable")
		seen[l.env()] = l.path
		if l.typ.Kind() == reflect.Slice && !isScalar(l.typ.Elem()) && l.path != "listeners" {
			require.ErrorContains(t, checkWord(l.typ, "x"), "in a file only")
			continue
		}
		sample, ok := samples[l.path]
		if !ok {
			sample = "17"
			if l.typ.Kind() == reflect.Bool {
				sample = "true"
			}
			if l.typ == reflect.TypeFor[Duration]() {
				sample = "17s"
			}
			if l.typ == reflect.TypeFor[ByteSize]() {
				sample = "17KiB"
			}
		}
		one := &loading{sources: Sources{Environ: []string{l.env() + "=" + sample}}, doc: &document{}, origins: map[string]string{}}
		c := decodeOnly(t, one)
		got, ok := lookup(reflect.ValueOf(c), l.path)
		require.True(t, ok, l.path)
		fallback, ok := lookup(reflect.ValueOf(Default()), l.path)
		if ok {
			require.NotEqual(t, fallback.Interface(), got.Interface(), l.path)
		} else {
			require.False(t, got.IsZero(), l.path)
		}
	}
}

func TestUnknownVariablesAreWarnedOf(t *testing.T) {
	_, warnings, err := Load(Sources{Environ: []string{"SLUICE_DATADIR=/x", "SLUICE_FAVOURITE_COLOUR=blue", "HOME=/"}})
	require.NoError(t, err)
	require.Equal(t, []string{
		`environment variable SLUICE_DATADIR means nothing, did you mean SLUICE_DATA_DIR?`,
		`environment variable SLUICE_FAVOURITE_COLOUR means nothing`,
	}, warnings)
}

func TestWarningsOfOpenDoors(t *testing.T) {
	_, warnings, err := Load(Sources{File: write(t, `
durability: relaxed
listeners:
  - {protocol: stomp, address: ":61613"}
  - {protocol: nats, address: "[::1]:4222"}
  - {protocol: admin, address: "10.0.0.1:8161"}
auth: {anonymous: true}
`)})
	require.NoError(t, err)
	require.Equal(t, []string{
		"ANONYMOUS ACCESS: the stomp listener :61613 can be reached from other machines, and whoever connects may read and write everything",
		`durability is "relaxed": a power cut may lose persistent messages whose receipts were sent`,
	}, warnings)
}

func TestTheDeliveredFileIsSoundAndEmpty(t *testing.T) {
	require.Equal(t, Default(), load(t, Sources{File: write(t, deploy.Example())}))
}

// TestTheDeliveredFileShowsEveryDefault takes every "#" away: then each key must
// be said, and what is said must be the default.
func TestTheDeliveredFileShowsEveryDefault(t *testing.T) {
	commented := regexp.MustCompile(`(?m)^( *)#(\S.*|  \S.*)$`)
	text := commented.ReplaceAllStringFunc(deploy.Example(), func(line string) string {
		return strings.Replace(line, "#", "", 1)
	})
	doc := readDocument("sluice.yaml", []byte(text))
	require.Empty(t, doc.problems)
	for _, l := range leaves(reflect.TypeFor[Config](), "") {
		if section, _, _ := strings.Cut(l.path, "."); section != "cluster" && section != "auth" && section != "service" {
			require.Contains(t, doc.at, l.path)
		}
	}
	require.Equal(t, Default(), load(t, Sources{File: write(t, text)}))
}

// section is a section of the delivered file that has no defaults, as somebody would uncomment it.
func section(t *testing.T, name string) string {
	found := regexp.MustCompile(`(?m)^#   (` + name + `:\n)((?:#     .*\n)+)`).FindStringSubmatch(deploy.Example())
	require.Len(t, found, 3)
	return found[1] + regexp.MustCompile(`(?m)^#     `).ReplaceAllString(found[2], "  ")
}

// shown demands that a section names every key of a type, and of those below it.
func shown(t *testing.T, section string, of reflect.Type) {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || isScalar(of) {
		return
	}
	for i := range of.NumField() {
		if key(of.Field(i)) == noKey {
			continue
		}
		require.Contains(t, section, key(of.Field(i))+":")
		if of.Field(i).Type != reflect.TypeFor[*TLS]() {
			shown(t, section, of.Field(i).Type)
		}
	}
}

func TestTheDeliveredClusterIsSound(t *testing.T) {
	text := section(t, "cluster")
	c := load(t, Sources{File: write(t, text)})
	require.Equal(t, &Cluster{
		Name: "c1", Address: Address{"127.0.0.1", 6222},
		Routes: []Address{{"127.0.0.1", 6223}, {"127.0.0.1", 6224}}, SecretFile: "/etc/sluice/secret", Replicas: 3,
	}, c.Cluster)
	shown(t, text, reflect.TypeFor[Cluster]())
}

func TestTheDeliveredIdentitiesAreSound(t *testing.T) {
	text := section(t, "auth")
	c := load(t, Sources{File: write(t, text)})
	require.Equal(t, []string{"ops"}, c.Auth.Users[0].Groups)
	require.Equal(t, FirstMatch, c.Auth.ACLMode)
	require.Len(t, c.Auth.ACL, 3)
	shown(t, text, reflect.TypeFor[Auth]())
}

func TestTheDeliveredServiceIsSound(t *testing.T) {
	text := section(t, "service")
	c := load(t, Sources{File: write(t, text+section(t, "auth"))})
	var at []string
	for _, l := range c.Listeners {
		at = append(at, string(l.Protocol)+" "+l.Address.String())
	}
	require.Equal(t, []string{"nats 127.0.0.1:4222", "admin 127.0.0.1:8161", "stomp 0.0.0.0:61013", "stomp 0.0.0.0:61023", "websocket 0.0.0.0:61033"}, at)
	require.Nil(t, c.Listeners[2].TLS)
	require.Equal(t, TLSVersion("1.2"), c.Listeners[3].TLS.MinVersion)
	require.NotNil(t, c.Listeners[4].TLS)
	shown(t, text, reflect.TypeFor[Service]())
}

func TestTheDeliveredTLSIsSound(t *testing.T) {
	text := section(t, "listeners")
	c := load(t, Sources{File: write(t, text+section(t, "auth"))})
	require.Equal(t, OptionalClientAuth, c.Listeners[0].TLS.ClientAuth)
	shown(t, text, reflect.TypeFor[TLS]())
}

func TestAFileThatIsNotThere(t *testing.T) {
	_, _, err := Load(Sources{File: filepath.Join(t.TempDir(), "none.yaml")})
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "read the configuration: ")
}

// decodeOnly is Load without the checks.
func decodeOnly(t *testing.T, l *loading) Config {
	t.Helper()
	l.viper = viper.New()
	l.defaults()
	require.NoError(t, l.viper.MergeConfigMap(l.doc.values))
	require.Empty(t, l.environment())
	require.Empty(t, l.problems)
	c, err := l.decode()
	require.NoError(t, err)
	return c
}
