package jsapi

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// AckPrefix begins the reply subjects of deliveries.
const AckPrefix = "$JS.ACK."

// Delivery is what the reply subject of a delivery says.
type Delivery struct {
	Stream, Consumer string
	// Delivered is how often the message was handed out, this time included.
	Delivered uint64
	// StreamSeq names the message, ConsumerSeq the delivery.
	StreamSeq, ConsumerSeq uint64
	// Timestamp is when the message was sent, in Unix nanoseconds.
	Timestamp int64
	// Pending is how many messages wait behind it.
	Pending uint64
}

// AppendAckSubject appends the reply subject of a delivery.
func AppendAckSubject(dst []byte, d Delivery) []byte {
	dst = append(dst, AckPrefix...)
	dst = append(dst, d.Stream...)
	dst = append(append(dst, '.'), d.Consumer...)
	for _, n := range [...]uint64{d.Delivered, d.StreamSeq, d.ConsumerSeq, uint64(max(d.Timestamp, 0)), d.Pending} {
		dst = strconv.AppendUint(append(dst, '.'), n, 10)
	}
	return dst
}

// ParseAckSubject takes a subject made by AppendAckSubject apart. ok is false for all others.
func ParseAckSubject(subject string) (d Delivery, ok bool) {
	rest, ok := strings.CutPrefix(subject, AckPrefix)
	if !ok || strings.Count(rest, ".") != 6 {
		return Delivery{}, false
	}
	next := func() (token string) {
		token, rest, _ = strings.Cut(rest, ".")
		return token
	}
	d.Stream, d.Consumer = next(), next()
	var n [5]uint64
	for i := range n {
		v, err := strconv.ParseUint(next(), 10, 64)
		if err != nil {
			return Delivery{}, false
		}
		n[i] = v
	}
	if d.Stream == "" || d.Consumer == "" || int64(n[3]) < 0 {
		return Delivery{}, false
	}
	d.Delivered, d.StreamSeq, d.ConsumerSeq, d.Timestamp, d.Pending = n[0], n[1], n[2], int64(n[3]), n[4]
	return d, true
}

// Word is what a worker says of a delivery.
type Word uint8

const (
	// Ack: it is done.
	Ack Word = iota + 1
	// Nak: somebody shall have it again, after the delay if any.
	Nak
	// InProgress: it takes longer.
	InProgress
	// Term: nobody shall have it again.
	Term
	// AckNext: it is done, and the next one is asked for.
	AckNext
)

// Settlement is a worker's word, taken apart.
type Settlement struct {
	Word Word
	// Delay of a Nak; 0 is at once.
	Delay time.Duration
	// Next is the pull request of an AckNext.
	Next []byte
}

// LongestDelay bounds what a Nak may ask for.
const LongestDelay = 365 * 24 * time.Hour

// ParseSettlement reads the body of an acknowledgement. ok is false if it is none.
func ParseSettlement(body []byte) (s Settlement, ok bool) {
	word, rest, _ := bytes.Cut(body, []byte(" "))
	rest = bytes.TrimSpace(rest)
	switch string(word) {
	case "", "+ACK", "+OK":
		return Settlement{Word: Ack}, len(rest) == 0
	case "+WPI":
		return Settlement{Word: InProgress}, true
	case "+TERM": // the rest is a reason, for people
		return Settlement{Word: Term}, true
	case "+NXT":
		return Settlement{Word: AckNext, Next: rest}, true
	case "-NAK":
		s.Word = Nak
		s.Delay, ok = parseDelay(rest)
		return s, ok
	}
	return Settlement{}, false
}

// parseDelay reads {"delay": nanoseconds} or a duration such as 5s.
func parseDelay(text []byte) (time.Duration, bool) {
	var d time.Duration
	switch {
	case len(text) == 0:
		return 0, true
	case text[0] == '{':
		var o struct {
			Delay time.Duration `json:"delay"`
		}
		if json.Unmarshal(text, &o) != nil {
			return 0, false
		}
		d = o.Delay
	default:
		var err error
		if d, err = time.ParseDuration(string(text)); err != nil {
			return 0, false
		}
	}
	return min(max(d, 0), LongestDelay), true
}
