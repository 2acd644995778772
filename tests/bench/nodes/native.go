package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluice-mq/sluice/tests/ports"
)

// serveNative is a nats-server as it comes, but for sync always: words are the node's name, its directory, the port of clients
// and those of the routes, its own first.
func serveNative(ctx context.Context, words string) error {
	w := strings.Split(words, ",")
	port, err := strconv.Atoi(w[2])
	if err != nil {
		return err
	}
	opts := &server.Options{
		ServerName: w[0], Host: "127.0.0.1", Port: port, NoSigs: true, JetStream: true, StoreDir: w[1], SyncAlways: true,
		Cluster: server.ClusterOpts{Name: "native", Host: "127.0.0.1"},
	}
	if opts.Cluster.Port, err = strconv.Atoi(w[3]); err != nil {
		return err
	}
	for _, p := range w[3:] {
		opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats-route", Host: "127.0.0.1:" + p})
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	s.Start()
	<-ctx.Done()
	s.Shutdown()
	return nil
}

// native is three of them, and clients.
type native struct {
	cmds  []*exec.Cmd
	conns []*nats.Conn
	js    []jetstream.JetStream
	n     int
}

func startNative(ctx context.Context, dir string) (*native, error) {
	n := &native{}
	taken, err := ports.Keep(2 * size)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for i := range size {
		words := []string{fmt.Sprintf("s%d", i+1), filepath.Join(dir, fmt.Sprintf("s%d", i+1)), strconv.Itoa(taken[i])}
		for j := range size {
			words = append(words, strconv.Itoa(taken[size+(i+j)%size]))
		}
		cmd := exec.Command(self, "-native", strings.Join(words, ","))
		cmd.Stderr = os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			n.stop()
			return nil, err
		}
		n.cmds = append(n.cmds, cmd)
	}
	for range 2 { // a publisher and a consumer
		nc, err := nats.Connect(fmt.Sprintf("nats://127.0.0.1:%d", taken[0]), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
		if err == nil {
			var js jetstream.JetStream
			js, err = jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(4096))
			n.conns, n.js = append(n.conns, nc), append(n.js, js)
		}
		if err != nil {
			n.stop()
			return nil, err
		}
	}
	for end := time.Now().Add(startWithin); ; {
		if _, err = n.js[0].AccountInfo(ctx); err == nil {
			return n, nil
		}
		if time.Now().After(end) {
			n.stop()
			return nil, fmt.Errorf("native servers: %w", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// nativeMessages is how many a run has.
const nativeMessages = 200_000

// once publishes to a fresh stream while a consumer takes and acknowledges; the clients are on the stream's leader or not, as it comes.
func (n *native) once(ctx context.Context) (float64, error) {
	n.n++
	name := fmt.Sprintf("S%d", n.n)
	if _, err := n.js[0].CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name}, Replicas: size, Retention: jetstream.WorkQueuePolicy}); err != nil {
		return 0, err
	}
	defer func() { _ = n.js[0].DeleteStream(ctx, name) }()
	consumer, err := n.js[1].CreateConsumer(ctx, name, jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 10_000})
	if err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	got := 0
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		if want := strconv.Itoa(got); string(m.Data()[:len(want)]) != want && got < nativeMessages {
			done <- fmt.Errorf("message %.10q where %d was due", m.Data(), got)
		}
		_ = m.Ack()
		if got++; got == nativeMessages {
			done <- nil
		}
	}, jetstream.PullMaxMessages(5000))
	if err != nil {
		return 0, err
	}
	defer consuming.Stop()
	start := time.Now()
	for i := range nativeMessages {
		body := make([]byte, 1024)
		copy(body, strconv.Itoa(i)+" ")
		if _, err := n.js[0].PublishAsync(name, body, jetstream.WithStallWait(time.Minute)); err != nil {
			return 0, err
		}
	}
	select {
	case <-n.js[0].PublishAsyncComplete():
	case <-time.After(time.Minute):
		return 0, errors.New("PubAcks are missing")
	}
	select {
	case err = <-done:
	case <-time.After(time.Minute):
		err = errors.New("messages are missing")
	}
	return nativeMessages / time.Since(start).Seconds(), err
}

func (n *native) stop() {
	for _, nc := range n.conns {
		nc.Close()
	}
	for _, cmd := range n.cmds {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}
