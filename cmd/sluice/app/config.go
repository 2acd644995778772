package app

// Config is everything that can be set. It is plain data: how it came together
// is load.go's business, whether it makes sense is Validate's.
type Config struct {
	// Node names the node in its cluster and in logs: letters, digits, '-', '_'.
	Node string `yaml:"node"`
	// DataDir holds the store. It belongs to this node alone.
	DataDir    string     `yaml:"data_dir"`
	Durability Durability `yaml:"durability"`
	Listeners  []Listener `yaml:"listeners"`
	// Service adds the three listeners of a broker service.
	Service *Service `yaml:"service"`
	Auth    *Auth    `yaml:"auth"`
	// Audit is how much is written down of what clients do, to the log or to AuditFile.
	Audit     AuditLevel `yaml:"audit"`
	AuditFile File       `yaml:"audit_file"`
	// Cluster is nil on a single node.
	Cluster *Cluster `yaml:"cluster"`
	Store   Store    `yaml:"store"`
	Limits  Limits   `yaml:"limits"`
	Queues  Queues   `yaml:"queues"`
	Topics  Topics   `yaml:"topics"`
	// Policies say how destinations behave; the first that matches one decides.
	Policies []Policy `yaml:"policies"`
	// VirtualTopics say which queues collect what is sent to topics; the first that a queue belongs to counts.
	VirtualTopics []VirtualTopic `yaml:"virtual_topics"`
	Nats          Streams        `yaml:"nats"`
	PubSub        PubSub         `yaml:"pubsub"`
	// TopicDelivery is for clusters.
	TopicDelivery TopicDelivery `yaml:"topic_delivery"`
	Log           Log           `yaml:"log"`
	// DrainGrace comes before a stop or drain does anything but to say so.
	DrainGrace DrainGrace `yaml:"drain_grace"`
	// ShutdownTimeout is how long a stop may take after that, clients' last words included.
	ShutdownTimeout Duration `yaml:"shutdown_timeout"`
}

// Listener is a door. Personality, Errors, ServerHeader, HeartBeatGrace and UserID are for STOMP, over WebSocket as well; Path, Origins and Compression
// for WebSocket.
type Listener struct {
	Protocol Protocol `yaml:"protocol"`
	Address  Address  `yaml:"address"`
	TLS      *TLS     `yaml:"tls"`
	// ProxyProtocol lists the networks of proxies that say by the PROXY protocol who their clients are.
	ProxyProtocol []Network `yaml:"proxy_protocol"`
	// MaxConnections and MaxMessageSize take the place of those in limits; 0 leaves them.
	MaxConnections int         `yaml:"max_connections"`
	MaxMessageSize ByteSize    `yaml:"max_message_size"`
	Path           string      `yaml:"path"`
	Origins        []string    `yaml:"origins"`
	Compression    bool        `yaml:"compression"`
	Personality    Personality `yaml:"personality"`
	// Errors is a part of the personality that may be chosen apart.
	Errors ErrorStyle `yaml:"errors"`
	// ServerHeader is the server header of CONNECTED; {version} stands for ours.
	ServerHeader   string `yaml:"server_header"`
	HeartBeatGrace Grace  `yaml:"heart_beat_grace"`
	// UserID: messages carry the name of who sent them as JMSXUserID.
	UserID bool `yaml:"user_id"`
}

// Cluster says how this node finds the others.
type Cluster struct {
	Name    string    `yaml:"name"`
	Address Address   `yaml:"address"`
	Routes  []Address `yaml:"routes"`
	// Advertise is where other nodes reach Address, if it is somewhere else for them.
	Advertise string `yaml:"advertise"`
	// SecretFile holds what the nodes know one another by.
	SecretFile File `yaml:"secret_file"`
	// Certificate, Key and Authority are files in PEM, and take the secret's place.
	Certificate File `yaml:"certificate"`
	Key         File `yaml:"key"`
	Authority   File `yaml:"authority"`
	// Replicas is on how many nodes a message is kept: 1, 3 or 5.
	Replicas int `yaml:"replicas"`
}

// Store is about what is on disk.
type Store struct {
	// Shards is the number of journals, fixed when the store is made; 0 is the default.
	Shards int `yaml:"shards"`
	// Reserve is the free space below which sends are refused.
	Reserve Reserve `yaml:"reserve"`
}

// Limits are per client unless they say otherwise.
type Limits struct {
	MaxMessageSize ByteSize `yaml:"max_message_size"`
	// MaxConnections is per listener.
	MaxConnections int `yaml:"max_connections"`
	// LoggingIn is how many connections of a listener may be on their way in at once; more wait, in turn by address.
	LoggingIn int `yaml:"logging_in"`
	// LoginTimeout is how long a client may take until it is known.
	LoginTimeout               Duration `yaml:"login_timeout"`
	SubscriptionsPerConnection int      `yaml:"subscriptions_per_connection"`
	TransactionsPerConnection  int      `yaml:"transactions_per_connection"`
	TransactionSize            ByteSize `yaml:"transaction_size"`
	TransactionMessages        int      `yaml:"transaction_messages"`
	// ReceivingMemory is what frames beyond 64 KiB may take while they come, and TransactionMemory what open transactions may
	// hold, each of all STOMP clients together.
	ReceivingMemory   ByteSize `yaml:"receiving_memory"`
	TransactionMemory ByteSize `yaml:"transaction_memory"`
	// Total, PerUser and PerAddress bound what all, each user and each address may have; Quotas are for some users.
	Total      Quota        `yaml:"total"`
	PerUser    Quota        `yaml:"per_user"`
	PerAddress Quota        `yaml:"per_address"`
	Quotas     []NamedQuota `yaml:"quotas"`
}

// Queues is about all queues of the node together.
type Queues struct {
	// Memory holds non-persistent messages before they spill to disk.
	Memory ByteSize `yaml:"memory"`
}

// Topics is about each topic subscriber.
type Topics struct {
	SlowConsumer    SlowConsumer `yaml:"slow_consumer"`
	PendingMessages int          `yaml:"pending_messages"`
	PendingBytes    ByteSize     `yaml:"pending_bytes"`
}

// Streams bound what native NATS clients may keep in streams, buckets and object stores of their own.
type Streams struct {
	// Storage on disk, and Memory, of all of them together; in a cluster every copy on every node counts. Without
	// Storage there are none.
	Storage ByteSize `yaml:"storage"`
	Memory  ByteSize `yaml:"memory"`
	// Streams is how many there may be, Consumers how many each may have.
	Streams   int `yaml:"streams"`
	Consumers int `yaml:"consumers"`
}

// PubSub is about the listeners for HTTP Pub/Sub.
type PubSub struct {
	// ServiceToken may do everything, and is nobody's. Without one the node makes one, and keeps it in its data directory.
	ServiceToken Secret `yaml:"service_token"`
	// TokenKey seals users' tokens, so that they can be shown again; without it each is shown once.
	TokenKey   Secret     `yaml:"token_key"`
	AuthOption AuthOption `yaml:"auth_option"`
	// Retention is for how long the messages of new topics stay.
	Retention Duration `yaml:"retention"`
	// MaxMessageBytes is how long the data of a message may be.
	MaxMessageBytes ByteSize `yaml:"max_message_bytes"`
	Push            Push     `yaml:"push"`
}

// Push says where messages may be pushed to; else to public addresses alone.
type Push struct {
	// AllowPrivateAddresses lets endpoints be in the operator's own networks; AllowedNetworks are reached whatever they are.
	AllowPrivateAddresses bool      `yaml:"allow_private_addresses"`
	AllowedNetworks       []Network `yaml:"allowed_networks"`
	// CA are authorities of endpoints' certificates beside those of the system: files in PEM.
	CA []File `yaml:"ca"`
}

// Log is about the log on standard error.
type Log struct {
	Level  LogLevel  `yaml:"level"`
	Format LogFormat `yaml:"format"`
}

// DefaultDataDir is where a packaged node keeps its store.
const DefaultDataDir = "/var/lib/sluice"

// Default is the configuration of a node to which nothing was said.
func Default() Config {
	return Config{
		Node:       "n1",
		DataDir:    DefaultDataDir,
		Durability: Disk,
		Listeners: []Listener{
			defaultListener(Stomp, Address{"127.0.0.1", 61613}),
			defaultListener(Nats, Address{"127.0.0.1", 4222}),
			defaultListener(Admin, Address{"127.0.0.1", 8161}),
		},
		Limits: Limits{
			MaxMessageSize:             16 * MiB,
			MaxConnections:             10_000,
			LoginTimeout:               seconds(10),
			SubscriptionsPerConnection: 10_000,
			TransactionsPerConnection:  1_000,
			TransactionSize:            24 * MiB,
			TransactionMessages:        10_000,
			ReceivingMemory:            256 * MiB,
			TransactionMemory:          256 * MiB,
			LoggingIn:                  512,
		},
		Audit:           AuditOn,
		Queues:          Queues{Memory: 64 * MiB},
		Topics:          Topics{SlowConsumer: DropOldest, PendingMessages: 100_000, PendingBytes: 32 * MiB},
		Nats:            Streams{Storage: 4 * GiB, Memory: 64 * MiB, Streams: 1_000, Consumers: 1_000},
		PubSub:          PubSub{AuthOption: InHeader, Retention: seconds(7 * 24 * 3600), MaxMessageBytes: 10 * MiB},
		TopicDelivery:   OncePerClient,
		VirtualTopics:   defaultVirtualTopics(),
		Log:             Log{Level: Info, Format: AutoFormat},
		ShutdownTimeout: seconds(10),
	}
}

// devPubSub is where a node listens for HTTP Pub/Sub that is run with --dev: where programs look for a server to try things with.
func devPubSub() Listener { return defaultListener(PubSubProtocol, Address{"127.0.0.1", 8085}) }

func seconds(n int64) Duration { return Duration(n * 1e9) }

// defaultListener is a listener of which only protocol and address were said.
func defaultListener(p Protocol, a Address) Listener {
	l := Listener{Protocol: p, Address: a}
	l.fill()
	return l
}

// fill sets what was not said and means something to the protocol.
func (l *Listener) fill() {
	if l.TLS != nil {
		l.TLS.fill()
	}
	if !l.Protocol.stomp() {
		return
	}
	if l.Personality == "" {
		l.Personality = ActiveMQPersonality
	}
	if l.Errors == "" {
		l.Errors = l.Personality.errors()
	}
	if l.ServerHeader == "" {
		l.ServerHeader = l.Personality.door().ServerHeader("{version}")
	}
	if l.HeartBeatGrace == 0 {
		l.HeartBeatGrace = 2
	}
}

// defaultReplicas is on how many nodes of a cluster a message is kept.
const defaultReplicas = 3
