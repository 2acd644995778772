package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	readChunk   = 256 // sequences read back at once
	scanBatch   = 2048
	readTimeout = 30 * time.Second
)

// reader reads a stream's messages back by direct get. One goroutine uses it. In
// a cluster any replica may answer: answers come in any order and a replica that
// lags does not have the newest sequences yet, so it is asked again.
type reader struct {
	nc     *nats.Conn
	stream string
	inbox  string
	sub    *nats.Subscription
	asked  int // requests so far; the reply's last token
}

type stored struct {
	seq  uint64
	data []byte
}

func newReader(nc *nats.Conn, stream string) (*reader, error) {
	r := &reader{nc: nc, stream: stream, inbox: nats.NewInbox() + "."}
	var err error
	if r.sub, err = nc.SubscribeSync(r.inbox + "*"); err != nil {
		return nil, err
	}
	return r, r.sub.SetPendingLimits(-1, -1)
}

type getRequest struct {
	Seq      uint64 `json:"seq,omitempty"`
	Batch    int    `json:"batch,omitempty"`
	MaxBytes int    `json:"max_bytes,omitempty"`
	Next     string `json:"next_by_subj,omitempty"`
	NoHeader bool   `json:"no_hdr,omitempty"`
}

// ask sends a request and returns its number.
func (r *reader) ask(q getRequest) (int, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return 0, err
	}
	r.asked++
	return r.asked, r.nc.PublishRequest("$JS.API.DIRECT.GET."+r.stream, r.inbox+strconv.Itoa(r.asked), body)
}

// answer waits for one message of an answer. Status 204 ends a batch, 404 is a miss.
func (r *reader) answer() (number int, s stored, status string, err error) {
	m, err := r.sub.NextMsg(readTimeout)
	if err != nil {
		return 0, s, "", err
	}
	if number, err = strconv.Atoi(m.Subject[len(r.inbox):]); err != nil {
		return 0, s, "", err
	}
	s.data = m.Data
	if h := m.Header.Get("Nats-Sequence"); h != "" {
		s.seq, err = strconv.ParseUint(h, 10, 64)
	} else if h := m.Header.Get("Nats-Last-Sequence"); h != "" {
		s.seq, err = strconv.ParseUint(h, 10, 64) // of a batch's end
	}
	switch status = m.Header.Get("Status"); status {
	case "", "204", "404":
	default:
		err = fmt.Errorf("direct get: %s %s", status, m.Header.Get("Description"))
	}
	return number, s, status, err
}

// single reads sequences by one request each, all under way at once.
func (r *reader) single(seqs []uint64) ([][]byte, error) {
	bodies := make([][]byte, len(seqs))
	at := map[int]int{}
	request := func(i int) error {
		n, err := r.ask(getRequest{Seq: seqs[i], NoHeader: true})
		at[n] = i
		return err
	}
	for i := range seqs {
		if err := request(i); err != nil {
			return nil, err
		}
	}
	for end := time.Now().Add(readTimeout); len(at) > 0; {
		n, s, status, err := r.answer()
		i, ok := at[n]
		delete(at, n)
		switch {
		case err != nil:
			return nil, err
		case !ok:
			continue // of an older request
		case status == "404" && time.Now().Before(end):
			if err := request(i); err != nil {
				return nil, err
			}
		case status == "404":
			return nil, fmt.Errorf("%d is gone", seqs[i])
		default:
			bodies[i] = s.data
		}
	}
	return bodies, nil
}

// batch reads up to n messages of a subject from seq on.
func (r *reader) batch(seq uint64, n int, subject string) ([]stored, error) {
	out, _, err := r.collect(getRequest{Seq: seq, Batch: n, Next: subject, MaxBytes: 32 << 20})
	return out, err
}

// span reads up to n records from seq on, without their headers: a journal has
// no holes, so the sequences are known, and the mark at the end confirms the last.
func (r *reader) span(seq uint64, n int) ([]stored, error) {
	out, last, err := r.collect(getRequest{Seq: seq, Batch: n, MaxBytes: 32 << 20, NoHeader: true})
	for i := range out {
		out[i].seq = seq + uint64(i)
	}
	if err == nil && len(out) > 0 && last != out[len(out)-1].seq {
		err = fmt.Errorf("%d records from %d on end with %d", len(out), seq, last)
	}
	return out, err
}

// collect hears a batch to its end and returns the last sequence that the end names.
func (r *reader) collect(q getRequest) (out []stored, last uint64, err error) {
	number, err := r.ask(q)
	if err != nil {
		return nil, 0, err
	}
	for {
		got, s, status, err := r.answer()
		switch {
		case err != nil:
			return out, 0, err
		case got != number:
			continue
		case status != "":
			return out, s.seq, nil
		}
		out = append(out, s)
	}
}

// scan reads every record from one sequence to another, in order.
func (r *reader) scan(from, to uint64, fn func(seq uint64, body []byte)) error {
	misses := 0
	for next := from; next <= to; {
		got, err := r.span(next, scanBatch)
		if err != nil {
			return err
		}
		if len(got) == 0 {
			if misses++; misses > 1000 {
				return fmt.Errorf("nothing from %d on", next)
			}
			time.Sleep(time.Millisecond)
			continue
		}
		for _, s := range got {
			if s.seq <= to {
				fn(s.seq, s.data)
			}
			next = s.seq + 1
		}
	}
	return nil
}

// load reads ascending sequences: one batch where they lie close together, else one by one.
func (r *reader) load(seqs []uint64) ([][]byte, error) {
	span := seqs[len(seqs)-1] - seqs[0] + 1
	if span > uint64(2*len(seqs)) {
		return r.single(seqs)
	}
	got, err := r.span(seqs[0], int(span))
	if err != nil {
		return nil, err
	}
	bodies := make([][]byte, 0, len(seqs))
	for _, s := range got {
		if len(bodies) < len(seqs) && s.seq == seqs[len(bodies)] {
			bodies = append(bodies, s.data)
		}
	}
	if len(bodies) != len(seqs) {
		return nil, fmt.Errorf("read %d of %d messages from %d on", len(bodies), len(seqs), seqs[0])
	}
	return bodies, nil
}
