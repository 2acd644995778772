package wire

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// encodePulled writes messages as Encode would, without looking at each byte three times.
func encodePulled(p Pulled) []byte {
	if len(p.Received) == 0 {
		return encode(p, Usual)
	}
	size := 64
	for i := range p.Received {
		m := &p.Received[i].Message
		size += 256 + len(p.Received[i].AckID) + len(m.Data) + base64.StdEncoding.EncodedLen(len(p.Received[i].Body))
		for k, v := range m.Attributes {
			size += 32 + len(k) + len(v)
		}
	}
	b := append(make([]byte, 0, size), "{\n   \"receivedMessages\": [\n"...)
	for i := range p.Received {
		if i > 0 {
			b = append(b, ",\n"...)
		}
		b = appendReceived(b, &p.Received[i])
	}
	return append(b, "\n   ]\n}"...)
}

func appendReceived(b []byte, r *Received) []byte {
	b = append(b, "      {\n         \"ackId\": "...)
	b = appendText(b, r.AckID)
	b = append(b, ",\n         \"message\": {\n            \"messageId\": "...)
	b = appendText(b, r.Message.ID)
	if len(r.Message.Attributes) > 0 {
		b = append(b, ",\n            \"attributes\": {"...)
		for i, name := range slices.Sorted(maps.Keys(r.Message.Attributes)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, "\n               "...)
			b = appendText(b, name)
			b = append(b, ": "...)
			b = appendText(b, r.Message.Attributes[name])
		}
		b = append(b, "\n            }"...)
	}
	b = append(b, ",\n            \"data\": "...)
	if r.Body != nil {
		b = append(base64.StdEncoding.AppendEncode(append(b, '"'), r.Body), '"')
	} else {
		b = appendText(b, r.Message.Data)
	}
	b = append(b, ",\n            \"publishTime\": "...)
	b = appendText(b, r.Message.Published)
	b = append(b, "\n         }"...)
	if r.Attempt > 0 {
		b = append(b, ",\n         \"deliveryAttempt\": "...)
		b = strconv.AppendUint(b, r.Attempt, 10)
	}
	if r.Key != "" {
		b = append(b, ",\n         \"orderingKey\": "...)
		b = appendText(b, r.Key)
	}
	return append(b, "\n      }"...)
}

// plain are the bytes that stand for themselves in a JSON string, as encoding/json writes it.
var plain = func() (is [256]bool) {
	for c := ' '; c <= '~'; c++ {
		is[c] = c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
	}
	return is
}()

// isPlain reports whether a string has only such.
func isPlain(s string) bool {
	for i := range len(s) {
		if !plain[s[i]] {
			return false
		}
	}
	return true
}

// appendText appends a JSON string.
func appendText(b []byte, s string) []byte {
	if isPlain(s) {
		return append(append(append(b, '"'), s...), '"')
	}
	quoted, _ := json.Marshal(s) // a string cannot fail
	return append(b, quoted...)
}
