package wire

import (
	"encoding/json"
	"strings"
)

// DecodePublish reads what is published, as Decode does. What is written as most clients write it is read quickly: keys as they are documented, each once, and strings
// without escapes.
func DecodePublish(body []byte) (PublishRequest, error) {
	s := scanner{rest: string(body)}
	if request, ok := s.publish(); ok {
		return request, nil
	}
	var request PublishRequest
	err := json.Unmarshal(body, &request)
	return request, err
}

// scanner reads a part of JSON, and gives up where there is anything else. Strings are parts of what it reads.
type scanner struct{ rest string }

// next takes a byte, with blanks before it, if it is the one that is expected.
func (s *scanner) next(c byte) bool {
	for i := range len(s.rest) {
		switch s.rest[i] {
		case c:
			s.rest = s.rest[i+1:]
			return true
		case ' ', '\t', '\r', '\n':
		default:
			return false
		}
	}
	return false
}

// text takes a string.
func (s *scanner) text() (string, bool) {
	if !s.next('"') {
		return "", false
	}
	end := strings.IndexByte(s.rest, '"')
	if end < 0 || !isSimple(s.rest[:end]) {
		return "", false
	}
	t := s.rest[:end]
	s.rest = s.rest[end+1:]
	return t, true
}

// isSimple reports whether a string stands for itself between quotes.
func isSimple(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	return true
}

// key takes a key that is expected.
func (s *scanner) key() (string, bool) {
	k, ok := s.text()
	return k, ok && s.next(':')
}

func (s *scanner) publish() (r PublishRequest, ok bool) {
	if !s.next('{') {
		return r, false
	}
	if k, ok := s.key(); !ok || k != "messages" || !s.next('[') {
		return r, false
	}
	r.Messages = make([]MessageRequest, 0, 1+strings.Count(s.rest[:min(len(s.rest), 1<<20)], `"data"`))
	for {
		m, ok := s.message()
		if !ok {
			return r, false
		}
		r.Messages = append(r.Messages, m)
		if !s.next(',') {
			break
		}
	}
	return r, s.next(']') && s.next('}') && !s.more()
}

// more reports whether anything but blanks is left.
func (s *scanner) more() bool { return strings.Trim(s.rest, " \t\r\n") != "" }

func (s *scanner) message() (m MessageRequest, ok bool) {
	if !s.next('{') {
		return m, false
	}
	for hasData := false; ; {
		k, ok := s.key()
		switch {
		case ok && k == "data" && !hasData:
			m.Data, ok = s.text()
			hasData = true
		case ok && k == "orderingKey" && m.OrderingKey == "":
			m.OrderingKey, ok = s.text()
		case ok && k == "attributes" && m.Attributes == nil:
			m.Attributes, ok = s.attributes()
		default:
			ok = false
		}
		if !ok {
			return m, false
		}
		if !s.next(',') {
			return m, s.next('}')
		}
	}
}

func (s *scanner) attributes() (map[string]string, bool) {
	if !s.next('{') {
		return nil, false
	}
	all := make(map[string]string)
	if s.next('}') {
		return all, true
	}
	for {
		k, ok := s.key()
		if !ok {
			return nil, false
		}
		if all[k], ok = s.text(); !ok {
			return nil, false
		}
		if !s.next(',') {
			return all, s.next('}')
		}
	}
}
