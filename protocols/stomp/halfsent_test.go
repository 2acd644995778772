package stomp

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// crowd serves many connections over pipes within a bubble of false time: what is written to one of them was read from it.
type crowd struct {
	t      *testing.T
	server *Server
	broker *fakeBroker
}

func gather(t *testing.T, memory *Memory) *crowd {
	t.Helper()
	b := newFakeBroker()
	s, err := newServer(Config{Broker: b, Memory: memory, Limits: Limits{Body: 1 << 20}})
	require.NoError(t, err)
	return &crowd{t, s, b}
}

// join logs a user in. Each comes with a way to leave, which waits for the connection's end.
func (c *crowd) join(user, beats string) (*client, func()) {
	c.t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer theirs.Close()
		c.server.ServeConn(context.Background(), theirs)
	}()
	leave := func() {
		ours.Close()
		<-done
	}
	c.t.Cleanup(leave)
	cl := &client{t: c.t, nc: ours, r: bufio.NewReader(ours)}
	cl.send("CONNECT\naccept-version:1.2\nheart-beat:" + beats + "\nlogin:" + user + "\n\n^")
	cl.expect("CONNECTED")
	return cl, leave
}

// write writes a head and n bytes after it from elsewhere, and counts those that were read.
func (c *client) write(head string, n int, read *atomic.Int64) (written chan error) {
	written = make(chan error, 1)
	go func() {
		var err error
		for all := head + strings.Repeat("b", n); len(all) > 0 && err == nil; {
			piece := all[:min(len(all), 1<<10)]
			all = all[len(piece):]
			if _, err = io.WriteString(c.nc, piece); err == nil && read != nil {
				read.Add(int64(len(piece)))
			}
		}
		written <- err
	}()
	return written
}

const wholeLarge = 1 << 20

// large is a frame up to its body of 1 MiB.
func largeHead(receipt string) string {
	return fmt.Sprintf("SEND\ndestination:/queue/a\nreceipt:%s\ncontent-length:%d\n\n", receipt, wholeLarge)
}

// However many connections send the larger part of a large frame and then nothing more, they hold no more than there is for all of them
// together, and somebody else can send.
func TestHalfSentFramesAreBoundedTogether(t *testing.T) {
	const most, connections = 8 << 20, 60
	body := strings.Repeat("b", 900<<10)
	for name, half := range map[string]string{
		"counted":    largeHead("r") + body,
		"to the NUL": "SEND\ndestination:/queue/a\n\n" + body,
		"header":     "SEND\n" + strings.Repeat("h:"+strings.Repeat("v", 9<<10)+"\n", 90),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := gather(t, NewMemory(most, 0))
				var read atomic.Int64
				for range connections {
					cl, _ := c.join("greedy", "0,0")
					cl.write(half, 0, &read)
				}
				synctest.Wait()
				require.Less(t, read.Load(), int64(most/2+connections*(128<<10)))
				require.LessOrEqual(t, c.held(), int64(most/2), "half at most")
				other, _ := c.join("other", "0,0")
				written := other.write(largeHead("mine"), wholeLarge, nil)
				require.NoError(t, <-written)
				other.send("^")
				require.Equal(t, "mine", other.expect("RECEIPT").get("receipt-id"))
			})
		})
	}
}

// held is what frames have of the memory for them.
func (c *crowd) held() (n int64) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	for conn := range c.server.conns {
		conn.in.mu.Lock()
		if l := conn.in.frame; l != nil {
			n += l.share.Size()
		}
		conn.in.mu.Unlock()
	}
	return n
}

// Who waits for memory has our heart-beats, and his own are not missed. Who keeps others waiting has the time that a frame takes at the slowest
// pace, and then an ERROR; the one who waited goes on.
func TestWhoIsSlowEndsWhenOthersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := gather(t, NewMemory(2<<20, 0))
		began := time.Now()
		slow, _ := c.join("slow", "0,0")
		require.NoError(t, <-slow.write(largeHead("slow"), 100<<10, nil))
		time.Sleep(time.Second)
		also, _ := c.join("also", "0,0")
		require.NoError(t, <-also.write(largeHead("also"), 100<<10, nil))
		waits, _ := c.join("waits", "1000,1000")
		_, _ = waits.r.ReadByte() // the end of CONNECTED
		written := waits.write(largeHead("late"), wholeLarge, nil)
		at, _ := bytesFor(waits, 20*time.Second)
		require.Len(t, at, 28, "heart-beats go on")
		select {
		case err := <-written:
			require.Fail(t, "there is no memory", "%v", err)
		default:
		}
		e := slow.expect("ERROR")
		require.Contains(t, e.get("message"), "too slowly")
		require.Equal(t, frameGrace+16*time.Second, time.Since(began))
		require.NoError(t, <-written)
		waits.send("^")
		require.Equal(t, "late", waits.expect("RECEIPT").get("receipt-id"))
		require.NoError(t, <-also.write("", wholeLarge-100<<10, nil))
		also.send("^")
		require.Equal(t, "also", also.expect("RECEIPT").get("receipt-id"), "nobody waits any more")
	})
}

// Without anybody who waits, a large frame may take all the time of the world.
func TestWhoIsSlowMayBeWhenNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := gather(t, NewMemory(2<<20, 0))
		slow, _ := c.join("slow", "0,0")
		slow.send(largeHead("slow"))
		for range 16 {
			require.NoError(t, <-slow.write("", wholeLarge/16, nil))
			time.Sleep(time.Minute)
		}
		slow.send("^")
		require.Equal(t, "slow", slow.expect("RECEIPT").get("receipt-id"))
		synctest.Wait()
		require.Zero(t, c.held())
		require.EqualValues(t, 1<<20, c.server.cfg.Memory.receiving.Share("x").More(2<<20), "all of it is back")
	})
}

// A connection that ends gives back what its frame and its transactions had, also one that waits.
func TestMemoryComesBackWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := gather(t, NewMemory(2<<20, 8<<20))
		var all []func()
		for range 4 {
			cl, leave := c.join("gone", "0,0")
			all = append(all, leave)
			cl.send("BEGIN\ntransaction:t\n\n^")
			for range 4 { // none of which is large itself
				cl.send("SEND\ndestination:/queue/a\ntransaction:t\nreceipt:r\n\n" + strings.Repeat("b", 30<<10) + "^")
				cl.expect("RECEIPT")
			}
			cl.write(largeHead("r"), wholeLarge/2, nil)
		}
		synctest.Wait()
		require.NotZero(t, c.held())
		look := c.server.cfg.Memory.transactions.Share("x")
		require.EqualValues(t, 3584<<10, look.More(8<<20))
		look.Keep(0)
		for _, leave := range all {
			leave()
		}
		require.EqualValues(t, 1<<20, c.server.cfg.Memory.receiving.Share("x").More(2<<20))
		require.EqualValues(t, 4<<20, look.More(8<<20))
	})
}

// What open transactions hold is bounded over all connections; whoever has less than his share is not refused.
func TestOpenTransactionsAreBoundedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, size = 8 << 20, 300 << 10
		c := gather(t, NewMemory(0, most))
		send := "SEND\ndestination:/queue/a\ntransaction:t\nreceipt:r\n\n" + strings.Repeat("b", size) + "^"
		held, refused := 0, 0
		var first *client
		for range 60 {
			cl, _ := c.join("greedy", "0,0")
			if first == nil {
				first = cl
			}
			cl.send("BEGIN\ntransaction:t\n\n^" + send)
			if f := cl.frame(); f.command == "RECEIPT" {
				held += size
			} else {
				require.Contains(t, f.get("message"), fmt.Sprint("may hold ", most, " bytes"))
				refused++
			}
		}
		require.NotZero(t, refused)
		require.Less(t, held, most/2)
		require.Greater(t, held, most/8, "it is not refused before")
		other, _ := c.join("other", "0,0")
		other.send("BEGIN\ntransaction:t\n\n^" + send)
		other.expect("RECEIPT")
		other.send("COMMIT\ntransaction:t\nreceipt:c\n\n^")
		require.Equal(t, "c", other.expect("RECEIPT").get("receipt-id"))

		first.send("ABORT\ntransaction:t\nreceipt:a\n\n^")
		first.expect("RECEIPT")
		first.send("BEGIN\ntransaction:t\n\n^" + send)
		first.expect("RECEIPT")
	})
}
