package route

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	// maxDepth is how many steps a pointer may have.
	maxDepth = 16
	// maxPointer is how long one may be, in bytes.
	maxPointer = 1 << 10
)

// picks are places in a JSON document that are looked for together: a pass over the document finds them all.
type picks struct {
	root *pick
	all  int
}

// pick is one step into a document: what its steps lead to, in the order in which they were asked for.
type pick struct {
	name  string
	steps []*pick
	// numbers are of those who ask for what is here.
	numbers []int
}

// add asks for what a pointer (RFC 6901) leads to, and returns the number under which it is found. The Error is of kind Invalid.
func (p *picks) add(pointer string) (number int, err error) {
	if pointer != "" && pointer[0] != '/' || len(pointer) > maxPointer {
		return 0, gateway.Errorf(gateway.Invalid, "%.100q is not a JSON pointer, such as /tags/site", pointer)
	}
	if p.root == nil {
		p.root = &pick{}
	}
	at := p.root
	steps := strings.Split(pointer, "/")[1:]
	if len(steps) > maxDepth {
		return 0, gateway.Errorf(gateway.Invalid, "the JSON pointer %.100q has %d steps, the limit is %d", pointer, len(steps), maxDepth)
	}
	for _, step := range steps {
		name, ok := unescape(step)
		if !ok {
			return 0, gateway.Errorf(gateway.Invalid, "%.100q is not a JSON pointer: ~ is written as ~0, and / in a name as ~1", pointer)
		}
		at = at.step(name)
	}
	number = p.all
	p.all++
	at.numbers = append(at.numbers, number)
	return number, nil
}

func (p *pick) step(name string) *pick {
	for _, s := range p.steps {
		if s.name == name {
			return s
		}
	}
	s := &pick{name: name}
	p.steps = append(p.steps, s)
	return s
}

// find is step without making one.
func (p *pick) find(name string) *pick {
	for _, s := range p.steps {
		if s.name == name {
			return s
		}
	}
	return nil
}

func unescape(step string) (string, bool) {
	for i := 0; i < len(step); i++ {
		if step[i] == '~' && (i+1 == len(step) || step[i+1] != '0' && step[i+1] != '1') {
			return "", false
		}
	}
	return strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~"), true
}

// found is what was asked for of a document.
type found struct {
	// values by number; nil where there is nothing.
	values []json.RawMessage
	// lists are the steps that lead into lists.
	lists map[*pick]struct{}
}

// find looks for everything in a document; ok is false if that is not JSON.
func (p *picks) find(document []byte) (f *found, ok bool) {
	if !json.Valid(document) {
		return nil, false
	}
	f = &found{values: make([]json.RawMessage, p.all), lists: make(map[*pick]struct{})}
	if p.root != nil {
		f.look(p.root, document)
	}
	return f, true
}

// look finds what is in a value, which is JSON. Of an object's members of one name the last one counts.
func (f *found) look(p *pick, value []byte) {
	value = bytes.TrimSpace(value)
	for _, n := range p.numbers {
		f.values[n] = value
	}
	if len(p.steps) == 0 || value[0] != '{' && value[0] != '[' {
		return
	}
	if value[0] == '[' {
		f.lists[p] = struct{}{}
	}
	d := json.NewDecoder(bytes.NewReader(value))
	_, _ = d.Token() // the bracket: it is JSON
	var passed json.RawMessage
	for i := 0; d.More(); i++ {
		name := strconv.Itoa(i)
		if value[0] == '{' {
			token, _ := d.Token()
			name, _ = token.(string)
		}
		next := p.find(name)
		if next == nil {
			_ = d.Decode(&passed) // into the same memory
			continue
		}
		var member json.RawMessage
		if d.Decode(&member) != nil {
			return
		}
		f.forget(next)
		f.look(next, member)
	}
}

// forget takes back what was found in an earlier member of the same name.
func (f *found) forget(p *pick) {
	for _, n := range p.numbers {
		f.values[n] = nil
	}
	delete(f.lists, p)
	for _, s := range p.steps {
		f.forget(s)
	}
}

// text is what was found as a text; empty if there is nothing, or no text, number, true or false.
func (f *found) text(number int) string {
	if f == nil {
		return ""
	}
	switch b := f.values[number]; {
	case len(b) == 0, b[0] == '{', b[0] == '[', b[0] == 'n':
		return ""
	case b[0] == '"':
		var s string
		_ = json.Unmarshal(b, &s) // it is JSON
		return s
	default:
		return string(b)
	}
}
