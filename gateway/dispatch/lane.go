package dispatch

import (
	"strconv"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

// A lane's lowest bits hold the priority; then there are one that says that the message closes its group, one and a few that are the queue's
// own, and above them a hash of the group's name, 0 for none: messages of one group go to one subscription.
const (
	priorityBits = 4
	priorityMask = 1<<priorityBits - 1

	closing Lane = 1 << 4
	// severed: it is in flight, and its group was closed after it.
	severed Lane = 1 << 5
	// causeShift and causeMask: why it is dying.
	causeShift = 6
	causeMask  = 7 << causeShift

	groupShift = 9
)

// groupHeader names the group, as in JMS; a message with a negative number in sequenceHeader is the last one of it.
const (
	groupHeader    = "JMSXGroupID"
	sequenceHeader = "JMSXGroupSeq"
)

// LaneOf returns the lane of a message.
func LaneOf(m *gateway.Message) Lane {
	lane := Lane(min(m.Priority, 9))
	for i := range m.Header {
		if f := &m.Header[i]; f.Name == groupHeader {
			if strings.TrimSpace(f.Value) == "" {
				break
			}
			lane |= Lane(hash(f.Value)) << groupShift
			if seq, _ := m.Header.Get(sequenceHeader); negative(seq) {
				lane |= closing
			}
			break
		}
	}
	return lane
}

// negative reports whether a number is below 0.
func negative(number string) bool {
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	return err == nil && n < 0
}

// priority of the messages of a lane.
func (l Lane) priority() uint8 { return uint8(l & priorityMask) }

// group is 0 for messages that belong to none.
func (l Lane) group() uint64 { return uint64(l >> groupShift) }

// closes reports whether the group ends with the message.
func (l Lane) closes() bool { return l&closing != 0 }

// cause says why an entry of the lane is dying.
func (l Lane) cause() Cause { return Cause(l & causeMask >> causeShift) }

// of returns the lane without what is the queue's own, or with a cause.
func (l Lane) of(c Cause) Lane { return l&^(severed|causeMask) | Lane(c)<<causeShift }

// hash is FNV-1a of 64 bits, without the upper ones that a lane has no room for. It is never 0.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return max(h&(1<<(64-groupShift)-1), 1)
}
