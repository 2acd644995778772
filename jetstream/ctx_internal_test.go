package jetstream

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/jetstream/embed"
)

// mute is a connection to a server where nobody answers who asks for records of a stream, as after the end of its leader.
func mute(t *testing.T, stream string) (nc *nats.Conn, asked chan struct{}) {
	nc, err := open(t).cfg.Server.Connect(embed.Users, "mute")
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	asked = make(chan struct{}, 16)
	_, err = nc.Subscribe("$JS.API.DIRECT.GET."+stream, func(*nats.Msg) { asked <- struct{}{} })
	require.NoError(t, err)
	return nc, asked
}

// soon fails the test if f takes nearly as long as a stream may take to answer.
func soon(t *testing.T, f func()) {
	t.Helper()
	began := time.Now()
	f()
	require.Less(t, time.Since(began), readTimeout/2)
}

// A reader whose request ends does not wait until the stream answers.
func TestReadersWaitNoLongerThanTheyWant(t *testing.T) {
	nc, asked := mute(t, "L_one")
	s := &Store{cfg: Config{Cluster: &Cluster{Nodes: 3, Replicas: 3}}}
	l := newTopicLog(&logs{store: s, read: newReaders(reader{nc: nc}), following: t.Context()}, "P.T", gateway.LogFact{ID: "one"})
	ctx, cancel := context.WithCancel(t.Context())
	read := make(chan error, 1)
	go func() { // waited for below
		f := filling{log: l, page: &gateway.LogPage{}, query: gateway.LogQuery{Messages: 1, Bytes: 1}, next: 1, last: 9}
		read <- f.run(ctx)
	}()
	<-asked
	cancel()
	soon(t, func() { require.ErrorIs(t, <-read, context.Canceled) })
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	soon(t, func() {
		_, err := l.since(ctx, time.Now(), logState{last: 9})
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// Nor does a store that is closed wait for messages that it was to load.
func TestLoadsEndWithTheStore(t *testing.T) {
	nc, asked := mute(t, "Q_one")
	l := newLoads([]reader{{nc: nc}})
	told := make(chan error, 1)
	l.push(load{&journal{stream: "Q_one"}, "q", []uint64{1}, func(_ []*gateway.Message, err error) { told <- err }})
	<-asked
	soon(t, func() {
		l.close()
		require.Error(t, <-told)
	})
}

// Nor does anybody wait for another one who reads the facts.
func TestNobodyWaitsForAnotherOneWhoReadsFacts(t *testing.T) {
	nc, asked := mute(t, factsStream)
	r := &registry{store: &Store{reader: reader{nc: nc}}, reading: make(chan struct{}, 1), facts: make(map[string]fact), next: 1}
	patient, enough := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { gone <- r.CatchUp(patient) }() // waited for below
	<-asked
	soon(t, func() {
		hasty, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, r.CatchUp(hasty), context.DeadlineExceeded)
		enough()
		require.ErrorIs(t, <-gone, context.Canceled)
	})
}
