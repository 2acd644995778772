package bench

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-mq/sluice/protocols/internal/measure"
)

// run is one run of a scenario.
type run struct {
	Scenario
	target Target
	topic  string
	own    int // messages of each connection
}

// Run runs a scenario. What was published must be there, once, whole, and in the order of each connection, or it is an error. Its topic and subscriptions
// are deleted in the end.
func Run(ctx context.Context, t Target, s Scenario) (result Result, err error) {
	each := s.Batch * s.Connections
	s.Messages = (s.Messages + each - 1) / each * each
	r := &run{Scenario: s, target: t, topic: fmt.Sprintf("bench-%d", time.Now().UnixMicro()), own: s.Messages / s.Connections}
	c, err := dial(ctx, t)
	if err != nil {
		return Result{}, err
	}
	defer c.Close()
	if status, answer, err := c.do(post, "/projects/"+t.Project, []byte(`{}`)); err != nil || status != http.StatusOK && status != http.StatusConflict {
		return Result{}, said("making the project", status, answer, err)
	}
	defer func() { err = errors.Join(err, r.clean(c)) }()
	if err := r.prepare(c); err != nil {
		return Result{}, err
	}
	meter, times := measure.NewMeter(t.ServerPID), make([][]time.Duration, s.Connections)
	conns := make([]*conn, s.Connections)
	for i := range conns {
		if conns[i], err = dial(ctx, t); err != nil {
			return Result{}, err
		}
		defer conns[i].Close()
	}
	work := map[string]func(*conn, int) ([]time.Duration, error){Publish: r.publish, Consume: r.consume, Empty: r.empty}[s.Does]
	all, _ := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() {
		for _, c := range conns {
			_ = c.Close()
		}
	})
	defer stop()
	meter.Begin()
	for i, c := range conns {
		all.Go(func() (err error) {
			times[i], err = work(c, i)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return Result{}, err
	}
	meter.End()
	if s.Does == Publish {
		if err := r.verify(c); err != nil {
			return Result{}, err
		}
	}
	h := measure.NewHistogram()
	for _, one := range times {
		for _, d := range one {
			measure.Note(h, d.Nanoseconds())
		}
	}
	usage := meter.Usage()
	return Result{Target: t.Name, Scenario: s, Rate: float64(s.Messages) / usage.Elapsed.Seconds(), Request: measure.QuantilesOf(h), Usage: usage}, nil
}

func said(what string, status int, answer []byte, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: status %d: %s", what, status, answer)
}

// ask makes a request that must succeed.
func (c *conn) ask(what, method, path string, body []byte) ([]byte, error) {
	status, answer, err := c.do(method, path, body)
	if err != nil || status != http.StatusOK {
		return nil, said(what, status, answer, err)
	}
	return answer, nil
}

func (r *run) topicPath() string { return "/projects/" + r.target.Project + "/topics/" + r.topic }

func (r *run) subscriptionPath(i int) string {
	return fmt.Sprintf("/projects/%s/subscriptions/%s-%d", r.target.Project, r.topic, i)
}

// prepare makes the topic, a subscription for each connection, and the messages that are to be pulled.
func (r *run) prepare(c *conn) error {
	if _, err := c.ask("making the topic", put, r.topicPath(), nil); err != nil {
		return err
	}
	of, _ := json.Marshal(map[string]any{"topic": "projects/" + r.target.Project + "/topics/" + r.topic, "ackDeadlineSeconds": 600})
	for i := range r.Connections {
		if _, err := c.ask("making a subscription", put, r.subscriptionPath(i), of); err != nil {
			return err
		}
	}
	if r.Does != Consume {
		return nil
	}
	fill := *r
	fill.Batch = min(1000, r.own)
	for done := 0; done < r.own; done += fill.Batch {
		fill.Batch = min(fill.Batch, r.own-done)
		if _, err := c.ask("publishing", post, r.topicPath()+":publish", fill.request(0, done)); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) clean(c *conn) error {
	var all error
	for i := range r.Connections {
		_, err := c.ask("deleting a subscription", remove, r.subscriptionPath(i), nil)
		all = errors.Join(all, err)
	}
	_, err := c.ask("deleting the topic", remove, r.topicPath(), nil)
	return errors.Join(all, err)
}

// request is one with the messages of a connection from a number on.
func (r *run) request(who, first int) []byte {
	data := make([]byte, r.Size)
	for i := range data {
		data[i] = byte(i)
	}
	b := make([]byte, 0, r.Batch*(base64.StdEncoding.EncodedLen(r.Size)+64))
	b = append(b, `{"messages":[`...)
	for i := range r.Batch {
		if i > 0 {
			b = append(b, ',')
		}
		binary.BigEndian.PutUint32(data, uint32(who))
		binary.BigEndian.PutUint32(data[4:], uint32(first+i))
		b = append(b, `{"attributes":{"kind":"bench"},"data":"`...)
		b = append(base64.StdEncoding.AppendEncode(b, data), `"}`...)
	}
	return append(b, `]}`...)
}

// publish is what a connection does.
func (r *run) publish(c *conn, who int) (times []time.Duration, err error) {
	path := r.topicPath() + ":publish"
	for done := 0; done < r.own; done += r.Batch {
		body := r.request(who, done)
		began := time.Now()
		answer, err := c.ask("publishing", post, path, body)
		if err != nil {
			return nil, err
		}
		times = append(times, time.Since(began))
		if n := bytes.Count(answer, []byte(`"`))/2 - 1; n != r.Batch {
			return nil, fmt.Errorf("%d ids for %d messages: %s", n, r.Batch, answer)
		}
	}
	return times, nil
}

// consume is what another one does.
func (r *run) consume(c *conn, who int) (times []time.Duration, err error) {
	seen := make([]int, 1)
	for got := 0; got < r.own; {
		began := time.Now()
		n, err := r.pull(c, who, r.Batch, seen)
		if err != nil {
			return nil, err
		}
		times = append(times, time.Since(began))
		if got += n; n == 0 {
			return nil, fmt.Errorf("%d messages are missing", r.own-got)
		}
	}
	if n, err := r.pull(c, who, r.Batch, seen); n != 0 || err != nil {
		return nil, errors.Join(fmt.Errorf("%d more than all messages came", n), err)
	}
	return times, nil
}

// verify reads what was published.
func (r *run) verify(c *conn) error {
	seen := make([]int, r.Connections)
	for got := 0; got < r.Messages; {
		n, err := r.pull(c, 0, 1000, seen)
		if err != nil {
			return err
		}
		if got += n; n == 0 {
			return fmt.Errorf("%d messages were lost", r.Messages-got)
		}
	}
	if n, err := r.pull(c, 0, 1000, seen); n != 0 || err != nil {
		return errors.Join(fmt.Errorf("%d more than all messages came", n), err)
	}
	return nil
}

// marks of an answer's parts: it is not read as JSON in general, which would cost more than what is measured.
var (
	ackMark  = []byte(`"ackId":`)
	dataMark = []byte(`"data":`)
)

// pull pulls and acknowledges messages, and holds them against those that came before of each publisher.
func (r *run) pull(c *conn, who, batch int, seen []int) (n int, err error) {
	answer, err := c.ask("pulling", post, r.subscriptionPath(who)+":pull", fmt.Appendf(nil, `{"maxMessages":"%d","returnImmediately":"true"}`, batch))
	if err != nil {
		return 0, err
	}
	acks := []byte(`{"ackIds":[`)
	for rest := answer; ; n++ {
		var id, data []byte
		if id, rest = after(rest, ackMark); id == nil {
			break
		}
		if data, rest = after(rest, dataMark); data == nil {
			return n, fmt.Errorf("a message without data: %.200s", answer)
		}
		if err := r.check(data, seen); err != nil {
			return n, err
		}
		if n > 0 {
			acks = append(acks, ',')
		}
		acks = append(append(append(acks, '"'), id...), '"')
	}
	if n == 0 {
		return 0, nil
	}
	_, err = c.ask("acknowledging", post, r.subscriptionPath(who)+":acknowledge", append(acks, `]}`...))
	return n, err
}

// after is the text behind a mark, and the rest behind that.
func after(b, mark []byte) (text, rest []byte) {
	i := bytes.Index(b, mark)
	if i < 0 {
		return nil, nil
	}
	b = bytes.TrimLeft(b[i+len(mark):], " ")
	if len(b) == 0 || b[0] != '"' {
		return nil, nil
	}
	end := bytes.IndexByte(b[1:], '"')
	if end < 0 {
		return nil, nil
	}
	return b[1 : 1+end], b[2+end:]
}

func (r *run) check(data []byte, seen []int) error {
	var stamp [9]byte
	if len(data) != base64.StdEncoding.EncodedLen(r.Size) {
		return fmt.Errorf("data of another length: %.100s", data)
	}
	if _, err := base64.StdEncoding.Decode(stamp[:], data[:12]); err != nil {
		return fmt.Errorf("data that is not base64: %.100s", data)
	}
	who, number := int(binary.BigEndian.Uint32(stamp[:])), int(binary.BigEndian.Uint32(stamp[4:]))
	if who >= len(seen) || seen[who] != number {
		return fmt.Errorf("message %d of connection %d came where %v are due", number, who, seen)
	}
	seen[who]++
	return nil
}

// empty pulls where nothing is.
func (r *run) empty(c *conn, who int) (times []time.Duration, err error) {
	for range r.own {
		began := time.Now()
		n, err := r.pull(c, who, r.Batch, make([]int, r.Connections))
		if err != nil || n > 0 {
			return nil, errors.Join(fmt.Errorf("%d messages came", n), err)
		}
		times = append(times, time.Since(began))
	}
	return times, nil
}
