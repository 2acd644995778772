package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

// stepWithin bounds each step of the self-test.
const stepWithin = 5 * time.Second

// SelfTest proves that the node works: every shard stores, delivers and settles a message, wherever its owner is; its journal
// has current copies; a topic delivers; and the doors that are open speak.
func (d *duty) SelfTest(ctx context.Context, w io.Writer) error {
	t := trial{w: w}
	broker := d.life.node.broker
	session, err := broker.Open(ctx, gateway.Login{Protocol: ownSession, Remote: "self-test"})
	if err != nil {
		return fmt.Errorf("opening a session: %w", err)
	}
	defer session.Close()
	store := d.life.node.store
	for i := range store.Shards() {
		name := queueOf(i, store.Shards(), d.life.cfg.Node)
		t.step(fmt.Sprintf("shard %d", i), func() (string, error) {
			return roundTrip(ctx, session, gateway.Destination{Kind: gateway.KindQueue, Name: name})
		})
		t.step(fmt.Sprintf("copies of shard %d", i), func() (string, error) { return d.copies(ctx, i) })
	}
	t.step("topic", func() (string, error) {
		return roundTrip(ctx, session, gateway.Destination{Kind: gateway.KindTopic, Name: selfTestName + d.life.cfg.Node})
	})
	for _, o := range d.life.node.listening() {
		if o.protocol == Stomp {
			if d.life.health.leaves() {
				fmt.Fprintf(w, "[ ] stomp on %v: closed, because the node is out of service\n", o.Addr())
				continue
			}
			t.step(fmt.Sprintf("stomp on %v", o.Addr()), func() (string, error) { return greet(ctx, o.Addr()) })
		}
	}
	if t.failed > 0 {
		return fmt.Errorf("%d of %d checks failed", t.failed, t.steps)
	}
	fmt.Fprintf(w, "the node works: %d checks\n", t.steps)
	return nil
}

// trial writes down how steps go.
type trial struct {
	w             io.Writer
	steps, failed int
}

func (t *trial) step(name string, do func() (string, error)) {
	t.steps++
	said, err := do()
	if err != nil {
		t.failed++
		fmt.Fprintf(t.w, "[-] %s: %v\n", name, err)
		return
	}
	fmt.Fprintf(t.w, "[+] %s: %s\n", name, said)
}

// selfTestName is what the names of the destinations begin with.
const selfTestName = "sluice.selftest."

// queueOf names a queue of a shard that no other node's test uses.
func queueOf(shard, shards int, node string) string {
	for i := 0; ; i++ {
		name := fmt.Sprintf("%s%s.%d", selfTestName, node, i)
		if gateway.ShardOf(name, shards) == shard {
			return name
		}
	}
}

// answers is a gateway.Completion that one waits for.
type answers chan error

// Complete implements gateway.Completion.
func (a answers) Complete(_ uint64, err error) { a <- err }

// await returns an answer, how long it took since began, or why there is none.
func (a answers) await(ctx context.Context, what string, began time.Time) (time.Duration, error) {
	select {
	case err := <-a:
		if err != nil {
			return 0, fmt.Errorf("%s: %w", what, err)
		}
		return time.Since(began).Round(10 * time.Microsecond), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(stepWithin):
		return 0, fmt.Errorf("%s: no answer within %v", what, stepWithin)
	}
}

// roundTrip sends a message, receives it and, from a queue, acknowledges it. What an earlier test left there is acknowledged as well.
func roundTrip(ctx context.Context, session gateway.Session, to gateway.Destination) (string, error) {
	wake := make(chan struct{}, 1)
	sub, err := session.Subscribe(gateway.SubscribeOptions{Destination: to, Prefetch: 100, Wake: func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		return "", fmt.Errorf("subscribing: %w", err)
	}
	defer sub.Close()
	m := &gateway.Message{Destination: to, Persistent: to.Kind == gateway.KindQueue, Body: []byte("sluice selftest")}
	began, sent := time.Now(), make(answers, 1)
	session.Send(m, sent, 0)
	stored, err := sent.await(ctx, "storing", began)
	if err != nil {
		return "", err
	}
	tags, err := receive(ctx, sub, wake, m.ID)
	if err != nil {
		return "", err
	}
	delivered := time.Since(began).Round(10 * time.Microsecond)
	if to.Kind == gateway.KindTopic {
		return fmt.Sprintf("delivered after %v", delivered), nil
	}
	began, settled := time.Now(), make(answers, 1)
	sub.Ack(tags, settled, 0)
	acknowledged, err := settled.await(ctx, "acknowledging", began)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("stored in %v, delivered after %v, acknowledged in %v", stored, delivered, acknowledged), nil
}

// receive takes deliveries until the message with the id has come, and returns the tags of all.
func receive(ctx context.Context, sub gateway.Subscription, wake <-chan struct{}, id string) ([]uint64, error) {
	deadline := time.After(stepWithin)
	var tags []uint64
	batch := make([]gateway.Delivery, 16)
	for {
		n := sub.Next(batch, 1<<20)
		sub.Written(n)
		for _, d := range batch[:n] {
			tags = append(tags, d.Tag)
			if d.Message.ID == id {
				return tags, nil
			}
		}
		if n > 0 {
			continue
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-deadline:
			return nil, fmt.Errorf("receiving: the message did not come within %v", stepWithin)
		}
	}
}

// mostBehind is how far a copy may be behind, in operations: under load each is a little.
const mostBehind = 5000

// copies wants all copies of a shard's journal to be current, and this node's above all.
func (d *duty) copies(ctx context.Context, shard int) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stepWithin)
	defer cancel()
	var names, behind []string
	all, err := d.life.node.store.Copies(ctx, shard)
	if err != nil {
		return "", err
	}
	for _, c := range all {
		names = append(names, c.Node)
		if c.Offline || c.Lag > mostBehind {
			behind = append(behind, fmt.Sprintf("%s (%d operations)", c.Node, c.Lag))
		}
	}
	if len(behind) > 0 {
		return "", errors.New("behind: " + strings.Join(behind, ", "))
	}
	return "current on " + strings.Join(names, ", "), nil
}

// greet logs in as a STOMP client would and wants a frame for an answer: CONNECTED, or the refusal of a client
// without a name.
func greet(ctx context.Context, addr net.Addr) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stepWithin)
	defer cancel()
	began := time.Now()
	c, err := (&net.Dialer{}).DialContext(ctx, addr.Network(), addr.String())
	if err != nil {
		return "", err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if _, err := io.WriteString(c, "CONNECT\naccept-version:1.2\nhost:selftest\n\n\x00"); err != nil {
		return "", err
	}
	command, err := bufio.NewReader(io.LimitReader(c, 1<<16)).ReadString('\n')
	command = strings.TrimSpace(command)
	if err != nil || command != "CONNECTED" && command != "ERROR" {
		return "", fmt.Errorf("the answer to CONNECT is %q: %w", command, err)
	}
	return fmt.Sprintf("answers %s in %v", command, time.Since(began).Round(10*time.Microsecond)), nil
}
