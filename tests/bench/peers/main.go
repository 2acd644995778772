// Peers measures this gateway beside Debian's ActiveMQ and RabbitMQ on one machine
// and writes what it saw down as Markdown. Every broker runs with its durable
// default, the runs alternate, and every run verifies what was delivered.
//
//	go run ./tests/bench/peers -sluice bin/sluice -out docs/benchmarks.md
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// settings are the flags.
type settings struct {
	sluice, dir, out string
	runs             int
	brokers, only    []string
}

func main() {
	var s settings
	var brokers, only string
	flag.StringVar(&s.sluice, "sluice", "bin/sluice", "our binary")
	flag.StringVar(&s.dir, "dir", os.TempDir(), "where the brokers keep their data; the disk matters")
	flag.StringVar(&s.out, "out", "", "file to write; standard output if empty, or if only a part is measured")
	flag.IntVar(&s.runs, "runs", 5, "runs of each scenario and broker; the median is shown")
	flag.StringVar(&brokers, "brokers", "sluice,activemq,rabbitmq", "which to measure")
	flag.StringVar(&only, "only", "", "which scenarios to measure, separated by commas; all if empty")
	flag.Parse()
	s.brokers = strings.Split(brokers, ",")
	if only != "" {
		s.only = strings.Split(only, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := s.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func (s settings) run(ctx context.Context) (err error) {
	if s.sluice, err = filepath.Abs(s.sluice); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp(s.dir, "sluice-peers-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	m := &measurement{settings: s}
	for _, name := range s.brokers {
		b, err := newBroker(name, s)
		if err != nil {
			return err
		}
		m.brokers = append(m.brokers, b)
	}
	defer m.stopAll()
	if err := m.measure(ctx); err != nil {
		return err
	}
	text := m.report()
	if s.out == "" || s.only != nil { // a part does not take the place of the whole
		fmt.Print(text)
		return nil
	}
	return os.WriteFile(s.out, []byte(text), 0o644)
}
