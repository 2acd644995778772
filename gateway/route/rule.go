package route

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/schedule"
	"github.com/sluice-mq/sluice/gateway/selector"
)

const (
	// MaxTargets is how many targets a rule may have.
	MaxTargets = 16
	// MaxFields is how many fields of the data, or attributes, it may keep.
	MaxFields = 64
	// maxName is how long a name may be that a message makes of a template, in bytes: a longer one is shown shortened.
	maxName = 200
)

// Spec is a rule as it is written down.
type Spec struct {
	// Selector chooses messages by their attributes; empty: all.
	Selector string `json:"selector,omitempty"`
	// Targets are templates of the names of topics: texts with {attributes.NAME} and {data/POINTER}, of a JSON document. A message that has not all that a
	// template needs is not for that target.
	Targets []string `json:"targets"`
	// Attributes are those that copies keep; nil: all.
	Attributes *[]string `json:"attributes,omitempty"`
	// Pointer has copies have for their data only what it leads to in the message's, and Fields only what they lead to, where it was. One of them may be set.
	Pointer string   `json:"pointer,omitempty"`
	Fields  []string `json:"fields,omitempty"`
}

// Rule is one that was read. It does not change; it may be used by many at once.
type Rule struct {
	selector *selector.Selector
	targets  []template
	keeps    []string // attributes; nil: all
	picks    picks
	// pointer is the number of what becomes the data, and fields are the numbers of what stays of it.
	pointer    int
	fields     map[int]struct{}
	projection projection
	parses     bool // the data is looked at
}

type projection uint8

const (
	whole projection = iota
	pointed
	fielded
)

// Parse reads a rule. Errors are of kind Invalid.
func Parse(s Spec) (*Rule, error) {
	r := &Rule{}
	if s.Selector != "" {
		sel, err := selector.Parse(s.Selector)
		if err != nil {
			return nil, err
		}
		r.selector = sel
	}
	if len(s.Targets) == 0 || len(s.Targets) > MaxTargets {
		return nil, gateway.Errorf(gateway.Invalid, "a route has 1 to %d targets", MaxTargets)
	}
	for _, text := range s.Targets {
		t, err := parseTemplate(text, &r.picks)
		if err != nil {
			return nil, err
		}
		r.targets, r.parses = append(r.targets, t), r.parses || t.needsData()
	}
	if s.Attributes != nil {
		r.keeps = append([]string{}, *s.Attributes...)
	}
	if len(r.keeps) > MaxFields || len(s.Fields) > MaxFields {
		return nil, gateway.Errorf(gateway.Invalid, "a route keeps at most %d attributes, and as many fields", MaxFields)
	}
	return r, r.project(s)
}

// project reads what becomes of the data.
func (r *Rule) project(s Spec) (err error) {
	switch {
	case s.Pointer != "" && len(s.Fields) > 0:
		return gateway.Errorf(gateway.Invalid, "the data of copies is either what a pointer leads to or some fields")
	case s.Pointer != "":
		r.projection, r.parses = pointed, true
		r.pointer, err = r.picks.add(s.Pointer)
		return err
	case len(s.Fields) > 0:
		r.projection, r.parses = fielded, true
		r.fields = make(map[int]struct{})
		for _, f := range s.Fields {
			n, err := r.picks.add(f)
			if err != nil {
				return err
			}
			if r.fields[n] = struct{}{}; f == "" {
				return gateway.Errorf(gateway.Invalid, "a field is a JSON pointer, such as /tags/site")
			}
		}
	}
	return nil
}

// Constants are the names of the targets that are the same for all messages.
func (r *Rule) Constants() (names []string) {
	for _, t := range r.targets {
		if name, ok := t.constant(); ok {
			names = append(names, name)
		}
	}
	return names
}

// Samples are names as the targets may be, with an x in each place where a message has its say.
func (r *Rule) Samples() (names []string) {
	for _, t := range r.targets {
		name := ""
		for i := range t.parts {
			if text := t.parts[i].text; t.parts[i].kind == asItIs {
				name += text
			} else {
				name += "x"
			}
		}
		names = append(names, name)
	}
	return names
}

// Apply says what a message is for: the names of its targets, each once, none if it is for nobody; and how its copies look but for their destination. kept are
// attributes that copies have whatever the rule says. The Error is of kind Invalid if there should be copies, and can be none.
func (r *Rule) Apply(m *gateway.Message, kept ...string) (names []string, copied *gateway.Message, err error) {
	if r.selector != nil && !r.selector.MatchMessage(m, 0) {
		return nil, nil, nil
	}
	var f *found
	isJSON := false
	if r.parses {
		f, isJSON = r.picks.find(m.Body)
	}
	for _, t := range r.targets {
		if name := t.fill(m.Header, f); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, nil, nil
	}
	copied = m.Copy()
	copied.Also, copied.Queue, copied.ID = nil, "", ""
	copied.Header = r.header(copied.Header, kept)
	switch {
	case r.projection == whole:
		return names, copied, nil
	case !isJSON:
		return names, nil, gateway.Errorf(gateway.Invalid, "the data is not JSON")
	case r.projection == pointed && f.values[r.pointer] == nil:
		return names, nil, gateway.Errorf(gateway.Invalid, "the data has not what the pointer leads to")
	case r.projection == pointed:
		copied.Body = plain(f.values[r.pointer])
	default:
		copied.Body = f.rebuild(nil, r.picks.root, r.fields)
	}
	return names, copied, nil
}

// header is what copies keep of a header. A copy is not scheduled again.
func (r *Rule) header(h gateway.Header, kept []string) gateway.Header {
	if r.keeps == nil && !schedule.Is(h) {
		return h
	}
	var all gateway.Header
	for _, f := range h {
		keeps := r.keeps == nil || slices.Contains(r.keeps, f.Name) || slices.Contains(kept, f.Name)
		if keeps && !schedule.Is(gateway.Header{f}) {
			all = append(all, f)
		}
	}
	return all
}

// plain is a JSON value as data: a text is what it says.
func plain(value json.RawMessage) []byte {
	if value[0] != '"' {
		return value
	}
	var s string
	_ = json.Unmarshal(value, &s) // it is JSON
	return []byte(s)
}

// rebuild appends what stays of a document: what was found for some numbers, where it was. Of lists the elements move together.
func (f *found) rebuild(dst []byte, p *pick, wanted map[int]struct{}) []byte {
	open, end := byte('{'), byte('}')
	_, list := f.lists[p]
	if list {
		open, end = '[', ']'
	}
	dst = append(dst, open)
	first := len(dst)
	for _, s := range p.steps {
		if !f.has(s, wanted) {
			continue
		}
		if len(dst) > first {
			dst = append(dst, ',')
		}
		if !list {
			name, _ := json.Marshal(s.name) // a text can always be written
			dst = append(append(dst, name...), ':')
		}
		if value := f.of(s, wanted); value != nil {
			dst = append(dst, value...)
		} else {
			dst = f.rebuild(dst, s, wanted)
		}
	}
	return append(dst, end)
}

// of is what was found for a wanted number at a place.
func (f *found) of(p *pick, wanted map[int]struct{}) json.RawMessage {
	for _, n := range p.numbers {
		if _, ok := wanted[n]; ok && f.values[n] != nil {
			return f.values[n]
		}
	}
	return nil
}

// has reports whether something wanted was found at a place, or below.
func (f *found) has(p *pick, wanted map[int]struct{}) bool {
	return f.of(p, wanted) != nil || slices.ContainsFunc(p.steps, func(s *pick) bool { return f.has(s, wanted) })
}

// shown is a name as it is told of.
func shown(name string) string {
	if len(name) > maxName {
		return string(bytes.ToValidUTF8([]byte(name[:maxName]), nil)) + "..."
	}
	return name
}
