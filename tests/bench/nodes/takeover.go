package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
)

// backlog is how many messages wait while their shard changes its owner, and backlogBody their size in bytes.
const (
	backlog     = 1_000_000
	backlogBody = 256
	deep        = "/queue/deep"
)

// takeover measures how long a queue with a backlog is without an owner: for who waits for a message at another node, and for who sends one
// there. Then all is read and counted.
func takeover(ctx context.Context, sluice, dir, way string, leave func(c *cluster, owner int) error) error {
	c, err := startCluster(ctx, sluice, filepath.Join(dir, way), 1)
	if err != nil {
		return err
	}
	defer c.stop()
	owner, err := c.owner()
	if err != nil {
		return err
	}
	if err := fill(c.address(owner)); err != nil {
		return fmt.Errorf("to fill the queue: %w", err)
	}
	survivor := (owner + 1) % size
	before := c.memory(survivor)
	left := time.Now()
	if err := leave(c, owner); err != nil {
		return err
	}
	sent := make(chan error, 1)
	var sentAfter time.Duration
	go func() {
		err := send(c.address((owner+2)%size), backlog)
		sentAfter = time.Since(left)
		sent <- err
	}()
	first, again, err := drain(c.address(survivor))
	if err != nil {
		return fmt.Errorf("after the owner %s: %w", way, err)
	}
	if err := <-sent; err != nil {
		return err
	}
	fmt.Printf("| the owner was %s | %.2f s | %.2f s | %d | %d MiB | %d MiB |\n", way,
		first.Sub(left).Seconds(), sentAfter.Seconds(), again, before>>10, c.memory(survivor)>>10)
	return nil
}

// killed and drained are ways in which an owner leaves.
func killed(c *cluster, owner int) error { return c.cmds[owner].Process.Kill() }

func drained(c *cluster, owner int) error {
	out, err := exec.Command(c.sluice, "drain", "--data-dir", c.dirs[owner]).CombinedOutput()
	if err != nil {
		return fmt.Errorf("drain: %w\n%s", err, out)
	}
	return nil
}

func dial(address string) (*stomp.Conn, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return stomp.Connect(conn, stomp.ConnOpt.HeartBeat(0, 0))
}

// send sends the message of a number and waits for its receipt.
func send(address string, number uint64) error {
	conn, err := dial(address)
	if err != nil {
		return err
	}
	defer conn.MustDisconnect()
	return conn.Send(deep, "", numbered(number), stomp.SendOpt.Receipt, persistent)
}

func numbered(number uint64) []byte {
	body := make([]byte, backlogBody)
	binary.BigEndian.PutUint64(body, number)
	return body
}

func persistent(f *frame.Frame) error {
	f.Header.Set("persistent", "true")
	return nil
}

// fill sends the backlog; its last message has a receipt, and so has all before it.
func fill(address string) error {
	conn, err := dial(address)
	if err != nil {
		return err
	}
	defer conn.MustDisconnect()
	for i := range uint64(backlog - 1) {
		if err := conn.Send(deep, "", numbered(i), persistent); err != nil {
			return err
		}
	}
	return conn.Send(deep, "", numbered(backlog-1), stomp.SendOpt.Receipt, persistent)
}

// drain reads the backlog and the message after it in order, and says when the first one came and how many came once more.
func drain(address string) (first time.Time, again int, err error) {
	conn, err := dial(address)
	if err != nil {
		return first, 0, err
	}
	defer conn.MustDisconnect()
	sub, err := conn.Subscribe(deep, stomp.AckClient)
	if err != nil {
		return first, 0, err
	}
	patience := time.NewTimer(time.Minute)
	for next := uint64(0); next <= backlog; {
		select {
		case m := <-sub.C:
			if m == nil || m.Err != nil {
				return first, again, fmt.Errorf("%v at %d", m, next)
			}
			if first.IsZero() {
				first = time.Now()
			}
			switch number := binary.BigEndian.Uint64(m.Body); {
			case number == next:
				next++
			case number < next:
				again++
			default:
				return first, again, fmt.Errorf("%d came where %d is due", number, next)
			}
			if next%500 == 0 || next > backlog {
				if err := conn.Ack(m); err != nil {
					return first, again, err
				}
			}
			patience.Reset(time.Minute)
		case <-patience.C:
			return first, again, fmt.Errorf("nothing came for a minute, %d are missing", backlog+1-next)
		}
	}
	return first, again, nil
}

// memory is the most that a node has had in memory, in KiB.
func (c *cluster) memory(i int) int {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmds[i].Process.Pid))
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(bytes.TrimSpace(status))
	if m == nil {
		return 0
	}
	kib, _ := strconv.Atoi(string(m[1]))
	return kib
}
