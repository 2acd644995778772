package bench

import (
	"context"
	"time"

	"github.com/sluice-mq/sluice/protocols/internal/measure"
)

// Connections is what connecting costs a broker.
type Connections struct {
	Target    string  `json:"target"`
	Count     int     `json:"count"`
	PerSecond float64 `json:"connects_per_second"`
	// Memory is by how much the server's resident memory grew for each connection
	// that was open and idle, in bytes; 0 without a server's process.
	Memory int64 `json:"memory_per_connection"`
}

// Connect opens n connections, each logged in and with one subscription, so many
// at a time, holds them for some time, and closes them all.
func Connect(ctx context.Context, t Target, n, atOnce int, hold time.Duration) (Connections, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	before := measure.ResidentMemory(t.ServerPID)
	start := time.Now()
	type opened struct {
		c   *conn
		err error
	}
	numbers, results := make(chan int), make(chan opened)
	for range min(atOnce, n) {
		go func() {
			for i := range numbers {
				c, err := connectIdle(ctx, t, i)
				results <- opened{c, err}
			}
		}()
	}
	go func() {
		defer close(numbers)
		for i := range n {
			numbers <- i
		}
	}()
	var first error
	all := make([]*conn, 0, n)
	defer func() { closeAll(all) }()
	for range n {
		o := <-results
		if o.err != nil {
			if first == nil {
				first = o.err
				cancel()
			}
			continue
		}
		all = append(all, o.c)
	}
	if first != nil {
		return Connections{}, first
	}
	connected := time.Since(start)
	select { // heart-beats go to and fro meanwhile
	case <-ctx.Done():
	case <-time.After(hold):
	}
	res := Connections{Target: t.Name, Count: n, PerSecond: rate(n, int64(connected))}
	if before > 0 {
		res.Memory = (measure.ResidentMemory(t.ServerPID) - before) / int64(n)
	}
	return res, nil
}

// connectIdle logs in and subscribes to a topic on which nothing comes.
func connectIdle(ctx context.Context, t Target, n int) (*conn, error) {
	c, err := dial(ctx, t, n, MinSize)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(loginTime))
	if err := c.ask("SUBSCRIBE\nid:0\nreceipt:0\nack:auto\ndestination:/topic/bench.idle\n\n\x00", "RECEIPT"); err != nil {
		_ = c.Close()
		return nil, err
	}
	_ = c.SetDeadline(time.Time{})
	if t.HeartBeat > 0 {
		c.beat(t.HeartBeat / 2)
	}
	return c, nil
}
