package main

import (
	"fmt"
	"os"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// purgeEvery is how many drained messages are removed from a park at once.
const purgeEvery = 8192

// park is where model D keeps what nobody reads: a limits stream beside the
// shard. A message is copied there, then its original is acknowledged.
type park struct {
	ws      *workShard
	name    string
	app     *appender
	read    *reader
	control *nats.Conn
	count   atomic.Int64 // parked and not yet drained
	copying atomic.Int64
}

func newPark(cl *cluster, c *cell, ws *workShard) (*park, error) {
	k := &park{ws: ws, name: "PARK" + ws.name[1:]}
	err := cl.createStream(jetstream.StreamConfig{
		Name: k.name, Subjects: []string{k.name + ".>"}, Storage: jetstream.FileStorage, Replicas: c.Replicas, AllowDirect: true,
	})
	if err != nil {
		return nil, err
	}
	conns := [3]*nats.Conn{}
	for i := range conns {
		if conns[i], err = cl.connectLeader(k.name); err != nil {
			return nil, err
		}
	}
	if k.app, err = newAppender(conns[0], k.copied); err != nil {
		return nil, err
	}
	k.control = conns[1]
	k.read, err = newReader(conns[2], k.name)
	return k, err
}

// add copies a message; its original is acknowledged when the copy is stored.
func (k *park) add(q *queue, m *nats.Msg) error {
	k.copying.Add(1)
	return k.app.append(k.name+".m."+q.name, m.Data, pending{q: q, body: []byte(m.Reply)})
}

func (k *park) copied(p pending, _ uint64, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "park:", err)
		os.Exit(1)
	}
	if err := k.ws.nc.Publish(string(p.body), nil); err != nil {
		fmt.Fprintln(os.Stderr, "ack:", err)
	}
	k.count.Add(1)
	k.copying.Add(-1)
}

// drain delivers what is parked and removes it.
func (k *park) drain(q *queue) error {
	subject := k.name + ".m." + q.name
	next, unpurged := uint64(1), 0
	for k.count.Load() > 0 || k.copying.Load() > 0 {
		if k.count.Load() == 0 {
			continue
		}
		got, err := k.read.batch(next, readChunk, subject)
		if err != nil {
			return err
		}
		for _, s := range got {
			q.sink(s.data, false)
			next = s.seq + 1
		}
		k.count.Add(-int64(len(got)))
		unpurged += len(got)
		if unpurged < purgeEvery && k.count.Load() > 0 {
			continue
		}
		if err := api(k.control, "STREAM.PURGE."+k.name, map[string]any{"filter": subject, "seq": next}, nil); err != nil {
			return err
		}
		k.ws.m.goneN.Add(int64(unpurged))
		unpurged = 0
	}
	return nil
}
