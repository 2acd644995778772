package resource

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/schema"
)

const (
	schemaKeys   = "pubsub/schema/"
	revisionKeys = "pubsub/revision/"
)

// MostRevisions is how many revisions of a schema there may be.
const MostRevisions = 100

// Schema says what the messages of topics have to be like. Topics name it by its ID.
type Schema struct {
	Origin
	Name `json:"-"`
	// Type is the kind of Text, AttributesType that of Attributes, which is for those of messages and may be empty.
	Type           string          `json:"type"`
	Text           json.RawMessage `json:"schema"`
	AttributesType string          `json:"attributes_type,omitempty"`
	Attributes     json.RawMessage `json:"attributes,omitempty"`
	// Number counts its revisions, from 1.
	Number int    `json:"number"`
	Owner  string `json:"project"`

	version *schema.Version
}

// Version is what checks messages.
func (s *Schema) Version() *schema.Version { return s.version }

// ready has the schema compiled when it is needed.
func (s *Schema) ready() {
	s.version = &schema.Version{
		Data:       schema.Text{Kind: schema.Kind(s.Type), Text: s.Text},
		Attributes: schema.Text{Kind: schema.Kind(s.AttributesType), Text: s.Attributes},
	}
}

// takeSchema keeps what a fact says of a schema. One that was given another name may be there twice for a moment: the later fact counts.
func (d *Directory) takeSchema(n Name, value []byte, revision uint64) error {
	old := d.schemas[n]
	err := takeIn(d.schemas, n, value, func(s *Schema) {
		s.Name, s.revision = n, revision
		s.ready()
	})
	if err != nil {
		return err
	}
	if old != nil && d.schemaIDs[old.ID] == old {
		delete(d.schemaIDs, old.ID)
	}
	if s := d.schemas[n]; s != nil {
		d.schemaIDs[s.ID] = s
	}
	d.rule()
	return nil
}

// takeRevision keeps what a fact says of a schema as it was.
func (d *Directory) takeRevision(rest string, value []byte, revision uint64) error {
	id, number, _ := strings.Cut(rest, "/")
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	if d.revisions[id] == nil {
		d.revisions[id] = make(map[int]*Schema)
	}
	err = takeIn(d.revisions[id], n, value, func(s *Schema) {
		s.revision = revision
		s.ready()
	})
	if err != nil {
		return err
	}
	if len(d.revisions[id]) == 0 {
		delete(d.revisions, id)
	}
	return nil
}

// rule works out which topics have schemas. The lock is held.
func (d *Directory) rule() {
	ruled := make(map[string]*schema.Version)
	for n, t := range d.topics {
		if t.Schema == "" {
			continue
		}
		v := &schema.Version{Data: schema.Text{Kind: "gone", Text: []byte(t.Schema)}}
		if s := d.schemaIDs[t.Schema]; s != nil {
			v = s.version
		}
		ruled[n.String()] = v
	}
	d.ruled.Store(&ruled)
}

// takeTopic keeps what a fact says of a topic.
func (d *Directory) takeTopic(n Name, value []byte, revision uint64) error {
	old := d.topics[n]
	if err := takeIn(d.topics, n, value, func(t *Topic) { t.Name, t.revision = n, revision }); err != nil {
		return err
	}
	d.restate()
	if t := d.topics[n]; old != nil && old.Schema != "" || t != nil && t.Schema != "" {
		d.rule()
	}
	return nil
}

// Check implements gateway.Schemas: it knows the schemas of topics on every door. The Error is of kind Internal if the topic's schema was taken away.
func (d *Directory) Check(topic string, number int, m *gateway.Message) error {
	ruled := d.ruled.Load()
	if ruled == nil {
		return nil
	}
	v := (*ruled)[topic]
	if v == nil {
		return nil
	}
	s, err := v.Schema()
	if err != nil {
		return gateway.WrapError(gateway.Internal, err, "Could not load schema for topic")
	}
	return s.Check(number, m)
}

// Schema finds a schema; nil if there is none.
func (d *Directory) Schema(ctx context.Context, n Name) *Schema {
	return seek(ctx, d, func() *Schema { return d.schemas[n] })
}

// SchemaByID finds a schema by its ID; nil if there is none.
func (d *Directory) SchemaByID(ctx context.Context, id string) *Schema {
	return seek(ctx, d, func() *Schema { return d.schemaIDs[id] })
}

// SchemasOf are a project's schemas, the newest first.
func (d *Directory) SchemasOf(project string) []*Schema {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return ofProject(d.schemas, project, func(s *Schema) *Origin { return &s.Origin })
}

// Revisions are a schema's as it was before and is, the first one first.
func (d *Directory) Revisions(s *Schema) []*Schema {
	d.mu.RLock()
	defer d.mu.RUnlock()
	all := maps.Clone(d.revisions[s.ID])
	if all == nil {
		all = make(map[int]*Schema)
	}
	all[s.Number] = s
	return slices.SortedFunc(maps.Values(all), func(a, b *Schema) int { return a.Number - b.Number })
}

// CreateSchema makes a schema. The Error is of kind NotFound if the project is gone, Conflict if there is one of that name, Limit if it is too long.
func (d *Directory) CreateSchema(ctx context.Context, s Schema, by string) (*Schema, error) {
	s.Origin, s.Number = d.origin(by), 1
	s.ready()
	return &s, d.change(ctx, func() (string, any, uint64, error) {
		p := d.projects[s.Project]
		switch {
		case p == nil:
			return "", nil, 0, errGone
		case d.schemas[s.Name] != nil:
			return "", nil, 0, errThere
		}
		s.Owner = p.ID
		return schemaKeys + s.Name.String(), &s, 0, nil
	})
}

// ReviseSchema makes the next revision of a schema; what it was stays readable. to may give it another name of the project, and its error is returned. Errors are
// of kind NotFound if there is none, Conflict if there is one of the new name, Limit if there are too many revisions, or it is too long.
func (d *Directory) ReviseSchema(ctx context.Context, n Name, to func(s *Schema) error) (*Schema, error) {
	for range changesMost {
		old := d.Schema(ctx, n)
		if old == nil {
			return nil, errGone
		}
		revised := *old
		if err := to(&revised); err != nil {
			return nil, err
		}
		revised.Modified, revised.Number = d.cfg.Now().UnixMicro(), old.Number+1
		revised.ready()
		if revised.Number > MostRevisions {
			return nil, gateway.Errorf(gateway.Limit, "A schema may have %d revisions", MostRevisions)
		}
		err := d.keepRevision(ctx, old)
		if err == nil {
			err = d.replaceSchema(ctx, old, &revised)
		}
		if err != errIdle { // else somebody else was quicker
			return &revised, err
		}
	}
	return nil, gateway.Errorf(gateway.Unavailable, "too many change the same thing at once")
}

// keepRevision writes down what a schema is now, for later.
func (d *Directory) keepRevision(ctx context.Context, s *Schema) error {
	err := d.change(ctx, func() (string, any, uint64, error) {
		if d.revisions[s.ID][s.Number] != nil {
			return "", nil, 0, errIdle
		}
		return revisionKeys + s.ID + "/" + strconv.Itoa(s.Number), s, 0, nil
	})
	if err == errIdle {
		return nil
	}
	return err
}

// replaceSchema writes what takes a schema's place, and after it, if that has another name, forgets the old one. Its error is errIdle if the old one is not what it was.
func (d *Directory) replaceSchema(ctx context.Context, old, now *Schema) error {
	renamed := old.Name != now.Name
	err := d.change(ctx, func() (string, any, uint64, error) {
		current := d.schemas[old.Name]
		switch {
		case current == nil:
			return "", nil, 0, errGone
		case current.revision != old.revision:
			return "", nil, 0, errIdle
		case !renamed:
			return schemaKeys + now.Name.String(), now, old.revision, nil
		case d.schemas[now.Name] != nil:
			return "", nil, 0, errThere
		}
		return schemaKeys + now.Name.String(), now, 0, nil
	})
	if err != nil || !renamed {
		return err
	}
	return d.dropSchema(ctx, old.Name, old.ID)
}

func (d *Directory) dropSchema(ctx context.Context, n Name, id string) error {
	return d.change(ctx, func() (string, any, uint64, error) {
		s := d.schemas[n]
		if s == nil || s.ID != id {
			return "", nil, 0, errGone
		}
		return schemaKeys + n.String(), nil, s.revision, nil
	})
}

// DeleteSchema ends a schema with its revisions. Topics that have it take no messages until they are given another one, or none. The Error is of kind NotFound if
// there is none.
func (d *Directory) DeleteSchema(ctx context.Context, n Name) error {
	s := d.Schema(ctx, n)
	if s == nil {
		return errGone
	}
	if err := d.dropSchema(ctx, n, s.ID); err != nil {
		return err
	}
	d.mu.RLock()
	all := slices.Collect(maps.Values(d.revisions[s.ID]))
	d.mu.RUnlock()
	for _, r := range all {
		if _, err := d.cfg.Facts.Change(ctx, revisionKeys+s.ID+"/"+strconv.Itoa(r.Number), nil, r.revision); err != nil && gateway.KindOf(err) != gateway.Conflict {
			return err
		}
	}
	return nil
}
