package conformance

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
)

// veil replaces what differs from broker to broker and from run to run by placeholders: the same text by the same
// placeholder, so that it still shows whether, say, a message-id stays the same. It belongs to one probe.
type veil struct {
	name  string            // the probe's
	times map[string]string // that were sent, and how they were written
	known map[string]string // kind and text to placeholder
	count map[string]int    // of placeholders, by kind
}

func newVeil(name string) *veil {
	return &veil{name: name, times: map[string]string{}, known: map[string]string{}, count: map[string]int{}}
}

// placeholder stands for a text of some kind.
func (v *veil) placeholder(kind, text string) string {
	key := kind + "\x00" + text
	if v.known[key] == "" {
		v.count[kind]++
		v.known[key] = fmt.Sprintf("<%s%d>", kind, v.count[kind])
	}
	return v.known[key]
}

var (
	// ids are ActiveMQ's: of connections, messages, temporary destinations.
	ids     = regexp.MustCompile(`ID(?::|\\c)[A-Za-z0-9._-]+(?:(?::|\\c)-?[0-9]+)*`)
	remote  = regexp.MustCompile(`/remote-temp-(queue|topic)/[^\s",]+`)
	address = regexp.MustCompile(`(?:[a-z+]+:/*)?(?:127\.0\.0\.1|localhost)(?::|\\c)[0-9]+`)
	// parsed are the texts of ERRORs that clients look at. All other texts are free.
	parsed = regexp.MustCompile(`User name \[.*?\] or password is invalid|No user for client certificate|already connected from|Invalid Protocol version|Invalid heart-beat header|Unexpected ACK received for message-id|Durable consumer is in use`)
)

// text veils any text.
func (v *veil) text(s string) string {
	s = strings.ReplaceAll(s, v.name, "{n}")
	for value, written := range v.times {
		s = strings.ReplaceAll(s, value, written)
	}
	s = remote.ReplaceAllString(s, "/remote-temp-$1/<temp>")
	s = ids.ReplaceAllStringFunc(s, func(id string) string { return v.placeholder("id", strings.ReplaceAll(id, `\c`, ":")) })
	return address.ReplaceAllString(s, "<address>")
}

// header veils the value of a header.
func (v *veil) header(conn, command, name, value string) string {
	if written, ok := v.times[value]; ok {
		return written
	}
	switch {
	case name == "message-id" && value != "0":
		return v.placeholder("message", value)
	case name == "ack":
		return v.placeholder(name, conn+" "+value) // which is a connection's own
	case name == "scheduledJobId":
		return v.placeholder("job", value)
	case name == "server", name == "originBrokerId", name == "originBrokerURL", name == "originBrokerName":
		return "<" + name + ">"
	case name == "session" && !strings.Contains(value, v.name):
		return "<session>"
	case command == "ERROR" && name == "message":
		return v.complaint(value)
	case recent(value):
		return "<now>"
	}
	return v.text(value)
}

// complaint is the class of an ERROR: what clients look for in it, or that it is some text.
func (v *veil) complaint(s string) string {
	if exact := parsed.FindString(s); exact != "" {
		return v.text(exact)
	}
	if s == "" {
		return ""
	}
	return "<text>"
}

// recent reports whether a text is a time of this hour in milliseconds.
func recent(s string) bool {
	n, err := strconv.ParseInt(s, 10, 64)
	return err == nil && len(s) == 13 && math.Abs(float64(n-time.Now().UnixMilli())) < float64(time.Hour/time.Millisecond)
}

// frame writes a frame that came on a connection in one line, its headers sorted by name.
func (v *veil) frame(conn string, f raw.Frame) string {
	words := make([]string, 0, len(f.Lines))
	sorted := slices.Clone(f.Lines)
	slices.SortStableFunc(sorted, func(a, b string) int {
		x, _, _ := strings.Cut(a, ":")
		y, _, _ := strings.Cut(b, ":")
		return strings.Compare(x, y)
	})
	for _, line := range sorted {
		name, value, _ := strings.Cut(line, ":")
		w := v.text(name) + ":" + v.header(conn, f.Command, name, value)
		if strings.ContainsAny(w, " \t\r\"") || strconv.Quote(w) != `"`+strings.ReplaceAll(w, `\`, `\\`)+`"` {
			w = strconv.Quote(w)
		}
		words = append(words, w)
	}
	out := strings.Join(append([]string{f.Command}, words...), " ")
	switch {
	case f.Body == "":
	case f.Command == "ERROR":
		out += " | <text>"
	default:
		out += " | " + v.body(f)
	}
	return out
}

// volatile are numbers and texts in the bodies of advisories and statistics that are nobody's promise.
var volatile = regexp.MustCompile(`^(commandId|clientIp|brokerId|brokerName|dataDirectory|averageMessageSize|messagesCached|stomp|stomp\+ssl|ssl|openwire|vm|sessionId|value|lastMessageId.*|lastDeliveredSequenceId|brokerSequenceId|prefetchSize|expiration|size|data|timestamp|.*EnqueueTime|.*PercentUsage|(memory|store|temp)(Usage|Limit)|.*(Time|time)|arrival|size\.compressed|marshalledSize|hashCode)$`)

func (v *veil) body(f raw.Frame) string {
	kind := f.Get("transformation")
	if kind == "" && f.Get("content-type") != "application/json" {
		return quoteBody(v.text(f.Body))
	}
	var value any
	if json.Unmarshal([]byte(f.Body), &value) == nil {
		value = v.walk("", value, global(value))
		out, err := json.Marshal(value)
		if err == nil {
			return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(out))
		}
	}
	return quoteBody(v.xml(f.Body))
}

// global reports whether a body is about the whole broker, whose counts depend on all probes.
func global(value any) bool {
	m, ok := value.(map[string]any)
	if !ok {
		return false
	}
	text, _ := json.Marshal(m)
	return strings.Contains(string(text), "storePercentUsage") || strings.Contains(string(text), "currentConnectionsCount")
}

// walk veils the leaves of a JSON value.
func (v *veil) walk(key string, value any, all bool) any {
	switch x := value.(type) {
	case map[string]any:
		// ActiveMQ's maps are lists of entries in the order of their hashes.
		for k, inner := range x {
			x[k] = v.walk(k, inner, all)
		}
	case []any:
		for i, inner := range x {
			x[i] = v.walk(key, inner, all)
		}
		if key == "entry" {
			v.entries(x, all)
		}
	case string:
		if volatile.MatchString(key) {
			return "<text>"
		}
		return v.text(x)
	case float64:
		if all || volatile.MatchString(key) || recent(strconv.FormatFloat(x, 'f', 0, 64)) {
			return "<number>"
		}
	}
	return value
}

// entries veils and sorts the entries of a map: {"string":"size","long":3}, or {"string":["name","value"]}.
func (v *veil) entries(list []any, all bool) {
	name := func(e any) string {
		m, _ := e.(map[string]any)
		switch s := m["string"].(type) {
		case string:
			return s
		case []any:
			if len(s) > 0 {
				return fmt.Sprint(s[0])
			}
		}
		return ""
	}
	for _, e := range list {
		m, ok := e.(map[string]any)
		if !ok || (!volatile.MatchString(name(e)) || name(e) == "size" || name(e) == "prefetchSize") && !all {
			continue
		}
		for k := range m {
			if s, isList := m[k].([]any); k == "string" && isList && len(s) == 2 {
				s[1] = "<text>"
			} else if k != "string" {
				m[k] = "<number>"
			}
		}
	}
	slices.SortStableFunc(list, func(a, b any) int { return strings.Compare(name(a), name(b)) })
}

var (
	entry   = regexp.MustCompile(`(?s)<entry>.*?</entry>`)
	figures = regexp.MustCompile(`<(long|int|double)>[^<]*</`)
	secrets = regexp.MustCompile(`(<string>(?:brokerId|dataDirectory|stomp|vm|brokerName)</string>\s*<string>)[^<]*`)
	blanks  = regexp.MustCompile(`>\s+<`)
	numbers = regexp.MustCompile(`(<(?:commandId|sessionId|value|clientIp)>)[^<]*`)
)

// xml veils a body in XML, whose maps are in the order of hashes.
func (v *veil) xml(s string) string {
	s = v.text(blanks.ReplaceAllString(s, "><"))
	if !strings.Contains(s, "<map") {
		return numbers.ReplaceAllString(s, "$1<text>")
	}
	s = figures.ReplaceAllString(s, "<$1><number></")
	s = secrets.ReplaceAllString(s, "$1<text>")
	all := entry.FindAllString(s, -1)
	slices.Sort(all)
	return entry.ReplaceAllStringFunc(s, func(string) string {
		first := all[0]
		all = all[1:]
		return first
	})
}

// quoteBody writes a body so that it stays in one line.
func quoteBody(s string) string {
	const most = 400
	if len(s) > most {
		return fmt.Sprintf("%q... (%d bytes)", s[:most], len(s))
	}
	if q := strconv.Quote(s); q != `"`+s+`"` || s != strings.TrimSpace(s) {
		return q
	}
	return s
}
