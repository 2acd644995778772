package migrate

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// MaxExport is how long an export may be, in bytes.
const MaxExport = 256 << 20

// Export is what was exported, read and not judged. The zero value is empty.
type Export struct {
	projects      []project
	users         []user
	topics        []topic
	subscriptions []subscription
	schemas       []schemaText
	registrations []registration
	serviceTypes  []serviceType
	authMethods   []authMethod
	bindings      []binding
	// ends are where the logs of topics end, by "project's ID.topic".
	ends map[string]uint64
	// Notes say what could not be read.
	Notes []string
}

// CollectionOf is the collection that a file of mongoexport or bsondump has, by its name: users.json, argo_msg.users.jsonl, users.bson.json. Not ok: the name is of no such file.
func CollectionOf(file string) (collection string, ok bool) {
	name := filepath.Base(file)
	for _, end := range []string{".json", ".jsonl", ".ndjson"} {
		if rest, found := strings.CutSuffix(name, end); found {
			name, ok = strings.TrimSuffix(rest, ".bson"), true
			break
		}
	}
	return name[strings.LastIndexByte(name, '.')+1:], ok && name != ""
}

// passedOver are collections that are known and not needed, and why.
func passedOver() map[string]string {
	return map[string]string{
		"roles":                   "what a role may do is fixed here, as it is in production",
		"op_metrics":              "figures of nodes that are not these",
		"daily_topic_msg_count":   "messages are counted by the logs that have them",
		"bindings_missing_ip_san": "statistics of certificates",
	}
}

// Collection returns why a collection is not taken; empty: it is.
func Collection(name string) (why string) {
	if _, ok := new(Export).fields()[name]; ok {
		return ""
	}
	if why := passedOver()[name]; why != "" {
		return why
	}
	return "it is no collection of the service's"
}

// fields take a document each, by collection.
func (e *Export) fields() map[string]func(document []byte) error {
	return map[string]func([]byte) error{
		"projects": into(&e.projects), "users": into(&e.users), "topics": into(&e.topics), "subscriptions": into(&e.subscriptions), "schemas": into(&e.schemas),
		"user_registrations": into(&e.registrations), "service_types": into(&e.serviceTypes), "auth_methods": into(&e.authMethods), "bindings": into(&e.bindings),
	}
}

func into[T any](all *[]T) func([]byte) error {
	return func(document []byte) error {
		var t T
		if err := json.Unmarshal(document, &t); err != nil {
			return err
		}
		*all = append(*all, t)
		return nil
	}
}

// Documents calls fn with each document of a file: one after another, or in an array. The error names the place.
func Documents(r io.Reader, fn func(document json.RawMessage) error) error {
	b := bufio.NewReader(r)
	array, err := begins(b)
	if err != nil {
		return err
	}
	d := json.NewDecoder(b)
	if array {
		if _, err := d.Token(); err != nil {
			return err
		}
	}
	for n := 1; !array || d.More(); n++ {
		var document json.RawMessage
		err := d.Decode(&document)
		if err == io.EOF && !array {
			return nil
		}
		if err == nil && document[0] != '{' {
			err = errors.New("it is no object")
		}
		if err == nil {
			err = fn(document)
		}
		if err != nil {
			return fmt.Errorf("document %d: %w", n, err)
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("the array has no end: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is something behind the array")
	}
	return nil
}

// begins reports whether the first character that is none of space is that of an array. A mark of the order of bytes is passed over.
func begins(b *bufio.Reader) (array bool, err error) {
	for {
		c, _, err := b.ReadRune()
		switch {
		case err == io.EOF:
			return false, nil
		case err != nil:
			return false, err
		case c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\ufeff':
			continue
		}
		return c == '[', b.UnreadRune()
	}
}

// line is a part of an export on its way to a node: a document of a collection, or the end of a log.
type line struct {
	Collection string          `json:"collection,omitempty"`
	Document   json.RawMessage `json:"document,omitempty"`
	Topic      string          `json:"topic,omitempty"`
	End        uint64          `json:"end,omitempty"`
}

// Writer writes an export for Read.
type Writer struct{ w *json.Encoder }

// NewWriter makes one.
func NewWriter(w io.Writer) *Writer { return &Writer{json.NewEncoder(w)} }

// Document writes one of a collection.
func (w *Writer) Document(collection string, document json.RawMessage) error {
	return w.w.Encode(line{Collection: collection, Document: document})
}

// Ends writes where logs end, as kafka-get-offsets (GetOffsetShell) says it: a line "topic:partition:offset" for each.
func (w *Writer) Ends(r io.Reader) error {
	all := make(map[string]uint64)
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		topic, rest, _ := strings.Cut(text, ":")
		_, end, _ := strings.Cut(rest, ":")
		offset, err := strconv.ParseUint(end, 10, 53)
		if err != nil || topic == "" {
			return fmt.Errorf("line %d is not topic:partition:offset", n)
		}
		all[topic] = max(all[topic], offset)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	for topic, end := range all {
		if err := w.w.Encode(line{Topic: topic, End: end}); err != nil {
			return err
		}
	}
	return nil
}

// Read reads what a Writer has written. A document that makes no sense is a note; what was not written by a Writer is an error.
func Read(r io.Reader) (*Export, error) {
	limited := &io.LimitedReader{R: r, N: MaxExport + 1}
	e := &Export{ends: make(map[string]uint64)}
	fields := e.fields()
	d := json.NewDecoder(bufio.NewReader(limited))
	for {
		var l line
		err := d.Decode(&l)
		switch {
		case limited.N <= 0:
			return nil, fmt.Errorf("the export is longer than %d MiB", MaxExport>>20)
		case err == io.EOF:
			return e, nil
		case err != nil:
			return nil, fmt.Errorf("the export cannot be read: %w", err)
		case l.Topic != "":
			e.ends[l.Topic] = max(e.ends[l.Topic], l.End)
			continue
		}
		take := fields[l.Collection]
		if take == nil {
			return nil, fmt.Errorf("%.40q is no collection", l.Collection)
		}
		if err := take(l.Document); err != nil {
			e.Notes = append(e.Notes, fmt.Sprintf("a document of %s is not taken: %v (%s)", l.Collection, err, called(l.Document)))
		}
	}
}

// called is by what people know a document that cannot be read.
func called(document []byte) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(document, &fields) != nil {
		return "it is no object"
	}
	for _, key := range []string{"name", "uuid", "_id"} {
		if v := fields[key]; len(v) > 0 {
			return key + " " + string(bytes.ToValidUTF8(v[:min(len(v), 100)], nil))
		}
	}
	return "it has no name"
}

// filled is a list without what is empty or twice.
func filled(list []string) []string {
	some := make([]string, 0, len(list))
	for _, s := range list {
		if s != "" && !slices.Contains(some, s) {
			some = append(some, s)
		}
	}
	return some
}
