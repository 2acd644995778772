package stomp

import (
	"strconv"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	groupHeader = "JMSXGroupID"
	userHeaderX = "JMSXUserID"
	// scheduled begins the headers by which messages are delivered later; delayHeader is after how many milliseconds.
	scheduled   = "AMQ_SCHEDULED_"
	delayHeader = scheduled + "DELAY"
)

// farthest bounds how far from now a relative time may lead: beyond it nobody means what he says.
const farthest = 100 * 365 * 24 * time.Hour

// special tells the names of which adapt may know another broker's meaning.
func special(name string) bool {
	switch name {
	case replyHeader, "message_group", "_AMQ_GROUP_ID", "_AMQ_SCHED_DELIVERY", "x-delay", "ttl", "expiration":
		return true
	}
	return inJMS(name) || len(name) > len(scheduled) && name[0] == 'A' && name[:len(scheduled)] == scheduled
}

// adapt gives the fields of a message, in whatever broker's words they are, the meaning that they have here. Fields
// that only mean something to another broker stay as they are.
func (a *addresses) adapt(m *gateway.Message, now time.Time) error {
	if err := understandJMS(m); err != nil {
		return err
	}
	for i := 0; i < len(m.Header); i++ {
		f := &m.Header[i]
		var err error
		switch f.Name {
		case replyHeader:
			f.Value = a.keptReply(f.Value)
		case "message_group", "_AMQ_GROUP_ID":
			if _, ok := m.Header.Get(groupHeader); !ok {
				m.Header = append(m.Header, gateway.Field{Name: groupHeader, Value: f.Value})
			}
		case a.ttl:
			err = a.expire(m, f, now)
		case a.delayAfter:
			err = schedule(m.Header, f, 0)
		case delayHeader, scheduled + "PERIOD", scheduled + "REPEAT":
			_, err = milliseconds(f.Name, f.Value)
		default:
			for _, name := range a.delaysAt {
				if f.Name == name {
					err = schedule(m.Header, f, now.UnixMilli())
				}
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// expire lets a message expire some milliseconds from now, unless it says when. 0 is never.
func (a *addresses) expire(m *gateway.Message, f *gateway.Field, now time.Time) error {
	ms, err := milliseconds(f.Name, f.Value)
	if err == nil && ms > 0 && m.Expires == 0 {
		m.Expires = now.UnixMilli() + ms
	}
	return err
}

// schedule turns a field into the delay that it means: its milliseconds, counted from now.
func schedule(h gateway.Header, f *gateway.Field, now int64) error {
	ms, err := number(gateway.Header{*f}, f.Name, 0)
	if err != nil {
		return err
	}
	if ms-now > farthest.Milliseconds() {
		return gateway.Errorf(gateway.Limit, "The %s header is more than %d years away", f.Name, int(farthest/(365*24*time.Hour)))
	}
	if _, ok := h.Get(delayHeader); !ok {
		f.Name, f.Value = delayHeader, strconv.FormatInt(max(ms-now, 0), 10)
	}
	return nil
}

// milliseconds reads a number of them that is not negative and not beyond sense.
func milliseconds(name, text string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 0 {
		return 0, invalid("Invalid value for the %s header: %s", name, quote(text))
	}
	if n > farthest.Milliseconds() {
		return 0, gateway.Errorf(gateway.Limit, "The %s header is %d, the limit is %d", name, n, farthest.Milliseconds())
	}
	return n, nil
}
