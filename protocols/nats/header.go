package nats

import (
	"slices"
	"strings"

	natsgo "github.com/nats-io/nats.go"

	"github.com/sluice-mq/sluice/gateway"
)

// encodedMark is the header that lists the names whose fields are percent-encoded,
// because a NATS header cannot hold them as they are. It is the door's own: no
// client's field of this name passes.
const encodedMark = "Sluice-Encoded"

// ofServer tells the names that only the broker may give a meaning. A client's
// fields of these names are interpreted or dropped, never forwarded.
func ofServer(name string) bool {
	switch name {
	case "destination", "message-id", "subscription", "redelivered", "content-length", "receipt", "transaction",
		"persistent", "priority", "expires", "timestamp", "JMSXUserID", "JMSXDeliveryCount":
		return true
	}
	return false
}

// steering tells the names that steer a NATS server, in any spelling of their case; its part for MQTT would take a message that came from
// a device for one that others have already.
func steering(name string) bool {
	for _, prefix := range [...]string{"Nats-", "Nmqtt-"} {
		if len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			return true
		}
	}
	return false
}

// passes reports whether a field of that name goes through the door at all.
func passes(name string) bool { return name != "" && !ofServer(name) && !steering(name) }

// plainName reports whether a NATS header can have that name: an HTTP token. A
// name with a "%" counts as not plain, so that no name looks like another's encoding.
func plainName(name string) bool {
	for i := range len(name) {
		if !tokenByte(name[i]) {
			return false
		}
	}
	return name != "" && !reserved(name)
}

// reserved tells the names that mean something to native receivers if they stand in a header
// as they are: what senders write there would be taken for the door's or the server's word. In any
// spelling of their case, since some libraries do not tell them apart.
func reserved(name string) bool {
	for _, own := range [...]string{encodedMark, replyHeader, statusHeader, statusText} {
		if strings.EqualFold(name, own) {
			return true
		}
	}
	return false
}

// Libraries take a message with these headers for a status, that their request is over for example.
const (
	statusHeader = "Status"
	statusText   = "Description"
)

func tokenByte(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte("\"()/,:;<=>?@[\\]{}%", c) < 0
}

// plainValue reports whether a NATS header carries a value unchanged: no control
// characters inside and no blanks at its ends, which readers cut off.
func plainValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' || c == 0x7f {
			return false
		}
	}
	return value == "" || value[0] != ' ' && value[len(value)-1] != ' '
}

const upperHex = "0123456789ABCDEF"

// percent writes the bytes that keep refuses, and "%" itself, as "%XX".
func percent(s string, keep func(byte) bool) string {
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i := range len(s) {
		if c := s[i]; c != '%' && keep(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		}
	}
	return b.String()
}

func percentName(name string) string {
	if reserved(name) {
		return "%" + string(upperHex[name[0]>>4]) + string(upperHex[name[0]&15]) + name[1:]
	}
	return percent(name, tokenByte)
}

func percentValue(value string) string {
	return percent(value, func(c byte) bool { return c > ' ' && c != 0x7f })
}

// plain undoes percent. What percent could not have made is taken literally.
func plain(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if hi, lo := strings.IndexByte(upperHex, s[i+1]), strings.IndexByte(upperHex, s[i+2]); hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// appendHeader adds a message's fields to a NATS header. Of a repeated name all
// values are kept, in order.
func appendHeader(to natsgo.Header, h gateway.Header) {
	var encoded map[string]bool // by name, once one of its fields needs it
	for _, f := range h {
		if passes(f.Name) && (!plainName(f.Name) || !plainValue(f.Value)) {
			if encoded == nil {
				encoded = make(map[string]bool)
			}
			encoded[f.Name] = true
		}
	}
	for _, f := range h {
		// JMSXUserID is in a message only if the broker put it there.
		if !passes(f.Name) && f.Name != "JMSXUserID" {
			continue
		}
		name, value := f.Name, f.Value
		if encoded[f.Name] {
			name, value = percentName(name), percentValue(value)
		}
		to[name] = append(to[name], value)
	}
	for name := range encoded {
		to[encodedMark] = append(to[encodedMark], percentName(name))
	}
	slices.Sort(to[encodedMark])
}

// fieldsOf returns the fields of a NATS header that pass, sorted by name, since
// their order is lost; values of one name keep theirs. It returns nil and false
// if there are more than limit.
func fieldsOf(from natsgo.Header, limit int) (gateway.Header, bool) {
	n := 0
	for _, values := range from {
		n += len(values)
	}
	if n > limit {
		return nil, false
	}
	h := make(gateway.Header, 0, n)
	encoded := make(map[string]bool, len(from[encodedMark]))
	for _, key := range from[encodedMark] {
		encoded[key] = true
	}
	for key, values := range from {
		if strings.EqualFold(key, encodedMark) {
			continue
		}
		name, mapped := key, encoded[key]
		if mapped {
			name = plain(key)
		}
		if name = strings.ToValidUTF8(name, "\uFFFD"); !passes(name) {
			continue
		}
		for _, v := range values {
			if mapped {
				v = plain(v)
			}
			h = append(h, gateway.Field{Name: name, Value: strings.ToValidUTF8(v, "\uFFFD")})
		}
	}
	slices.SortStableFunc(h, func(a, b gateway.Field) int { return strings.Compare(a.Name, b.Name) })
	return h, true
}
