package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluice-mq/sluice/tests/ports"
)

// cluster is one server, or three in this process.
type cluster struct {
	servers []*server.Server
	options []*server.Options
	conns   []*nats.Conn
}

func startCluster(c *cell) (*cluster, error) {
	cl := &cluster{}
	taken, err := ports.Keep(c.Replicas)
	if err != nil {
		return nil, err
	}
	routes := ""
	for _, p := range taken {
		routes += fmt.Sprintf("nats://127.0.0.1:%d,", p)
	}
	for i := range c.Replicas {
		o := &server.Options{
			ServerName: fmt.Sprintf("n%d", i), StoreDir: filepath.Join(c.Dir, fmt.Sprintf("n%d", i)),
			JetStream: true, DontListen: true, NoLog: true, NoSigs: true, SyncAlways: c.SyncAlways,
			JetStreamMaxMemory: 1 << 33, JetStreamMaxStore: 1 << 38, MaxPending: 256 << 20,
			JetStreamLimits: server.JSLimitOpts{DefaultMaxConsumers: -1},
		}
		if c.Replicas > 1 {
			o.DontListen, o.Host, o.Port = false, "127.0.0.1", server.RANDOM_PORT
			o.Cluster = server.ClusterOpts{Name: "bench", Host: "127.0.0.1", Port: taken[i], PoolSize: 3}
			o.Routes = server.RoutesFromStr(strings.TrimSuffix(routes, ","))
		}
		s, err := server.NewServer(o)
		if err != nil {
			return nil, err
		}
		s.Start()
		cl.options = append(cl.options, o)
		cl.servers = append(cl.servers, s)
	}
	return cl, cl.awaitReady()
}

func (cl *cluster) awaitReady() error {
	return poll(30*time.Second, "JetStream", func() bool {
		for _, s := range cl.servers {
			if !s.JetStreamEnabled() || !s.ReadyForConnections(time.Second) || len(cl.servers) > 1 && !s.JetStreamIsCurrent() {
				return false
			}
		}
		if len(cl.servers) == 1 {
			return true
		}
		for _, s := range cl.servers {
			if s.JetStreamIsLeader() {
				return len(s.JetStreamClusterPeers()) == len(cl.servers)
			}
		}
		return false
	})
}

// connect opens an in-process connection to server i.
func (cl *cluster) connect(i int) (*nats.Conn, error) {
	nc, err := nats.Connect("", nats.InProcessServer(cl.servers[i]), nats.MaxReconnects(0), nats.Timeout(10*time.Second))
	if err != nil {
		return nil, fmt.Errorf("connect to %d: %w", i, err)
	}
	cl.conns = append(cl.conns, nc)
	return nc, nil
}

// connectLeader opens a connection to the server that leads the stream.
func (cl *cluster) connectLeader(stream string) (*nats.Conn, error) {
	i, err := cl.leader(stream, nil)
	if err != nil {
		return nil, err
	}
	return cl.connect(i)
}

// leader waits for a leader of the stream other than one in not.
func (cl *cluster) leader(stream string, not func(int) bool) (int, error) {
	at := 0
	err := poll(30*time.Second, "leader of "+stream, func() bool {
		for i, s := range cl.servers {
			if (not == nil || !not(i)) && s.Running() && (len(cl.servers) == 1 || s.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream)) {
				at = i
				return true
			}
		}
		return false
	})
	return at, err
}

func (cl *cluster) close() {
	for _, nc := range cl.conns {
		nc.Close()
	}
	for _, s := range cl.servers {
		s.Shutdown()
	}
	for _, s := range cl.servers {
		s.WaitForShutdown()
	}
}

// createStream makes a stream and waits for its leader.
func (cl *cluster) createStream(cfg jetstream.StreamConfig) error {
	nc, err := cl.connect(0)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := js.CreateStream(ctx, cfg); err != nil {
		return fmt.Errorf("create %s: %w", cfg.Name, err)
	}
	_, err = cl.leader(cfg.Name, nil)
	return err
}

// api calls the JetStream API and decodes the answer into out.
func api(nc *nats.Conn, subject string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	m, err := nc.Request("$JS.API."+subject, body, 60*time.Second)
	if err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	var e struct {
		Error *struct{ Description string }
	}
	if err := json.Unmarshal(m.Data, &e); err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	if e.Error != nil {
		return fmt.Errorf("%s: %s", subject, e.Error.Description)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(m.Data, out)
}

// poll waits until ok holds.
func poll(limit time.Duration, what string, ok func() bool) error {
	for end := time.Now().Add(limit); !ok(); {
		if time.Now().After(end) {
			return fmt.Errorf("%s: nothing after %v", what, limit)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return nil
}
