package main

import (
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// lone opens one journal in a fresh cluster.
func lone(c *cell) (*cluster, *journals, error) {
	cl, err := startCluster(c)
	if err != nil {
		return nil, nil, err
	}
	m, err := newModel(c, cl, newWindows(c))
	if err != nil {
		return nil, nil, err
	}
	return cl, m.(*journals), m.prepare()
}

// fill stores n messages, round robin over the queues, and leaves them unread.
func fill(c *cell, m *journals, n int) ([]*queue, error) {
	qs := newQueues(c.Queues, c.Shards, &counts{})
	for _, q := range qs {
		if err := m.leave(q); err != nil {
			return nil, err
		}
	}
	for i := range n {
		q := qs[i%len(qs)]
		m.windows[q.shard] <- struct{}{}
		if err := m.send(q, q.body(c.Size)); err != nil {
			return nil, err
		}
	}
	return qs, poll(waitLimit, "receipts", func() bool {
		for _, w := range m.windows {
			if len(w) > 0 {
				return false
			}
		}
		return true
	})
}

// restart starts the only server again, gives the journal a new reader and
// returns how long the start took.
func restart(cl *cluster, j *journal) (time.Duration, error) {
	cl.close()
	begin := time.Now()
	s, err := server.NewServer(cl.options[0])
	if err != nil {
		return 0, err
	}
	s.Start()
	cl.servers, cl.conns = []*server.Server{s}, nil
	if err := cl.awaitReady(); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	nc, err := cl.connect(0)
	if err != nil {
		return 0, err
	}
	j.read, err = newReader(nc, j.name)
	return took, err
}
