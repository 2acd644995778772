//go:build linux

package powercut

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// Promise is what must be found of a stream after a cut.
type Promise struct {
	Records map[uint64]uint64 // sequence to id of every committed record
	Floor   uint64            // records before it are dead
	Last    uint64            // the newest committed sequence
}

// Promised adds up the events of one stream.
func Promised(events []Event, stream int) Promise {
	p := Promise{Records: map[uint64]uint64{}}
	for _, e := range events {
		if e.Stream != stream {
			continue
		}
		switch e.Kind {
		case Committed:
			for _, r := range e.Records {
				p.Records[r[0]] = r[1]
				p.Last = max(p.Last, r[0])
			}
		case Purging:
			p.Floor = max(p.Floor, e.Seq)
		}
	}
	return p
}

// Report is what was found after a cut.
type Report struct {
	Checked int      // promised records looked for
	Extra   int      // records that were stored and never promised
	Lost    []uint64 // sequences of promised records that are not there, or are others
	Foreign []uint64 // sequences of records that nobody sent
	Torn    int      // sequences missing after the newest promised record, before another one
	Ahead   int      // sequences missing after the newest record: the store's index remembers them, the blocks do not
	Back    int      // dead records that came back
}

func (r *Report) add(o Report) {
	r.Checked += o.Checked
	r.Extra += o.Extra
	r.Torn += o.Torn
	r.Ahead += o.Ahead
	r.Back += o.Back
	r.Lost = append(r.Lost, o.Lost...)
	r.Foreign = append(r.Foreign, o.Foreign...)
}

// String tells the figures.
func (r Report) String() string {
	return fmt.Sprintf("%d promised records checked, %d lost, %d foreign; %d unpromised ones survived; "+
		"after the last promise %d sequences torn out, %d torn off; %d dead records came back",
		r.Checked, len(r.Lost), len(r.Foreign), r.Extra, r.Torn, r.Ahead, r.Back)
}

// Verify starts a server on what a cut left in dir, and compares it with the events before the cut. It then makes dir
// ready for another writer.
func Verify(dir string, events []Event) (Report, error) {
	s, err := OpenStore(dir, false)
	if err != nil {
		return Report{}, err
	}
	defer s.Close()
	var total Report
	gone := false
	for i := range Streams {
		r, err := s.verify(i, Promised(events, i))
		if errors.Is(err, nats.ErrStreamNotFound) {
			// The stream was not synced when it was made, or is lost with all that was promised.
			gone = true
			r = compare(Promised(events, i), nil, nil, 0)
		} else if err != nil {
			return Report{}, err
		}
		total.add(r)
	}
	if gone {
		return total, nil
	}
	return total, s.Shrink()
}

func (s *Store) verify(i int, p Promise) (Report, error) {
	found, foreign, err := s.Records(i)
	if err != nil {
		return Report{}, err
	}
	info, err := s.JS.StreamInfo(streamName(i))
	if err != nil {
		return Report{}, err
	}
	return compare(p, found, foreign, info.State.LastSeq), nil
}

func compare(p Promise, found map[uint64]uint64, foreign []uint64, last uint64) Report {
	r := Report{Foreign: foreign}
	for seq, id := range p.Records {
		if seq < p.Floor {
			continue
		}
		r.Checked++
		if got, ok := found[seq]; !ok || got != id {
			r.Lost = append(r.Lost, seq)
		}
	}
	for seq := range found {
		if seq < p.Floor {
			r.Back++
		} else if _, ok := p.Records[seq]; !ok {
			r.Extra++
		}
	}
	end := p.Last
	for seq := range found {
		end = max(end, seq)
	}
	for seq := p.Last + 1; seq <= end; seq++ {
		if _, ok := found[seq]; !ok {
			r.Torn++
		}
	}
	r.Ahead = int(max(last, end) - end)
	return r
}

// Records reads a whole stream: sequence to id, and the sequences of records that are not what anybody sent.
func (s *Store) Records(i int) (found map[uint64]uint64, foreign []uint64, err error) {
	info, err := s.JS.StreamInfo(streamName(i))
	if err != nil {
		return nil, nil, err
	}
	found = map[uint64]uint64{}
	if info.State.Msgs == 0 {
		return found, nil, nil
	}
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		m, err := s.JS.GetMsg(streamName(i), seq, nats.DirectGet())
		if errors.Is(err, nats.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read record %d: %w", seq, err)
		}
		id, ok := IDOf(m.Data)
		if !ok {
			foreign = append(foreign, seq)
			continue
		}
		found[seq] = id
	}
	return found, foreign, nil
}
