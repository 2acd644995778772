package embed

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"slices"

	"github.com/nats-io/nats-server/v2/server"
)

// Cluster says how servers find and trust one another.
type Cluster struct {
	// Name is the same on all nodes.
	Name string
	// Address is where the other nodes connect, "host:port"; with port 0 the system chooses one.
	Address string
	// Advertise is Address as other nodes reach it, "host:port"; empty if it is the same.
	Advertise string
	// Routes are the addresses of the other nodes. One's own among them does no harm.
	Routes []string
	// TLS is mutual: both sides of a route show a certificate and check the other's. Trust makes one
	// of a secret. Without it anybody who reaches Address can join, read and write everything.
	TLS *tls.Config
}

// routeTLSSeconds bounds the handshake of a route.
const routeTLSSeconds = 5

// options puts the cluster into the server's.
func (c *Cluster) options(opts *server.Options) error {
	addr, err := net.ResolveTCPAddr("tcp", c.Address)
	if err != nil {
		return fmt.Errorf("resolving the cluster's address %q: %w", c.Address, err)
	}
	opts.Cluster = server.ClusterOpts{
		Name: c.Name, Host: "0.0.0.0", Port: addr.Port,
		TLSConfig: c.TLS, TLSTimeout: routeTLSSeconds, Advertise: c.Advertise,
		// Nodes know one another by configuration, and clients of this server are none of the others' business.
		NoAdvertise: true,
		// Servers offer their replicas of a stream for reading as soon as they have nearly all of it, and readers
		// would be sent to any of them. A node reads its own: it is as good as the reader believes, and never unreachable.
		Permissions: &server.RoutePermissions{Export: &server.SubjectPermission{Deny: []string{"$JS.API.DIRECT.GET.>"}}},
	}
	if addr.IP != nil {
		opts.Cluster.Host = addr.IP.String()
	}
	if addr.Port == 0 {
		opts.Cluster.Port = server.RANDOM_PORT
	}
	for _, r := range c.Routes {
		opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats-route", Host: r})
	}
	return nil
}

// ClusterAddr is where the other nodes connect, or nil.
func (s *Server) ClusterAddr() *net.TCPAddr { return s.ns.ClusterAddr() }

// Leads reports whether this server leads a stream of the Store account: whether what is stored
// there goes through it. It takes well under a microsecond.
func (s *Server) Leads(stream string) bool {
	return s.ns.JetStreamIsStreamLeader(string(Store), stream)
}

// Current reports whether this server has all of a stream of the Store account, as far as it knows from the one that leads it. While much is
// stored it may be just behind whenever it is asked.
func (s *Server) Current(stream string) bool {
	node := s.group(stream)
	return s.ns.JetStreamIsStreamCurrent(string(Store), stream) && (node == nil || !node.Leaderless())
}

// StepDown gives the lead of a stream to another node that has all of it, if there is one.
func (s *Server) StepDown(stream string) error {
	if err := s.ns.JetStreamStepdownStream(string(Store), stream); err != nil {
		return fmt.Errorf("giving up the lead of %s: %w", stream, err)
	}
	return nil
}

// Peers is the number of nodes that have a route to this one, and itself.
func (s *Server) Peers() int { return len(s.ns.ActivePeers()) }

// Others are the names of the nodes that a route leads to, sorted.
func (s *Server) Others() []string {
	z, err := s.ns.Routez(nil)
	if err != nil {
		return nil
	}
	var all []string
	for _, r := range z.Routes {
		all = append(all, r.RemoteName)
	}
	slices.Sort(all)
	return slices.Compact(all) // there are several routes to each
}

// Firsts are the first sequences of this server's own copies of the Store account's streams.
func (s *Server) Firsts() (map[string]uint64, error) {
	all, err := s.ns.Jsz(&server.JSzOptions{Account: string(Store), Streams: true})
	if err != nil {
		return nil, fmt.Errorf("looking at the copies of the streams: %w", err)
	}
	firsts := make(map[string]uint64)
	for _, a := range all.AccountDetails {
		for _, d := range a.Streams {
			firsts[d.Name] = d.State.FirstSeq
		}
	}
	return firsts, nil
}
