package app

import (
	"fmt"
	"net"
	"strings"
)

// The bounds of the settings, in one place.
const (
	maxNode         = 64
	maxServerHeader = 256
	maxShards       = 64
	maxMessageSize  = 30 * MiB
	maxConnections  = 1_000_000
	maxCount        = 1_000_000
	maxMemory       = TiB
	// minReceiving is enough for the largest message with its header.
	minReceiving = 32 * MiB
	// minReserve leaves room for settlements after sends are refused.
	minReserve = 16 * MiB
	maxTimeout = Duration(3600 * 1e9)
)

// Validate returns all that makes no sense in a configuration. Each problem
// has the path of its key.
func Validate(c Config) Problems {
	var v validator
	v.name("node", c.Node)
	if c.DataDir == "" {
		v.say("data_dir", "must not be empty")
	}
	if c.Durability == Quorum && c.Cluster == nil {
		v.say("durability", `"quorum" needs a cluster; a single node has "disk" or "relaxed"`)
	}
	if c.Service != nil {
		if _, err := c.Service.base(); err != nil {
			v.say("service.code", "%v", err)
		}
	}
	v.listeners(c.Listeners, c.Nats.Storage)
	v.guarded(c)
	if c.Cluster != nil {
		v.cluster(*c.Cluster)
	}
	count(&v, "store.shards", c.Store.Shards, 0, maxShards)
	if c.Store.Reserve.Fixed {
		count(&v, "store.reserve", c.Store.Reserve.Size, minReserve, maxMemory)
	}
	v.limits(c.Limits)
	v.policies(c.Policies)
	v.virtualTopics(c.VirtualTopics)
	count(&v, "queues.memory", c.Queues.Memory, KiB, maxMemory)
	count(&v, "topics.pending_messages", c.Topics.PendingMessages, 1, maxCount)
	count(&v, "topics.pending_bytes", c.Topics.PendingBytes, KiB, maxMemory)
	count(&v, "nats.storage", c.Nats.Storage, 0, maxMemory)
	count(&v, "nats.memory", c.Nats.Memory, 0, maxMemory)
	count(&v, "nats.streams", c.Nats.Streams, 1, maxCount)
	count(&v, "nats.consumers", c.Nats.Consumers, 1, maxCount)
	v.pubsub(c)
	if c.DrainGrace.Fixed {
		count(&v, "drain_grace", c.DrainGrace.Duration, 0, maxTimeout)
	}
	count(&v, "shutdown_timeout", c.ShutdownTimeout, Duration(1e8), maxTimeout)
	return v.found
}

// validator gathers problems.
type validator struct{ found Problems }

func (v *validator) say(path, format string, args ...any) {
	v.found = append(v.found, problem(path, format, args...))
}

// count wants a number within bounds, which are themselves allowed.
func count[T interface {
	~int | ~int64
}](v *validator, path string, n, least, most T) {
	if n < least || n > most {
		v.say(path, "%v is not between %v and %v", n, least, most)
	}
}

// name wants what can stand in a subject and in a file name.
func (v *validator) name(path, name string) {
	if name == "" || len(name) > maxNode || strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}) {
		v.say(path, "%q is not a name of 1 to %d letters, digits, '-' or '_'", name, maxNode)
	}
}

func (v *validator) listeners(all []Listener, storage ByteSize) {
	if len(all) == 0 {
		v.say("listeners", "at least one is needed")
	}
	addresses := map[Address]int{}
	first := map[Protocol]int{}
	for i, l := range all {
		path := fmt.Sprintf("listeners[%d]", i)
		if l.Protocol == "" {
			v.say(path, "has no protocol")
		}
		if j, twice := first[l.Protocol]; !twice {
			first[l.Protocol] = i
		} else if l.Protocol.native() || l.Protocol == Admin {
			v.say(path+".protocol", "only one %s listener is possible, and listeners[%d] is one", l.Protocol, j)
		}
		if l.Address == (Address{}) {
			v.say(path, "has no address")
			continue
		}
		if j, twice := addresses[l.Address]; twice && l.Address.Port != 0 {
			v.say(path+".address", "%v is already that of listeners[%d]", l.Address, j)
		} else {
			addresses[l.Address] = i
		}
		v.personality(path, l)
		v.transport(path, l, storage)
	}
}

// personality is what only STOMP listeners have.
func (v *validator) personality(path string, l Listener) {
	if !l.Protocol.stomp() {
		for _, k := range []struct {
			key  string
			said bool
		}{
			{"personality", l.Personality != ""}, {"errors", l.Errors != ""}, {"user_id", l.UserID}, {"server_header", l.ServerHeader != ""}, {"heart_beat_grace", l.HeartBeatGrace != 0},
		} {
			if k.said {
				v.say(path+"."+k.key, "only a stomp listener has it")
			}
		}
		return
	}
	if len(l.ServerHeader) > maxServerHeader || strings.ContainsFunc(l.ServerHeader, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		v.say(path+".server_header", "must be one line of at most %d bytes", maxServerHeader)
	}
}

func (v *validator) cluster(c Cluster) {
	v.name("cluster.name", c.Name)
	if c.Address.Port == 0 {
		v.say("cluster.address", "needs a host and a port above 0")
	}
	if _, _, err := net.SplitHostPort(c.Advertise); c.Advertise != "" && err != nil {
		v.say("cluster.advertise", "%q is not host:port", c.Advertise)
	}
	if len(c.Routes) == 0 {
		v.say("cluster.routes", "at least one other node is needed")
	}
	for i, r := range c.Routes {
		if r.Port == 0 || r.Host == "" {
			v.say(fmt.Sprintf("cluster.routes[%d]", i), "needs a host and a port above 0")
		}
	}
	if c.Address.Port != 0 {
		v.trust(c)
	}
	if c.Replicas != 1 && c.Replicas != 3 && c.Replicas != 5 {
		v.say("cluster.replicas", "%d is not 1, 3 or 5", c.Replicas)
	}
}

// trust wants one way for the nodes to know one another, or an address that others do not reach.
func (v *validator) trust(c Cluster) {
	files := 0
	for _, f := range []File{c.Certificate, c.Key, c.Authority} {
		if f != "" {
			files++
		}
	}
	switch {
	case files > 0 && c.SecretFile != "":
		v.say("cluster.secret_file", "a secret and a certificate exclude one another")
	case files > 0 && files < 3:
		v.say("cluster.certificate", "certificate, key and authority go together")
	case files == 0 && c.SecretFile == "" && !c.Address.Loopback():
		v.say("cluster.secret_file", "is needed (or certificate, key and authority), because %v can be reached from other machines", c.Address)
	}
}

func (v *validator) limits(l Limits) {
	count(v, "limits.max_message_size", l.MaxMessageSize, KiB, maxMessageSize)
	count(v, "limits.max_connections", l.MaxConnections, 1, maxConnections)
	count(v, "limits.login_timeout", l.LoginTimeout, Duration(1e8), maxTimeout)
	count(v, "limits.subscriptions_per_connection", l.SubscriptionsPerConnection, 1, maxCount)
	count(v, "limits.transactions_per_connection", l.TransactionsPerConnection, 1, maxCount)
	count(v, "limits.transaction_size", l.TransactionSize, KiB, 24*MiB)
	count(v, "limits.transaction_messages", l.TransactionMessages, 1, maxCount)
	count(v, "limits.receiving_memory", l.ReceivingMemory, minReceiving, maxMemory)
	count(v, "limits.transaction_memory", l.TransactionMemory, KiB, maxMemory)
	count(v, "limits.logging_in", l.LoggingIn, 1, maxConnections)
	v.quota("limits.total", l.Total)
	v.quota("limits.per_user", l.PerUser)
	v.quota("limits.per_address", l.PerAddress)
	for i, q := range l.Quotas {
		path := fmt.Sprintf("limits.quotas[%d]", i)
		if len(q.Users)+len(q.Groups) == 0 {
			v.say(path, "has neither users nor groups")
		}
		v.quota(path+".quota", q.Quota)
	}
}
