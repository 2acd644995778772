package stomp

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/stomp/wire"
)

// messageOf turns a SEND frame into a message for t. It takes the frame's
// header and body over, also when it fails. special is what adapt has to look at.
func messageOf(f *wire.Frame, t *target) (m *gateway.Message, special bool, err error) {
	m = &gateway.Message{Destination: t.Destination, Also: t.also, Body: f.Body, Text: !f.Length, Priority: gateway.DefaultPriority}
	if v, ok := f.Header.Get("persistent"); ok {
		m.Persistent = strings.EqualFold(strings.TrimSpace(v), "true")
	}
	priority, err := number(f.Header, "priority", gateway.DefaultPriority)
	if err != nil {
		return nil, false, err
	}
	m.Priority = uint8(min(max(priority, 0), 9))
	if m.Expires, err = number(f.Header, "expires", 0); err != nil {
		return nil, false, err
	}
	m.Expires = max(m.Expires, 0)
	if m.Timestamp, err = number(f.Header, "timestamp", 0); err != nil {
		return nil, false, err
	}
	switch kind, ok := f.Header.Get("amq-msg-type"); {
	case !ok:
	case strings.EqualFold(kind, "text"):
		m.Text = bytes.IndexByte(f.Body, 0) < 0
	case strings.EqualFold(kind, "bytes"):
		m.Text = false
	default:
		return nil, false, invalid("Unsupported message type '%s'", quote(kind))
	}
	m.Header, special = userHeader(f.Header)
	return m, special, nil
}

// number reads a header that must be a whole number.
func number(h gateway.Header, name string, absent int64) (int64, error) {
	v, ok := h.Get(name)
	if !ok {
		return absent, nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
	if err != nil {
		return 0, invalid("Invalid value for the %s header: %s", name, quote(v))
	}
	return n, nil
}

// ofServer tells the names that only the server may give a meaning in a MESSAGE.
// A sender's fields of these names are interpreted or dropped, never forwarded.
// Blanks around them do not make a difference: some clients trim them.
func ofServer(name string) bool {
	switch trimmed(name) {
	case "destination", "message-id", "subscription", "redelivered", "content-length", "receipt", "transaction",
		"persistent", "priority", "expires", "timestamp", "JMSXUserID", "JMSXDeliveryCount":
		return true
	}
	return false
}

// trimmed cuts blanks of any kind from both ends of a header's name.
func trimmed(name string) string {
	if n := len(name); n == 0 || plainEnd(name[0]) && plainEnd(name[n-1]) {
		return name
	}
	return strings.TrimSpace(name)
}

// plainEnd reports whether a byte is for sure no part of a blank.
func plainEnd(c byte) bool { return c > ' ' && c < 0x7f }

// scanned is up to how many fields repeated names are looked for by scanning.
const scanned = 32

// spare is how many dropped fields' room a message may keep: its size does not count it.
const spare = 15

// userHeader keeps, in h's own memory unless much of that is left over, what is
// forwarded verbatim: the first field of each name that is not the server's. It reports whether one of them is special.
func userHeader(h gateway.Header) (kept gateway.Header, anySpecial bool) {
	kept = h[:0]
	var seen map[string]struct{}
	if len(h) > scanned {
		seen = make(map[string]struct{}, len(h))
	}
	for _, f := range h {
		if ofServer(f.Name) {
			continue
		}
		if seen != nil {
			if _, ok := seen[f.Name]; ok {
				continue
			}
			seen[f.Name] = struct{}{}
		} else if _, ok := kept.Get(f.Name); ok {
			continue
		}
		anySpecial = anySpecial || special(f.Name)
		kept = append(kept, f)
	}
	if cap(kept) > len(kept)+spare {
		return append(make(gateway.Header, 0, len(kept)), kept...), anySpecial
	}
	clear(h[len(kept):])
	return kept, anySpecial
}

// appendShared appends the part of a MESSAGE that is the same for all
// subscribers of one version: the fields from message-id on and the blank line.
// hideAck leaves out a sender's ack field, which a client with an
// acknowledgement mode would take for ours.
func appendShared(dst []byte, v wire.Version, m *gateway.Message, hideAck bool) []byte {
	dst = wire.AppendField(dst, v, "message-id", m.ID)
	dst = append(dst, "priority:"...)
	dst = strconv.AppendUint(dst, uint64(m.Priority), 10)
	dst = append(dst, "\nexpires:"...)
	dst = strconv.AppendInt(dst, m.Expires, 10)
	dst = append(dst, "\ntimestamp:"...)
	dst = strconv.AppendInt(dst, m.Timestamp, 10)
	dst = append(dst, '\n')
	if m.Persistent {
		dst = append(dst, "persistent:true\n"...)
	}
	// A text with a NUL inside can only be framed by its length.
	if !m.Text || bytes.IndexByte(m.Body, 0) >= 0 {
		dst = append(dst, "content-length:"...)
		dst = strconv.AppendInt(dst, int64(len(m.Body)), 10)
		dst = append(dst, '\n')
	}
	for i := range m.Header {
		f := &m.Header[i]
		if f.Name == "JMSXUserID" || !ofServer(f.Name) && !(hideAck && trimmed(f.Name) == "ack") {
			dst = wire.AppendField(dst, v, f.Name, f.Value)
		}
	}
	return append(dst, '\n')
}

// sharedSlot is where the shared part of a topic's message is kept between subscribers.
func sharedSlot(v wire.Version, hideAck bool) int {
	if hideAck {
		return 3
	}
	return int(v - wire.V10)
}

// appendSharedCached is appendShared that encodes once for all subscribers of a topic.
// Messages of a queue go to one subscriber, so for them nothing is kept.
func appendSharedCached(dst []byte, v wire.Version, m *gateway.Message, hideAck bool) []byte {
	if m.Destination.Kind != gateway.KindTopic {
		return appendShared(dst, v, m, hideAck)
	}
	if hideAck {
		hideAck = slices.ContainsFunc(m.Header, func(f gateway.Field) bool { return trimmed(f.Name) == "ack" })
	}
	slot := sharedSlot(v, hideAck)
	shared := m.Encoded(slot)
	if shared == nil {
		var usual [512]byte // so that what is kept has its own size, made at once
		shared = bytes.Clone(appendShared(usual[:0], v, m, hideAck))
		m.SetEncoded(slot, shared)
	}
	return append(dst, shared...)
}
